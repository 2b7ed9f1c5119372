//! Peeks: what is left, with nothing taken.

use callgate_counters::Micros;

use super::*;
use crate::Outcome;
use crate::engine::{Peek, PeekedCount};

const RULES: &str = r#"{
    "require": [{"conditions": [{"path": "args.region", "op": "neq", "value": "moon"}]}],
    "limits": [
        {"counter": "calls", "max": 2, "window": "hour"},
        {"counter": "regions", "max": 1, "window": "minute", "scope": ["grant", "args.region"]},
        {"counter": "spend", "max": 100, "window": "day", "cost": "args.amount"},
        {"counter": "tools", "max": 9, "window": "day", "scope": "tool"}
    ]
}"#;

fn call_of<'r>(tool: &'r str, args: &'r str) -> Request<'r> {
    Request {
        tool,
        args: Args::Json(args.as_bytes()),
        caller: Caller::named("g"),
        server: "",
        pep: Pep::UNNAMED,
        session: None,
        reserve: None,
        pins: None,
        unseen_member: None,
    }
}

fn peek<R>(desk: &Desk, request: &Request<'_>, see: impl FnOnce(Peek<'_>) -> R) -> R {
    let state = desk.engine.snapshot();
    see(desk
        .engine
        .peek(&state, request, desk.now, &mut Scratch::default()))
}

fn outcome(desk: &Desk, request: &Request<'_>) -> Outcome {
    let state = desk.engine.snapshot();
    desk.engine
        .decide(&state, request, desk.now, &mut Scratch::default())
        .outcome
}

/// Counter, units left, milliseconds until the call's cost is free, and what is missing, of a limit.
type Told = (String, Option<u64>, Option<u64>, Vec<String>);

fn told(peek: &Peek<'_>) -> Vec<Told> {
    let told = peek.limits.iter().map(|limit| {
        let remaining = limit.count.map(|count| count.remaining.0 / Micros::ONE.0);
        let missing = limit.missing.iter().map(|name| (*name).to_owned()).collect();
        let retry_after_ms = limit.count.and_then(|count| count.retry_after_ms);
        (limit.counter.to_owned(), remaining, retry_after_ms, missing)
    });
    told.collect()
}

fn limit(
    counter: &str,
    remaining: impl Into<Option<u64>>,
    retry_after_ms: impl Into<Option<u64>>,
    missing: &[&str],
) -> Told {
    let missing = missing.iter().map(|name| (*name).to_owned()).collect();
    (
        counter.to_owned(),
        remaining.into(),
        retry_after_ms.into(),
        missing,
    )
}

#[test]
fn a_peek_tells_what_is_left_and_takes_nothing() {
    let desk = Desk::rules(RULES);
    let call = call_of("x", r#"{"region": "eu", "amount": 60}"#);
    for _ in 0..3 {
        peek(&desk, &call, |peek| {
            assert_eq!(peek.outcome(), Outcome::Allow);
            assert_eq!(
                told(&peek),
                [
                    limit("calls", 2, 0, &[]),
                    limit("regions", 1, 0, &[]),
                    limit("spend", 100, 0, &[]),
                    limit("tools", 9, 0, &[]),
                ]
            );
        });
    }
    assert_eq!(desk.engine.counters().0, 0, "no counter was made");
    assert_eq!(outcome(&desk, &call), Outcome::Allow);
    peek(&desk, &call, |peek| {
        assert_eq!(peek.outcome(), Outcome::RateLimited);
        assert_eq!(
            told(&peek),
            [
                limit("calls", 1, 0, &[]),
                limit("regions", 0, 60_000, &[]),
                limit("spend", 40, 86_400_000, &[]),
                limit("tools", 8, 0, &[]),
            ]
        );
        let decision = peek.decision.expect("a tool was named");
        assert_eq!(decision.retry_after_ms, Some(86_400_000));
        let first = peek.limits.first().and_then(|limit| limit.count);
        let expected = PeekedCount {
            remaining: Micros(1_000_000),
            reset_after_ms: 3_600_000,
            retry_after_ms: Some(0),
            window_ms: 3_600_000,
        };
        assert_eq!(first, Some(expected));
    });
}

#[test]
fn what_the_request_does_not_name_is_missing() {
    let desk = Desk::rules(RULES);
    peek(&desk, &call_of("x", ""), |peek| {
        assert_eq!(peek.outcome(), Outcome::Deny, "as `check` would answer");
        assert_eq!(
            told(&peek),
            [
                limit("calls", 2, 0, &[]),
                limit("regions", None, None, &["args.region"]),
                limit("spend", 100, None, &["args.amount"]),
                limit("tools", 9, 0, &[]),
            ]
        );
    });
    peek(&desk, &call_of("", r#"{"amount": 101}"#), |peek| {
        assert_eq!((peek.decision.as_ref(), peek.policy), (None, "policy"));
        assert_eq!(
            told(&peek),
            [
                limit("calls", 2, 0, &[]),
                limit("regions", None, None, &["args.region"]),
                limit("spend", 100, None, &[]),
                limit("tools", None, None, &["tool"]),
            ]
        );
    });
}

#[test]
fn a_request_that_no_policy_is_asked_about_has_no_limits() {
    let desk = Desk::rules(RULES);
    for (call, rule) in [
        (call_of("x", "[]"), "(invalid request)"),
        (call_of("", "{"), "(invalid request)"),
        (
            Request {
                caller: Caller::new("", "cgt_unknown", &[]),
                ..call_of("", "")
            },
            "(unknown grant)",
        ),
        (call_of(crate::engine::FORCED_PANIC_TOOL, ""), "(internal error)"),
    ] {
        peek(&desk, &call, |peek| {
            let decision = peek.decision.as_ref().expect("a denial");
            assert_eq!((decision.outcome, &*decision.rule), (Outcome::Deny, rule));
            assert_eq!((peek.limits.len(), peek.policy), (0, ""));
        });
    }
}

#[test]
fn a_peek_foresees_that_there_is_no_room_for_a_counter() {
    let limits =
        r#"[{"counter": "a", "max": 2, "window": "hour"}, {"counter": "b", "max": 2, "window": "hour"}]"#;
    let text = format!(r#"{{"version": "1", "default": "allow", "all_tools": {{"limits": {limits}}}}}"#);
    let config = EngineConfig {
        counter_capacity: 1,
        ..config()
    };
    let state = State::build(Policies::EveryServer(policy(&text)), Catalogue::default()).unwrap();
    let desk = Desk::of(state, config);
    peek(&desk, &call_of("x", ""), |peek| {
        let decision = peek.decision.expect("a tool was named");
        assert_eq!(&*decision.rule, "(counter capacity)");
    });
    assert_eq!(desk.engine.counters().0, 0, "no counter was made");
    let state = desk.engine.snapshot();
    let decision = desk
        .engine
        .decide(&state, &call_of("x", ""), desk.now, &mut Scratch::default());
    assert_eq!(&*decision.rule, "(counter capacity)");
}

#[test]
fn a_peek_as_json() {
    let desk = Desk::rules(
        r#"{"limits": [{"counter": "c", "max": 2, "window": "minute"}, {"counter": "d", "max": 1.5, "window": "minute", "scope": "args.a"}]}"#,
    );
    let json = |tool| {
        peek(&desk, &call_of(tool, ""), |peek| {
            let mut json = String::new();
            peek.write_json(&mut json);
            serde_json::from_str::<serde_json::Value>(&json).unwrap()
        })
    };
    let with_tool = json("x");
    assert_eq!(with_tool["decision"]["outcome"], "deny");
    let without = json("");
    assert!(without.get("decision").is_none());
    assert_eq!(without["limits"], with_tool["limits"]);
    assert_eq!(
        without["limits"],
        serde_json::json!([
            {
                "counter": "c", "rule": "/tools/x/limits/c", "max": 2, "remaining": 2, "reset_after_ms": 0,
                "retry_after_ms": 0, "window_ms": 60_000, "shadow": false, "missing": []
            },
            {"counter": "d", "rule": "/tools/x/limits/d", "max": 1.5, "shadow": false, "missing": ["args.a"]},
        ])
    );
}

#[test]
fn counts_that_are_known_before_the_arguments_are_the_same_ones() {
    // More of them than are looked for early, before one that counts by an argument and after it.
    let limit_by = |number: usize, scope: &str| {
        format!(r#"{{"counter": "c{number}", "max": 9, "window": "hour", "scope": {scope}}}"#)
    };
    let scopes = ["\"grant\"", "\"tool\"", "\"server\"", "\"global\"", "\"session\""];
    let args = "[\"grant\", \"args.region\"]";
    for place in 0..=scopes.len() {
        let mut all = scopes.to_vec();
        all.insert(place, args);
        let limits: Vec<String> = (0..).zip(&all).map(|(n, scope)| limit_by(n, scope)).collect();
        let desk = Desk::rules(&format!(r#"{{"limits": [{}]}}"#, limits.join(",")));
        let call = call_of("x", r#"{"region": "eu"}"#);
        assert_eq!(outcome(&desk, &call), Outcome::Allow);
        assert_eq!(desk.engine.counters().0, all.len());
        // A peek finds each count by itself.
        peek(&desk, &call, |peek| {
            let left: Vec<Option<u64>> = told(&peek).into_iter().map(|(_, left, ..)| left).collect();
            assert_eq!(left, vec![Some(8); all.len()], "{place}");
        });
    }
}
