//! Section 1, Shadow.

use callgate_counters::Micros;

use super::{Desk, brief, request};
use crate::{Pep, ReservationId};

/// `x` in shadow and `all_tools` enforced, both on count `c`, with these costs.
fn shared(shadowed_cost: u32, enforced_cost: u32) -> Desk {
    Desk::new(&format!(
        r#"{{"version": "1", "default": "allow",
            "all_tools": {{"limits": [{{"counter": "c", "window": "minute", "max": 5, "cost": {enforced_cost}}}]}},
            "tools": {{"x": {{"mode": "shadow", "limits": [{{"counter": "c", "window": "minute", "max": 5, "cost": {shadowed_cost}}}]}}}}}}"#
    ))
}

#[test]
fn a_shared_count_is_enforced_at_the_largest_enforced_cost() {
    let mut desk = shared(4, 1);
    let first = desk.ask("{}");
    assert_eq!(brief(&first), "allow ");
    assert_eq!(first.limits.len(), 1);
    assert_eq!(
        (first.limits[0].rule.as_ref(), first.limits[0].remaining),
        ("/all_tools/limits/c", Micros(4_000_000))
    );
    for _ in 0..4 {
        assert_eq!(
            desk.answer("{}"),
            "allow ",
            "the shadowed limit's cost of 4 does not count"
        );
    }
    assert_eq!(
        desk.answer("{}"),
        "rate_limited /all_tools/limits/c",
        "under the first enforced one's rule"
    );
}

#[test]
fn a_shadowed_limit_takes_only_what_full_enforcement_allows() {
    let mut desk = Desk::new(
        r#"{"version": "1", "default": "allow", "mode": "shadow",
            "all_tools": {"mode": "enforce", "limits": [{"counter": "all", "window": "minute", "max": 3}]},
            "tools": {"x": {"deny_if": [{"conditions": [{"path": "args.bad", "op": "eq", "value": true}]}],
                "limits": [{"counter": "c", "window": "minute", "max": 1}]}}}"#,
    );
    let denied = desk.ask(r#"{"bad": true}"#);
    assert_eq!(brief(&denied), "allow  | deny /tools/x/deny_if/args.bad-eq");
    let seen: Vec<_> = denied
        .limits
        .iter()
        .map(|limit| (limit.counter.as_ref(), limit.remaining.0))
        .collect();
    assert_eq!(
        seen,
        [("all", 2_000_000), ("c", 1_000_000)],
        "the enforced one took, the shadowed one did not"
    );
    assert_eq!(desk.answer("{}"), "allow ");
    assert_eq!(desk.answer("{}"), "allow  | rate_limited /tools/x/limits/c");
    assert_eq!(
        desk.answer("{}"),
        "rate_limited /all_tools/limits/all",
        "a refused call carries no shadow"
    );
}

#[test]
fn a_rolled_back_shadow_gives_back_what_it_took() {
    let mut desk =
        Desk::rules(r#"{"mode": "shadow", "limits": [{"counter": "c", "window": "minute", "max": 1}]}"#);
    let id = ReservationId::new;
    let reserving = |number| crate::Request {
        reserve: Some(id(number)),
        ..request("x", "{}")
    };
    assert_eq!(brief(&desk.decide(&reserving(1))), "allow ");
    assert_eq!(
        brief(&desk.decide(&reserving(2))),
        "allow  | rate_limited /tools/x/limits/c"
    );
    assert!(desk.engine.roll_back(id(2), Pep::UNNAMED.id, desk.now));
    assert_eq!(
        desk.answer("{}"),
        "allow  | rate_limited /tools/x/limits/c",
        "the second took nothing"
    );
    assert!(desk.engine.roll_back(id(1), Pep::UNNAMED.id, desk.now));
    assert_eq!(desk.answer("{}"), "allow ");
}

#[test]
fn the_first_refusal_of_full_enforcement_is_its_answer() {
    let mut desk = Desk::rules(
        r#"{"mode": "shadow", "action": "deny", "require": [{"name": "r", "conditions": [{"path": "args.a", "op": "eq", "value": 1}]}],
            "limits": [{"counter": "c", "window": "minute", "max": 0}]}"#,
    );
    assert_eq!(desk.answer("{}"), "allow  | deny /tools/x/action");
    let mut desk = Desk::rules(
        r#"{"mode": "shadow", "limits": [{"counter": "c", "window": "minute", "max": 1, "cost": "args.n"}], "action": "require_approval"}"#,
    );
    assert_eq!(desk.answer("{}"), "allow  | deny /tools/x/limits/c/cost");
    assert_eq!(desk.answer(r#"{"n": 2}"#), "allow  | deny /tools/x/limits/c");
    let approval = desk.ask(r#"{"n": 1}"#);
    assert_eq!(brief(&approval), "allow  | approval_required /tools/x/approval");
    assert_eq!(
        (approval.fingerprint, approval.limits[0].remaining),
        (None, Micros::ONE),
        "nothing was taken or asked for"
    );
}

#[test]
fn enforced_rules_stop_a_call_that_shadow_lets_by() {
    let mut desk = Desk::new(
        r#"{"version": "1", "default": "allow", "all_tools": {"deny_if": [{"name": "d", "conditions": [{"path": "args.a", "op": "eq", "value": 1}]}]},
            "tools": {"x": {"mode": "shadow", "action": "deny"}}}"#,
    );
    assert_eq!(desk.answer(r#"{"a": 1}"#), "deny /all_tools/deny_if/d");
    assert_eq!(desk.answer("{}"), "allow  | deny /tools/x/action");
}

#[test]
fn an_enforced_approval_beside_a_shadowed_one() {
    let mut desk = Desk::new(
        r#"{"version": "1", "default": "allow", "all_tools": {"action": "require_approval"},
            "tools": {"x": {"mode": "shadow", "action": "require_approval"}}}"#,
    );
    assert_eq!(desk.answer("{}"), "approval_required /all_tools/approval");
}

#[test]
fn malformed_requests_are_never_shadowed() {
    let mut desk = Desk::new(r#"{"version": "1", "default": "deny", "mode": "shadow"}"#);
    assert_eq!(desk.answer("[]"), "deny (invalid request)");
    assert_eq!(desk.answer("{}"), "allow  | deny (default deny)");
}
