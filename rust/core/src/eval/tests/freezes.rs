//! Freezes, beyond the shared cases (`docs/policy.md` section 9).

use std::ops::ControlFlow;
use std::sync::Arc;

use super::*;
use crate::Outcome;
use crate::engine::{StepKind, StepResult};
use crate::freeze::{Freeze, FreezeScope, FreezeSource};
use crate::grant::Token;

const POLICY: &str = r#"{
    "version": "1",
    "default": "deny",
    "name": "p",
    "tools": {"x": {"limits": [{"counter": "calls", "max": 2, "window": "hour"}]}, "y": {"action": "require_approval"}}
}"#;

fn freeze(server: Option<&str>, tool: Option<&str>, grant: Option<&str>, until_us: Option<u64>) -> Freeze {
    Freeze::new(
        FreezeScope::new(server, tool, grant).unwrap(),
        "maintenance",
        until_us,
    )
    .unwrap()
}

fn everything() -> Vec<Freeze> {
    vec![freeze(None, None, None, None)]
}

#[test]
fn freezes_of_all_origins_hold_together() {
    let mut desk = Desk::new(POLICY);
    assert_eq!(desk.answer("{}"), "allow ");
    desk.engine.set_freezes(FreezeSource::File, everything());
    let own = freeze(None, None, Some("g1"), None);
    desk.engine
        .change_freezes(FreezeSource::Program, |freezes| freezes.push(own.clone()));
    let listed = desk.engine.freezes();
    assert_eq!(
        listed,
        [
            (FreezeSource::File, everything().remove(0)),
            (FreezeSource::Program, own)
        ]
    );
    assert!(desk.ask("{}").message.contains("all calls of tools"));
    desk.engine.set_freezes(FreezeSource::File, Vec::new());
    assert!(desk.ask("{}").message.contains("all calls of this caller"));
    desk.engine.set_freezes(FreezeSource::Program, Vec::new());
    assert_eq!(desk.answer("{}"), "allow ");
    // Of two for the same calls, the one that ends last.
    for ends in [
        [Some(1), Some(3)],
        [Some(3), Some(1)],
        [None, Some(3)],
        [Some(3), None],
    ] {
        let [file, program] = ends.map(|until_us| vec![freeze(Some("srv"), None, None, until_us)]);
        desk.engine.set_freezes(FreezeSource::File, file);
        desk.engine.set_freezes(FreezeSource::Program, program);
        desk.now = Now::from_unix_us(2);
        assert_eq!(desk.answer("{}"), "deny (frozen)", "{ends:?}");
    }
}

#[test]
fn a_reload_keeps_freezes() {
    let mut desk = Desk::new(POLICY);
    desk.engine.set_freezes(FreezeSource::File, everything());
    let state = State::build(Policies::EveryServer(policy(POLICY)), Catalogue::default());
    desk.engine.reload(state.unwrap());
    assert_eq!(desk.answer("{}"), "deny (frozen)");
}

#[test]
fn a_denial_says_whose_call_it_was() {
    let mut desk = Desk::new(POLICY);
    desk.engine.set_freezes(FreezeSource::Program, everything());
    let decision = desk.ask("{}");
    assert_eq!(brief(&decision), "deny (frozen)");
    assert_eq!(
        (&*decision.policy, decision.policy_index, decision.tool_index),
        ("p", Some(0), Some(0))
    );
    assert!(decision.limits.is_empty());
    // An unknown caller stays unknown, and a session may be opened.
    let mut unknown = request("x", "{}");
    unknown.caller = Caller::Token(Token::new("unknown"));
    assert_eq!(desk.decide(&unknown).rule, "(unknown grant)");
    let snapshot = desk.engine.snapshot();
    let session = desk.engine.recognise(&snapshot, &request("", "{}"), desk.now);
    assert_eq!(session.outcome, Outcome::Allow);
    assert!(
        desk.engine
            .listing(&snapshot, &request("", "{}"), desk.now)
            .is_some()
    );
}

#[test]
fn a_call_that_waits_is_settled_by_the_freezes_of_now() {
    for (frozen, rule) in [
        (freeze(Some("srv"), Some("y"), None, None), "(frozen)"),
        (freeze(Some("srv"), None, None, None), "(frozen)"),
        (freeze(None, None, Some("g1"), None), "(frozen)"),
        (freeze(None, None, None, None), "(frozen)"),
        (freeze(Some("srv"), Some("x"), None, None), ""),
        (freeze(Some("other"), None, None, None), ""),
        (freeze(None, None, None, Some(5)), ""),
    ] {
        let desk = Desk::new(POLICY);
        let state = Arc::clone(&desk.engine.snapshot());
        let request = request("y", "{}");
        let looked = desk
            .engine
            .look(&state, &request, desk.now, &mut Scratch::default(), |_| ());
        let ControlFlow::Continue(looked) = looked else {
            panic!("{looked:?}")
        };
        let looked = looked.into_owned().approved();
        desk.engine.set_freezes(FreezeSource::File, vec![frozen.clone()]);
        let decision = desk.engine.settle(&state, looked, Now::from_unix_us(5));
        assert_eq!(decision.rule, rule, "{frozen:?}");
        assert_eq!(decision.policy, "p");
    }
}

#[test]
fn a_frozen_call_is_not_looked_at() {
    let desk = Desk::new(POLICY);
    desk.engine.set_freezes(FreezeSource::File, everything());
    let state = desk.engine.snapshot();
    let request = request("y", "{}");
    let looked = desk
        .engine
        .look(&state, &request, desk.now, &mut Scratch::default(), |_| ());
    let ControlFlow::Break(decision) = looked else {
        panic!("{looked:?}")
    };
    assert_eq!(brief(&decision), "deny (frozen)");
    assert_eq!(desk.engine.counters().0, 0);
}

#[test]
fn an_explanation_has_the_step_while_there_are_freezes() {
    let mut desk = Desk::new(POLICY);
    let steps = |desk: &mut Desk| {
        let snapshot = desk.engine.snapshot();
        let explained = desk
            .engine
            .explain(&snapshot, &request("x", "{}"), desk.now, &mut desk.scratch);
        let steps = explained.steps.into_iter();
        steps
            .map(|step| (step.kind, step.rule, step.result))
            .take(2)
            .collect::<Vec<_>>()
    };
    let first = (StepKind::Request, String::new(), StepResult::Passed);
    assert_eq!(steps(&mut desk)[0], first);
    assert_eq!(steps(&mut desk)[1].0, StepKind::Hidden);
    desk.engine
        .set_freezes(FreezeSource::File, vec![freeze(Some("other"), None, None, None)]);
    let passed = (StepKind::Frozen, String::new(), StepResult::Passed);
    assert_eq!(steps(&mut desk), [first.clone(), passed]);
    desk.engine.set_freezes(FreezeSource::File, everything());
    let stopped = (StepKind::Frozen, "(frozen)".to_owned(), StepResult::Stopped);
    assert_eq!(steps(&mut desk), [first, stopped]);
}

#[test]
fn a_peek_says_it_and_shows_the_limits() {
    let mut desk = Desk::new(POLICY);
    let peek = |desk: &mut Desk, tool: &str| {
        let snapshot = desk.engine.snapshot();
        let peeked = desk
            .engine
            .peek(&snapshot, &request(tool, "{}"), desk.now, &mut desk.scratch);
        (
            peeked.decision.map(|decision| brief(&decision)),
            peeked.limits.len(),
        )
    };
    desk.engine.set_freezes(
        FreezeSource::File,
        vec![freeze(Some("srv"), Some("*"), None, None)],
    );
    assert_eq!(peek(&mut desk, "x"), (Some("deny (frozen)".to_owned()), 1));
    assert_eq!(peek(&mut desk, ""), (None, 1), "another tool may be free");
    desk.engine
        .set_freezes(FreezeSource::File, vec![freeze(Some("srv"), None, None, None)]);
    assert_eq!(peek(&mut desk, "x"), (Some("deny (frozen)".to_owned()), 1));
    assert_eq!(peek(&mut desk, ""), (Some("deny (frozen)".to_owned()), 1));
    assert_eq!(desk.engine.counters().0, 0);
}

#[test]
fn names_and_reasons_are_checked() {
    let scope = |server, tool, grant| FreezeScope::new(server, tool, grant).map(|scope| scope.kind());
    assert_eq!(scope(None, None, None), Ok("all"));
    assert_eq!(scope(Some("s"), Some("t*"), None), Ok("tool"));
    for wrong in [
        scope(Some(""), None, None),
        scope(Some("s"), Some("a\\"), None),
        scope(None, Some("t"), None),
        scope(None, Some("t"), Some("g")),
        scope(Some("s"), None, Some("g")),
        scope(None, None, Some("a\0b")),
    ] {
        assert!(wrong.is_err(), "{wrong:?}");
    }
    for reason in ["", "  ", "two\nlines", &"x".repeat(1_001)] {
        assert!(Freeze::new(FreezeScope::All, reason, None).is_err(), "{reason}");
    }
    assert!(Freeze::new(FreezeScope::All, &"é".repeat(1_000), None).is_ok());
}
