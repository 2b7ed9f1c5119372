//! Explaining takes nothing and tells no values.

use super::{Desk, brief, request};
use crate::engine::{StepKind, StepResult};

#[test]
fn every_step_and_the_types_met() {
    let mut desk = Desk::rules(
        r#"{"require": [{"name": "r", "conditions": [{"path": "args.l[*]", "op": "lt", "value": 5},
                {"path": "args.s", "op": "neq", "value": "secret"}]}],
            "deny_if": [{"name": "d", "conditions": [{"path": "args.gone", "op": "eq", "value": 1}]}]}"#,
    );
    let snapshot = desk.engine.snapshot();
    let call = request("x", r#"{"l": [1, "two", 3], "s": "hush"}"#);
    let explained = desk.engine.explain(&snapshot, &call, desk.now, &mut desk.scratch);
    assert_eq!(brief(&explained.decision), "deny /tools/x/require/r");
    let last = explained.steps.last().unwrap();
    assert_eq!(
        (last.kind, last.rule.as_str(), last.result),
        (StepKind::Require, "/tools/x/require/r", StepResult::Error)
    );
    let seen: Vec<_> = last
        .conditions
        .iter()
        .map(|seen| (seen.path.as_str(), seen.op, seen.met.clone(), seen.result))
        .collect();
    assert_eq!(
        seen,
        [
            ("args.l[*]", "lt", vec!["a number", "a string"], StepResult::Error),
            ("args.s", "neq", vec!["a string"], StepResult::True),
        ]
    );
    assert!(!format!("{explained:?}").contains("hush"));
    let call = request("x", r#"{"l": [1], "s": "hush"}"#);
    let explained = desk.engine.explain(&snapshot, &call, desk.now, &mut desk.scratch);
    assert_eq!(brief(&explained.decision), "allow ");
    let last = explained.steps.last().unwrap();
    assert_eq!(
        (last.kind, last.result),
        (StepKind::DenyIf, StepResult::PresumedFalse)
    );
    assert_eq!(last.conditions[0].met, ["missing"]);
}

#[test]
fn limits_are_only_looked_at() {
    let mut desk = Desk::rules(r#"{"limits": [{"counter": "c", "window": "minute", "max": 1}]}"#);
    let snapshot = desk.engine.snapshot();
    let call = crate::Request {
        reserve: Some(crate::ReservationId::new(1)),
        ..request("x", "{}")
    };
    for _ in 0..3 {
        let explained = desk.engine.explain(&snapshot, &call, desk.now, &mut desk.scratch);
        assert_eq!(
            (
                brief(&explained.decision).as_str(),
                explained.decision.reservation
            ),
            ("allow ", None)
        );
    }
    assert_eq!(desk.answer("{}"), "allow ");
    let explained = desk.engine.explain(&snapshot, &call, desk.now, &mut desk.scratch);
    assert_eq!(brief(&explained.decision), "rate_limited /tools/x/limits/c");
    assert_eq!(
        explained.steps.last().map(|step| (step.kind, step.result)),
        Some((StepKind::Limit, StepResult::Stopped))
    );
}
