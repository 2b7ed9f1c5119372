//! Arguments as doors have them: bytes, a value that was read before, or nothing that anybody has seen.

use super::{Desk, brief, request};
use crate::json::Tape;
use crate::{Args, Request};

fn unseen(desk: &mut Desk, tool: &str) -> String {
    brief(&desk.decide(&Request {
        args: Args::Unseen,
        ..request(tool, "")
    }))
}

#[test]
fn a_value_that_was_read_before_is_judged_like_its_bytes() {
    let rules = r#"{"require": [{"name": "n", "conditions": [{"path": "args.n", "op": "eq", "value": 1}]}]}"#;
    let document = r#"{"params": {"arguments": {"n": 1.0}, "others": {"n": 2}, "list": []}}"#;
    let mut tape = Tape::new();
    let root = tape.parse(document.as_bytes(), 8).unwrap();
    let params = root.get("params").unwrap();
    let mut desk = Desk::rules(rules);
    let mut ask = |name: &str| {
        let args = Args::Read(params.get(name).unwrap());
        desk.decide(&Request {
            args,
            ..request("x", "")
        })
    };
    assert_eq!(brief(&ask("arguments")), "allow ");
    assert_eq!(brief(&ask("others")), "deny /tools/x/require/n");
    let list = ask("list");
    assert_eq!(brief(&list), "deny (invalid request)");
    assert_eq!(list.message, "the arguments must be one JSON object, got a list");
}

#[test]
fn arguments_that_nobody_has_seen_are_no_empty_ones() {
    let reading = [
        r#"{"require": [{"conditions": [{"path": "args.n", "op": "exists", "value": false}]}]}"#,
        r#"{"deny_if": [{"conditions": [{"any": [{"path": "tool", "op": "eq", "value": "y"}, {"not": {"all": [{"path": "args.n", "op": "eq", "value": 1}]}}]}]}]}"#,
        r#"{"schema": {"type": "object"}}"#,
        r#"{"schema": "input"}"#,
        r#"{"limits": [{"counter": "c", "window": "minute", "max": 9, "scope": ["grant", "args.region"]}]}"#,
        r#"{"limits": [{"counter": "c", "window": "minute", "max": 9, "cost": "args.n"}]}"#,
        r#"{"action": "require_approval"}"#,
    ];
    for rules in reading {
        let mut desk = Desk::rules(rules);
        assert_eq!(unseen(&mut desk, "x"), "deny (invalid request)", "{rules}");
        assert_eq!(unseen(&mut desk, "other"), "allow ", "{rules}");
    }
    let indifferent = [
        "{}",
        r#"{"require": [{"conditions": [{"path": "grant.id", "op": "eq", "value": "g1"}]}]}"#,
        r#"{"limits": [{"counter": "c", "window": "minute", "max": 9, "scope": ["session", "tool"]}]}"#,
    ];
    for rules in indifferent {
        assert_eq!(unseen(&mut Desk::rules(rules), "x"), "allow ", "{rules}");
    }
}

#[test]
fn what_needs_no_arguments_says_its_own_reason() {
    let check = r#""require": [{"conditions": [{"path": "args.n", "op": "eq", "value": 1}]}]"#;
    let mut denied = Desk::rules(&format!(r#"{{"action": "deny", {check}}}"#));
    assert_eq!(unseen(&mut denied, "x"), "deny /tools/x/action");
    let mut hidden = Desk::new(&format!(
        r#"{{"version": "1", "default": "deny", "hide": ["x"], "all_tools": {{{check}}}, "tools": {{"x": {{}}, "y": {{}}}}}}"#
    ));
    assert_eq!(unseen(&mut hidden, "x"), "deny (hidden)");
    assert_eq!(unseen(&mut hidden, "z"), "deny (default deny)");
    assert_eq!(
        unseen(&mut hidden, "y"),
        "deny (invalid request)",
        "the rules of all tools"
    );
}

#[test]
fn in_shadow_they_stop_nothing_and_take_nothing_blindly() {
    let mut desk = Desk::rules(
        r#"{"mode": "shadow", "limits": [{"counter": "c", "window": "minute", "max": 1, "cost": "args.n"}]}"#,
    );
    for _ in 0..3 {
        assert_eq!(unseen(&mut desk, "x"), "allow  | deny (invalid request)");
    }
    assert_eq!(desk.answer(r#"{"n": 1}"#), "allow ", "nothing was taken");
}

#[test]
fn the_reason_says_what_to_do() {
    let mut desk = Desk::rules(r#"{"schema": {"type": "object"}}"#);
    let decision = desk.decide(&Request {
        args: Args::Unseen,
        ..request("x", "")
    });
    assert_eq!(
        decision.message,
        "the decision about `x` depends on its arguments, and the proxy in front does not send them here; ask the operator \
         to let the proxy forward the request's body"
    );
}
