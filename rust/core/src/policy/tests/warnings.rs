//! Findings of `callgate validate`.

use super::json;

fn warnings(document: &str) -> Vec<String> {
    let warnings = json(document).unwrap().warnings;
    warnings
        .into_iter()
        .map(|warning| format!("{}:{}: {}", warning.line, warning.column, warning.message))
        .collect()
}

#[test]
fn warnings_point_out_what_was_probably_not_meant() {
    let rules = |rules: &str| {
        warnings(&format!(
            "{{\"version\":\"1\",\"default\":\"deny\",\"tools\":{{\"x\":\n{rules}}}}}"
        ))
    };
    let test = |test: &str| rules(&format!("{{\"deny_if\":[{{\"conditions\":[\n{{{test}}}]}}]}}"));
    assert_eq!(rules(r#"{"reason": "no"}"#).len(), 1);
    assert_eq!(rules(r#"{"action": "deny", "reason": "no"}"#).len(), 0);
    assert_eq!(
        rules(r#"{"action": "deny", "limits": []}"#),
        ["2:20: `limits` is never looked at: `\"action\": \"deny\"` comes first"]
    );
    let session = r#"{"counter": "c", "window": 1, "max": 1, "scope": "session"}"#;
    assert_eq!(
        rules(&format!("{{\"limits\": [{session}]}}")),
        [
            "2:50: `c` counts per session, and a new session begins at zero; put a limit with scope `grant` beside it"
        ]
    );
    assert_eq!(
        rules(&format!("{{\"limits\": [{session}], \"rate_limit\": \"9/day\"}}")).len(),
        0
    );
    assert_eq!(
        rules(r#"{"limits": [{"counter": "c", "window": 1, "max": 1, "cost": 1.5}]}"#),
        ["2:50: the cost 1.5 is above `max` 1: every call is denied"]
    );
    assert_eq!(
        rules(r#"{"limits": [{"counter": "c", "window": 1, "max": 1, "on_store_failure": "deny"}]}"#),
        [
            "2:53: `on_store_failure` has no effect while counters are this process's own: it is for those that several nodes share, see `counters.shared` in docs/configuration.md"
        ]
    );
    assert_eq!(
        test(r#""path": "time.hour", "op": "in", "value": [1, 24]"#),
        ["3:44: `time.hour` is 0 to 23, so it never has this value"]
    );
    assert_eq!(test(r#""path": "time.hour", "op": "lt", "value": 24"#).len(), 0);
    assert_eq!(test(r#""path": "args.items.*", "op": "eq", "value": 1"#).len(), 1);
    assert_eq!(test(r#""path": "args[\"*\"]", "op": "eq", "value": 1"#).len(), 0);
    assert_eq!(test(r#""path": "args[0]", "op": "eq", "value": 1"#).len(), 1);
}

#[test]
fn warnings_point_out_replaced_and_hidden_entries() {
    let tools = |tools: &str| {
        warnings(&format!(
            "{{\"version\":\"1\",\"default\":\"deny\",\"hide\":[\"drop_*\"],\"tools\":{{\n{tools}}}}}"
        ))
    };
    assert_eq!(
        tools(r#""create_*": {"rate_limit": "1/day"}, "create_charge": {}"#),
        [
            "2:38: `create_charge` replaces the rules of `create_*`, which do not apply to it; repeat those that should"
        ]
    );
    assert_eq!(
        tools(r#""create_*": {}, "create_charge": {}"#).len(),
        0,
        "nothing is lost"
    );
    assert_eq!(
        tools(r#""a*": {}, "a**": {}"#),
        ["2:11: `a**` matches what `a*` matches, which comes first, so its rules never apply"]
    );
    assert_eq!(
        tools(r#""drop_table": {}"#),
        ["2:1: `drop_table` is hidden by `hide`, so its rules never apply"]
    );
    assert_eq!(
        tools(r#""create_charge": {}, "update_*": {"rate_limit": "1/day"}"#).len(),
        0
    );
}

#[test]
fn what_is_hidden_in_shadow_is_still_decided_by_its_rules() {
    let hidden = |mode: &str| {
        let head = format!(r#""version":"1","default":"deny","mode":"{mode}","hide":["drop_*"]"#);
        warnings(&format!(r#"{{{head},"tools":{{"drop_table":{{}}}}}}"#)).len()
    };
    assert_eq!((hidden("enforce"), hidden("shadow")), (1, 0));
}
