//! Calls that wait between look and settle.

use std::ops::ControlFlow;
use std::sync::Arc;

use super::*;
use crate::Outcome;
use crate::engine::Looked;

const RULES: &str = r#"{
    "action": "require_approval",
    "limits": [{"counter": "calls", "max": 2, "window": "hour"}, {"counter": "spend", "max": 100, "window": "day", "cost": "args.amount"}]
}"#;

fn request<'r>(args: &'r [u8], grant: &'r str) -> Request<'r> {
    Request {
        tool: "x",
        args: Args::Json(args),
        caller: Caller::new(grant, "", &[]),
        server: "",
        pep: Pep::UNNAMED,
        session: None,
        reserve: None,
        pins: None,
        unseen_member: None,
    }
}

/// A call as it waits: its request and its buffers are gone.
fn waiting(desk: &mut Desk, state: &State, amount: u64) -> Looked<'static, 'static> {
    let args = format!(r#"{{"amount": {amount}}}"#);
    let request = request(args.as_bytes(), "g");
    let looked = desk
        .engine
        .look(state, &request, desk.now, &mut Scratch::default(), |_| ());
    match looked {
        ControlFlow::Continue(looked) => looked.into_owned(),
        ControlFlow::Break(decision) => panic!("{decision:?}"),
    }
}

#[test]
fn a_call_that_waits_is_settled_by_the_state_that_weighed_it() {
    let mut desk = Desk::rules(RULES);
    let state = Arc::clone(&desk.engine.snapshot());
    let first = waiting(&mut desk, &state, 60);
    let second = waiting(&mut desk, &state, 60);
    assert!(first.needed_approval().is_some());
    assert_eq!(first.needed_approval(), second.needed_approval(), "the same call");
    desk.engine.reload(
        State::build(
            Policies::EveryServer(policy(r#"{"version": "1", "default": "deny"}"#)),
            Catalogue::default(),
        )
        .unwrap(),
    );
    let now = Now::from_unix_us(5_000_000);
    let engine = &desk.engine;
    let settled = std::thread::scope(|scope| {
        let settle = |looked: Looked<'static, 'static>| {
            let state = &state;
            scope.spawn(move || engine.settle(state, looked.approved(), now).into_owned())
        };
        [settle(first), settle(second)].map(|thread| thread.join().unwrap())
    });
    // Both were looked at, and there is room for one of them.
    let mut outcomes = settled.each_ref().map(|decision| decision.outcome);
    outcomes.sort_by_key(|outcome| *outcome as u8);
    assert_eq!(outcomes, [Outcome::Allow, Outcome::RateLimited]);
    for decision in &settled {
        assert_eq!(decision.decided_at_us, 5_000_000);
        let remaining: Vec<u64> = decision
            .limits
            .iter()
            .map(|limit| limit.remaining.0 / 1_000_000)
            .collect();
        assert_eq!(remaining, [1, 40], "a refused call takes nothing");
    }
}

#[test]
fn an_approval_that_nobody_gave_is_asked_for() {
    let mut desk = Desk::rules(RULES);
    let state = Arc::clone(&desk.engine.snapshot());
    let looked = waiting(&mut desk, &state, 1);
    let fingerprint = looked.needed_approval().copied();
    let decision = desk.engine.settle(&state, looked, desk.now);
    assert_eq!(decision.outcome, Outcome::ApprovalRequired);
    assert_eq!(
        (decision.fingerprint, decision.rule.as_ref()),
        (fingerprint, "/tools/x/approval")
    );
    let approved = waiting(&mut desk, &state, 1).approved();
    assert_eq!(approved.needed_approval(), None);
    let decision = desk.engine.settle(&state, approved, desk.now);
    assert_eq!((decision.outcome, decision.fingerprint), (Outcome::Allow, None));
}

#[test]
fn every_place_that_asks_is_a_need_in_order() {
    let document = r#"{
        "version": "1", "default": "deny",
        "all_tools": {"action": "require_approval", "approval": {"timeout": "2h", "approvers": ["ops"]}},
        "categories": {"Financial": {"action": "require_approval",
            "approval": {"when": [{"conditions": [{"path": "args.amount", "op": "gt", "value": 5}]}], "count": 2}}},
        "tools": {"x": {"action": "require_approval", "approval": {"valid": "5m"}}}
    }"#;
    let facts = r#"{"version": "1", "servers": {"srv": {"tools": {"x": {"category": "Financial"}}}}}"#;
    let mut desk = Desk::with_catalogue(document, catalogue(facts));
    let state = Arc::clone(&desk.engine.snapshot());
    let rules = |looked: &Looked<'_, '_>| looked.needs().map(|need| need.rule.clone()).collect::<Vec<_>>();
    let some = waiting(&mut desk, &state, 5);
    assert_eq!(rules(&some), ["/tools/x/approval", "/all_tools/approval"]);
    let all = waiting(&mut desk, &state, 6);
    let expected = [
        "/tools/x/approval",
        "/categories/Financial/approval",
        "/all_tools/approval",
    ];
    assert_eq!(rules(&all), expected);
    let terms: Vec<_> = all
        .needs()
        .map(|need| (need.terms.valid_ms, need.terms.count))
        .collect();
    assert_eq!(terms, [(300_000, 1), (3_600_000, 2), (7_200_000, 1)]);
    assert_eq!(all.needs().last().unwrap().terms.approvers, ["ops"]);
    let decision = desk.engine.settle(&state, all, desk.now);
    assert_eq!(decision.rule, "/tools/x/approval", "the first one");
    assert_eq!(some.approved().needs().count(), 0);
}

#[test]
fn nobody_is_asked_about_a_call_that_has_too_little_left() {
    let mut desk = Desk::rules(RULES);
    let state = Arc::clone(&desk.engine.snapshot());
    let looked = waiting(&mut desk, &state, 90).approved();
    assert_eq!(
        desk.engine.settle(&state, looked, desk.now).outcome,
        Outcome::Allow
    );
    let request = request(br#"{"amount": 11}"#, "g");
    let looked = desk
        .engine
        .look(&state, &request, desk.now, &mut Scratch::default(), |_| ());
    match looked {
        ControlFlow::Break(decision) => {
            assert_eq!(
                (decision.outcome, decision.fingerprint),
                (Outcome::RateLimited, None)
            );
        }
        ControlFlow::Continue(looked) => panic!("{looked:?}"),
    }
}
