//! Every policy gives a decision on every call, and order does not matter where it must not.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Desk, brief};

fn path() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "args.a",
        "args.a.b",
        "args.a[0]",
        "args.a[*]",
        "args.a[*].b",
        "args.b",
        "args[\"c d\"]",
    ])
}

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-3_i64..3).prop_map(Value::from),
        prop::sample::select(vec!["", "a", "/a/../b", "https://a.b/c", "10.0.0.1", "é"])
            .prop_map(Value::from),
    ]
}

fn argument() -> impl Strategy<Value = Value> {
    scalar().prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(prop::sample::select(vec!["a", "b", "c d"]), inner, 0..3)
                .prop_map(|members| json!(members)),
        ]
    })
}

fn arguments() -> impl Strategy<Value = Value> {
    prop::collection::btree_map(prop::sample::select(vec!["a", "b", "c d"]), argument(), 0..4)
        .prop_map(|members| json!(members))
}

fn test() -> impl Strategy<Value = Value> {
    let op = prop_oneof![
        (
            prop::sample::select(vec!["eq", "neq", "contains", "not_contains"]),
            scalar()
        ),
        (
            prop::sample::select(vec!["in", "not_in"]),
            scalar().prop_map(|value| json!([value]))
        ),
        (
            prop::sample::select(vec!["lt", "lte", "gt", "gte", "len_lt", "len_gte"]),
            (-2_i64..3).prop_map(Value::from)
        ),
        (
            prop::sample::select(vec!["regex", "not_regex", "starts_with", "ends_with"]),
            Just(json!("a"))
        ),
        (Just("path_within"), Just(json!("/b"))),
        (Just("host_in"), Just(json!(["a.b"]))),
        (Just("cidr_in"), Just(json!(["10.0.0.0/8"]))),
        (Just("exists"), any::<bool>().prop_map(Value::from)),
    ];
    (path(), op).prop_map(|(path, (op, value))| json!({"path": path, "op": op, "value": value}))
}

fn condition() -> impl Strategy<Value = Value> {
    test().prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 1..4).prop_map(|list| json!({"any": list})),
            prop::collection::vec(inner.clone(), 1..4).prop_map(|list| json!({"all": list})),
            inner.prop_map(|one| json!({"not": one})),
        ]
    })
}

fn check(conditions: &[Value]) -> Value {
    json!([{"name": "c", "conditions": conditions}])
}

fn reversed(value: &Value) -> Value {
    match value {
        Value::Array(list) => list.iter().rev().map(reversed).collect(),
        Value::Object(members) => members
            .iter()
            .map(|(key, value)| (key.clone(), reversed(value)))
            .collect(),
        other => other.clone(),
    }
}

fn answer(rules: &Value, args: &Value) -> String {
    Desk::rules(&rules.to_string()).answer(&args.to_string())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn the_order_of_conditions_does_not_matter(
        conditions in prop::collection::vec(condition(), 0..4),
        args in arguments(),
        part in prop::sample::select(vec!["require", "deny_if"]),
    ) {
        let backwards: Vec<Value> = conditions.iter().rev().map(reversed).collect();
        let forwards = answer(&json!({part: check(&conditions)}), &args);
        prop_assert_eq!(forwards, answer(&json!({part: check(&backwards)}), &args));
    }

    #[test]
    fn every_call_gets_an_answer_from_its_policy(
        require in prop::collection::vec(condition(), 0..3),
        deny_if in prop::collection::vec(condition(), 0..3),
        when in prop::collection::vec(condition(), 1..3),
        limits in prop::collection::vec((0_u32..3, path(), path(), any::<bool>()), 0..4),
        shadow in any::<bool>(),
        calls in prop::collection::vec((arguments(), 0_u64..100_000), 1..6),
    ) {
        let limits: Vec<Value> = limits
            .iter()
            .enumerate()
            .filter(|(_, (_, scope, cost, _))| !scope.contains('*') && !cost.contains('*'))
            .map(|(index, (max, scope, cost, fixed))| {
                let cost = if *fixed { json!(1) } else { json!(cost) };
                json!({"counter": format!("c{index}"), "window": "minute", "max": max, "scope": ["grant", scope], "cost": cost})
            })
            .collect();
        let rules = json!({
            "mode": if shadow { "shadow" } else { "enforce" },
            "require": check(&require), "deny_if": check(&deny_if), "limits": limits,
            "action": "require_approval", "approval": {"when": check(&when)},
        });
        let mut desk = Desk::rules(&rules.to_string());
        for (args, at_ms) in calls {
            let decision = desk.at_ms(at_ms).ask(&args.to_string());
            prop_assert_ne!(decision.rule.as_ref(), "(internal error)");
            prop_assert!(decision.shadow.is_none() || shadow);
            prop_assert_eq!(decision.outcome == crate::Outcome::Allow, decision.rule.is_empty());
            if shadow {
                prop_assert!(brief(&decision).starts_with("allow "));
            }
        }
    }
}

proptest! {
    #[test]
    fn any_bytes_as_arguments(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        let mut desk = Desk::rules(r#"{"limits": [{"counter": "c", "window": "minute", "max": 1, "scope": "args.k"}]}"#);
        let request = crate::Request { args: crate::Args::Json(&bytes), ..super::request("x", "") };
        let rule = desk.decide(&request).rule;
        prop_assert!(["", "(invalid request)", "/tools/x/limits/c"].contains(&rule.as_ref()));
    }
}
