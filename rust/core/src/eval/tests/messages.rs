//! Messages say what to do, and never a value of the call; approvals and their fingerprint.

use super::{Desk, brief, request};

#[test]
fn generated_messages() {
    let check = |part: &str, condition: &str, args: &str| {
        Desk::rules(&format!(r#"{{"{part}": [{{"conditions": [{condition}]}}]}}"#))
            .ask(args)
            .message
            .into_owned()
    };
    for (part, condition, args, message) in [
        (
            "deny_if",
            r#"{"path": "args.amount", "op": "gt", "value": 50000}"#,
            r#"{"amount": 60001}"#,
            "`x` was refused: `args.amount` must not be greater than 50000",
        ),
        (
            "require",
            r#"{"path": "args.currency", "op": "in", "value": ["usd", "eur"]}"#,
            r#"{"currency": "gbp"}"#,
            "`x` was refused: `args.currency` must be one of \"usd\", \"eur\"",
        ),
        (
            "require",
            r#"{"any": [{"path": "args.a", "op": "exists", "value": false}, {"not": {"path": "args.a", "op": "lte", "value": -0.25}}]}"#,
            r#"{"a": -0.5}"#,
            "`x` was refused: `args.a` must not be present or `args.a` must be greater than -0.25",
        ),
        (
            "deny_if",
            r#"{"path": "args.a.b", "op": "eq", "value": 1}"#,
            r#"{"a": "secret"}"#,
            "`x` was refused: expected an object at `args.a`, got a string",
        ),
        (
            "require",
            r#"{"path": "args.l[*].p", "op": "lt", "value": 1}"#,
            r#"{"l": [{"p": "secret"}]}"#,
            "`x` was refused: expected a number at `args.l[*].p`, got a string",
        ),
        (
            "deny_if",
            "",
            "{}",
            "tool `x` is not allowed by this policy; use another tool",
        ),
    ] {
        assert_eq!(check(part, condition, args), message);
    }
}

#[test]
fn rate_limited_messages() {
    let mut desk = Desk::rules(r#"{"limits": [{"counter": "c", "window": "minute", "max": 1}]}"#);
    assert_eq!(desk.answer("{}"), "allow ");
    desk.at_ms(3_000);
    assert_eq!(
        desk.ask("{}").message,
        "`x` is limited to 1 call per minute for this grant; try again in 57 s"
    );
    let mut desk = Desk::new(
        r#"{"version": "1", "default": "allow", "all_tools": {"limits": [
            {"counter": "c", "window": "90s", "max": 2.5, "cost": "args.n", "scope": ["global"]}]}}"#,
    );
    assert_eq!(desk.answer(r#"{"n": 2}"#), "allow ");
    assert_eq!(
        desk.ask(r#"{"n": 2}"#).message,
        "calls are limited to 2.5 units per 90 seconds for all callers together; try again in 90 s"
    );
}

#[test]
fn a_caller_cannot_make_messages_long() {
    let tool = "t".repeat(100_000);
    let mut desk = Desk::new(r#"{"version": "1", "default": "deny"}"#);
    assert!(desk.decide(&request(&tool, "{}")).message.len() < 500);
}

#[test]
fn an_approval_is_for_this_exact_call() {
    let mut desk = Desk::rules(r#"{"action": "require_approval"}"#);
    let args = "{\"b\": \"\\u001f\u{e9}\\n\", \"a\": 100.0, \"c\": [-0, -1.50, 9007199254740993], \"\\ufb33\": false, \
                \"\u{1F600}\": true, \"\": null}";
    let decision = desk.ask(args);
    assert_eq!(brief(&decision), "approval_required /tools/x/approval");
    // Worked out with Python's hashlib from the canonical texts of section 6.
    let version = "4729cbfeab1c";
    let expected = "185e0a46d73f8af0f60b9a98f26bb9f77294434df712292094c336f674f21359";
    let bytes = expected
        .as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap());
    let bytes: Vec<u8> = bytes.collect();
    assert_eq!(
        (
            decision.policy_version.as_ref(),
            decision.fingerprint.unwrap().as_bytes().to_vec()
        ),
        (version, bytes)
    );
    for other in [r#"{"a": 1}"#, r#"{"a": "1"}"#, "{}"] {
        assert_ne!(desk.ask(other).fingerprint, decision.fingerprint);
    }
    assert_eq!(
        desk.ask(r#"{"a": 1}"#).fingerprint,
        desk.ask(r#"{ "a" : 10e-1 }"#).fingerprint
    );
}

#[test]
fn approval_only_when_a_check_fires_or_cannot_tell() {
    let mut desk = Desk::rules(
        r#"{"action": "require_approval", "approval": {"when": [{"conditions": [{"path": "args.n", "op": "gt", "value": 5}]},
            {"conditions": [{"path": "args.to", "op": "not_in", "value": ["me"]}]}]},
            "limits": [{"counter": "c", "window": "minute", "max": 1}]}"#,
    );
    assert_eq!(
        desk.answer(r#"{"n": 6, "to": "me"}"#),
        "approval_required /tools/x/approval"
    );
    assert_eq!(
        desk.answer(r#"{"n": "6", "to": "me"}"#),
        "approval_required /tools/x/approval",
        "an error asks"
    );
    assert_eq!(
        desk.answer(r#"{"n": 1}"#),
        "approval_required /tools/x/approval",
        "presumed true asks"
    );
    assert_eq!(
        desk.answer(r#"{"n": 1, "to": "me"}"#),
        "allow ",
        "nothing was taken by those that asked"
    );
    assert_eq!(
        desk.answer(r#"{"n": 6, "to": "me"}"#),
        "rate_limited /tools/x/limits/c",
        "limits are looked at first"
    );
}
