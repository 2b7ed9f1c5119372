//! Limits that a person may pass: `at_max` (`docs/policy.md` sections 2, 4 and 6).

use std::ops::ControlFlow;
use std::sync::Arc;

use callgate_counters::{ClockReading, Counters, ReadClocks};

use super::*;
use crate::engine::Looked;
use crate::{Decision, Outcome};

const RULES: &str = r#"{
    "approval": {"approvers": ["finance"]},
    "limits": [
        {"counter": "calls", "max": 3, "window": "hour"},
        {"counter": "spend", "max": 100, "window": "day", "cost": "args.amount", "at_max": "require_approval"}
    ]
}"#;

/// `allow`, or the outcome and the rule.
fn spend(desk: &mut Desk, amount: u64) -> String {
    desk.answer(&format!(r#"{{"amount": {amount}}}"#))
}

/// A call as it waits for its approval.
fn looked(desk: &mut Desk, state: &State, args: &str) -> Looked<'static, 'static> {
    let request = request("x", args);
    match desk
        .engine
        .look(state, &request, desk.now, &mut Scratch::default(), |_| ())
    {
        ControlFlow::Continue(looked) => looked.into_owned(),
        ControlFlow::Break(decision) => panic!("{decision:?}"),
    }
}

/// Decides tool `x` as if a person had approved of the call.
fn approved(desk: &mut Desk, amount: u64) -> Decision<'static> {
    let state = Arc::clone(&desk.engine.snapshot());
    let looked = looked(desk, &state, &format!(r#"{{"amount": {amount}}}"#)).approved();
    desk.engine.settle(&state, looked, desk.now).into_owned()
}

/// Units left and units over of each limit.
fn left(decision: &Decision<'_>) -> Vec<(u64, u64)> {
    let units = |limit: &crate::LimitState<'_>| (limit.remaining.0 / 1_000_000, limit.over.0 / 1_000_000);
    decision.limits.iter().map(units).collect()
}

#[test]
fn a_limit_at_its_max_asks_and_takes_nothing() {
    let mut desk = Desk::rules(RULES);
    assert_eq!(spend(&mut desk, 60), "allow ");
    assert_eq!(spend(&mut desk, 41), "approval_required /tools/x/limits/spend");
    let decision = desk.ask(r#"{"amount": 41}"#);
    assert!(decision.fingerprint.is_some() && decision.retry_after_ms.is_none());
    assert_eq!(left(&decision), [(2, 0), (40, 0)]);
    assert!(
        decision.message.contains("100 units per day for this grant"),
        "{}",
        decision.message
    );
    assert_eq!(spend(&mut desk, 40), "allow ", "there is room for this one");
}

#[test]
fn an_approved_call_is_counted_above_max() {
    let mut desk = Desk::rules(RULES);
    assert_eq!(spend(&mut desk, 60), "allow ");
    let decision = approved(&mut desk, 70);
    assert_eq!(decision.outcome, Outcome::Allow);
    assert_eq!(left(&decision), [(1, 0), (0, 30)]);
    assert_eq!(spend(&mut desk, 1), "approval_required /tools/x/limits/spend");
    desk.at_ms(24 * 3_600_000 + 3_600_000);
    assert_eq!(spend(&mut desk, 100), "allow ", "the window has passed");
}

#[test]
fn a_cost_above_max_asks_too_before_there_is_a_count() {
    let mut desk = Desk::rules(RULES);
    assert_eq!(spend(&mut desk, 101), "approval_required /tools/x/limits/spend");
    assert_eq!(left(&approved(&mut desk, 1_000)), [(2, 0), (0, 900)]);
}

#[test]
fn where_there_is_room_meanwhile_no_approval_is_needed() {
    let mut desk = Desk::rules(RULES);
    spend(&mut desk, 60);
    let state = Arc::clone(&desk.engine.snapshot());
    let args = r#"{"amount": 41}"#;
    let needed = looked(&mut desk, &state, args);
    let needs: Vec<_> = needed
        .needs()
        .map(|need| (need.rule.as_str(), need.terms.approvers.as_slice()))
        .collect();
    assert_eq!(needs, [("/tools/x/limits/spend", &["finance".to_owned()][..])]);
    desk.at_ms(25 * 3_600_000);
    let now = looked(&mut desk, &state, args);
    assert_eq!((now.needs().count(), now.needed_approval()), (0, None));
}

#[test]
fn another_limit_refuses_before_anybody_is_asked() {
    let mut desk = Desk::rules(RULES);
    for _ in 0..3 {
        assert_eq!(spend(&mut desk, 0), "allow ");
    }
    assert_eq!(spend(&mut desk, 500), "rate_limited /tools/x/limits/calls");
}

#[test]
fn an_approval_for_one_limit_passes_no_other() {
    let mut desk = Desk::rules(RULES);
    let state = Arc::clone(&desk.engine.snapshot());
    let waiting = looked(&mut desk, &state, r#"{"amount": 500}"#).approved();
    for _ in 0..3 {
        spend(&mut desk, 0);
    }
    let decision = desk.engine.settle(&state, waiting, desk.now);
    assert_eq!(brief(&decision), "rate_limited /tools/x/limits/calls");
    assert_eq!(left(&decision), [(0, 0), (100, 0)], "nothing was taken");
}

#[test]
fn units_that_went_meanwhile_make_the_call_ask_the_next_time() {
    let mut desk = Desk::rules(RULES);
    let state = Arc::clone(&desk.engine.snapshot());
    let waiting = looked(&mut desk, &state, r#"{"amount": 100}"#);
    assert_eq!(waiting.needs().count(), 0);
    spend(&mut desk, 1);
    let decision = desk.engine.settle(&state, waiting, desk.now);
    assert_eq!(brief(&decision), "rate_limited /tools/x/limits/spend");
    assert_eq!(decision.retry_after_ms, Some(1), "the next try asks");
}

#[test]
fn needs_of_entries_come_before_those_of_limits() {
    let mut desk = Desk::rules(
        r#"{"action": "require_approval",
            "limits": [{"counter": "c", "max": 0, "window": "hour", "at_max": "require_approval"}]}"#,
    );
    let state = Arc::clone(&desk.engine.snapshot());
    let waiting = looked(&mut desk, &state, "{}");
    let rules: Vec<_> = waiting.needs().map(|need| need.rule.clone()).collect();
    assert_eq!(rules, ["/tools/x/approval", "/tools/x/limits/c"]);
    let decision = desk.engine.settle(&state, waiting.approved(), desk.now);
    assert_eq!(
        (decision.outcome, left(&decision)),
        (Outcome::Allow, vec![(0, 1)])
    );
}

#[test]
fn in_shadow_it_only_reports() {
    let mut desk = Desk::rules(
        r#"{"mode": "shadow", "limits": [
            {"counter": "c", "max": 1, "window": "hour", "at_max": "require_approval"},
            {"counter": "d", "max": 2, "window": "hour"}]}"#,
    );
    assert!(desk.ask("{}").shadow.is_none());
    let shadow = |desk: &mut Desk| {
        let decision = desk.ask("{}");
        assert_eq!(decision.outcome, Outcome::Allow);
        decision
            .shadow
            .map(|shadow| format!("{} {}", shadow.outcome, shadow.rule))
    };
    let asked = Some("approval_required /tools/x/limits/c".to_owned());
    assert_eq!(shadow(&mut desk), asked);
    assert_eq!(shadow(&mut desk), asked, "and takes nothing");
}

#[test]
fn in_shadow_it_stops_no_call_when_the_counters_cannot_be_reached() {
    let limit = r#""limits": [{"counter": "c", "max": 1, "window": "hour", "at_max": "require_approval"}]"#;
    let gone = "deny (counter store unavailable)";
    for (rules, answer) in [
        (
            format!(r#"{{"mode": "shadow", {limit}}}"#),
            format!("allow  | {gone}"),
        ),
        (format!("{{{limit}}}"), gone.to_owned()),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("counters");
        let reading = ClockReading {
            boot_id: [1; 16],
            boot_us: 1,
            unix_us: 1,
        };
        let clocks = || ReadClocks::new(move || Ok(reading));
        let holder = Counters::open_shared(&path, 10, 10, &[1; 16], clocks()).unwrap();
        let mut desk = Desk::rules(&rules);
        let state = State::build(
            Policies::EveryServer(policy(&format!(
                r#"{{"version": "1", "default": "allow", "tools": {{"x": {rules}}}}}"#
            ))),
            Catalogue::default(),
        );
        desk.engine = Engine::open_shared(state.unwrap(), config(), &path, clocks()).unwrap();
        // Other counters are in their place now.
        drop(holder);
        std::fs::remove_file(&path).unwrap();
        drop(Counters::open(&path, 10, 10, &[2; 16], || Ok(reading)).unwrap());
        assert_eq!(desk.answer("{}"), answer, "{rules}");
    }
}

#[test]
fn a_door_that_sees_no_arguments_cannot_ask() {
    let mut desk = Desk::rules(
        r#"{"limits": [{"counter": "c", "max": 1, "window": "hour", "at_max": "require_approval"}]}"#,
    );
    let unseen = Request {
        args: Args::Unseen,
        ..request("x", "")
    };
    assert_eq!(brief(&desk.decide(&unseen)), "deny (invalid request)");
}

#[test]
fn a_roll_back_gives_units_above_max_back() {
    let mut desk = Desk::rules(RULES);
    let state = Arc::clone(&desk.engine.snapshot());
    let id = crate::ReservationId::new(7);
    let reserving = Request {
        reserve: Some(id),
        ..request("x", r#"{"amount": 150}"#)
    };
    let looked = desk
        .engine
        .look(&state, &reserving, desk.now, &mut Scratch::default(), |_| ());
    let ControlFlow::Continue(looked) = looked else {
        panic!("{looked:?}")
    };
    let decision = desk.engine.settle(&state, looked.approved(), desk.now);
    assert_eq!(left(&decision), [(2, 0), (0, 50)]);
    assert!(desk.engine.roll_back(id, Pep::UNNAMED.id, desk.now));
    assert_eq!(left(&desk.ask(r#"{"amount": 0}"#)), [(2, 0), (100, 0)]);
}
