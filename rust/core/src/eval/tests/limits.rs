//! Section 4: scopes, costs, counts, reservations.

use callgate_counters::Micros;

use super::{Desk, brief, request};
use crate::{Caller, Pep, Request, ReservationId};

fn limit(fields: &str) -> Desk {
    Desk::rules(&format!(
        r#"{{"limits": [{{"counter": "c", "window": "minute", {fields}}}]}}"#
    ))
}

#[test]
fn costs_are_exact_decimals() {
    let mut desk = limit(r#""max": 1.5, "cost": "args.n""#);
    for unusable in [
        "-1",
        "-0.000001",
        "1.0000001",
        "1e-7",
        "1000000000001",
        "1e400",
        "\"1\"",
        "true",
        "null",
        "[1]",
        "{}",
    ] {
        assert_eq!(
            desk.answer(&format!(r#"{{"n": {unusable}}}"#)),
            "deny /tools/x/limits/c/cost",
            "{unusable}"
        );
    }
    assert_eq!(desk.answer("{}"), "deny /tools/x/limits/c/cost");
    assert_eq!(
        desk.answer(r#"{"n": 1.500001}"#),
        "deny /tools/x/limits/c",
        "above max"
    );
    assert_eq!(
        desk.answer(r#"{"n": 1e12}"#),
        "deny /tools/x/limits/c",
        "a cost that may be, above max"
    );
    for usable in ["0", "-0", "0e5", "0.25000000000", "25e-2", "0.000001"] {
        assert_eq!(
            desk.answer(&format!(r#"{{"n": {usable}}}"#)),
            "allow ",
            "{usable}"
        );
    }
    let decision = desk.ask(r#"{"n": 0.5}"#);
    assert_eq!(brief(&decision), "allow ");
    assert_eq!(decision.limits[0].max, Micros(1_500_000));
    assert_eq!(
        decision.limits[0].remaining,
        Micros(499_999),
        "1.5 - 0.25 - 0.25 - 0.000001 - 0.5"
    );
    assert_eq!(desk.answer(r#"{"n": 0.5}"#), "rate_limited /tools/x/limits/c");
    assert_eq!(desk.answer(r#"{"n": 0.499999}"#), "allow ");
}

#[test]
fn a_wrong_step_to_a_cost_or_a_scope() {
    let mut desk = limit(r#""max": 5, "cost": "args.a.n""#);
    assert_eq!(desk.answer(r#"{"a": "text"}"#), "deny /tools/x/limits/c/cost");
    assert_eq!(desk.answer(r#"{"a": null}"#), "deny /tools/x/limits/c/cost");
    let mut desk = limit(r#""max": 5, "scope": ["grant", "args.a.n"]"#);
    for (args, answer) in [
        (r#"{"a": "text"}"#, "deny /tools/x/limits/c"),
        (r#"{"a": null}"#, "deny /tools/x/limits/c"),
        ("{}", "deny /tools/x/limits/c"),
        (r#"{"a": {"n": null}}"#, "allow "),
    ] {
        assert_eq!(desk.answer(args), answer, "{args}");
    }
}

#[test]
fn a_scope_fault_comes_before_a_cost_fault_and_both_before_a_used_up_limit() {
    let mut desk = Desk::rules(
        r#"{"limits": [{"counter": "a", "window": "minute", "max": 1},
            {"counter": "b", "window": "minute", "max": 5, "scope": "args.k", "cost": "args.n"}]}"#,
    );
    assert_eq!(desk.answer(r#"{"k": 1, "n": 1}"#), "allow ");
    assert_eq!(desk.answer("{}"), "deny /tools/x/limits/b");
    assert_eq!(desk.answer(r#"{"k": 1}"#), "deny /tools/x/limits/b/cost");
    assert_eq!(
        desk.answer(r#"{"k": 1, "n": 1}"#),
        "rate_limited /tools/x/limits/a"
    );
}

#[test]
fn values_of_a_scope_compare_as_eq() {
    let mut desk = limit(r#""max": 1, "scope": "args.k""#);
    for (first, same) in [
        ("1", "1.0"),
        ("null", "null"),
        (r#""é""#, r#""\u00e9""#),
        (r#"{"a": 1, "b": [2]}"#, r#"{"b": [2e0], "a": 10e-1}"#),
        ("0", "-0"),
        ("\"1\"", "\"1\""),
        ("true", "true"),
        ("\"null\"", "\"null\""),
    ] {
        assert_eq!(desk.answer(&format!(r#"{{"k": {first}}}"#)), "allow ", "{first}");
        assert_eq!(
            desk.answer(&format!(r#"{{"k": {same}}}"#)),
            "rate_limited /tools/x/limits/c",
            "{same}"
        );
    }
}

#[test]
fn a_mixed_scope_counts_per_combination_in_any_order() {
    let text = r#"{"version": "1", "default": "allow", "tools": {
        "x": {"limits": [{"counter": "c", "window": "minute", "max": 1, "scope": ["tool", "args.k", "grant", "server"]}]},
        "y": {"limits": [{"counter": "c", "window": "60s", "max": 1, "scope": ["grant", "args[\"k\"]", "server"]}]},
        "z": {"limits": [{"counter": "c", "window": 60, "max": 1, "scope": ["server", "grant", "args.k"]}]}}}"#;
    let mut desk = Desk::new(text);
    let base = request("x", r#"{"k": 1}"#);
    assert_eq!(brief(&desk.decide(&base)), "allow ");
    for other in [
        Request {
            caller: Caller::named("g2"),
            ..base
        },
        Request { server: "s2", ..base },
        request("x", r#"{"k": 2}"#),
        // Another set of scopes is another count.
        request("y", r#"{"k": 1}"#),
    ] {
        assert_eq!(brief(&desk.decide(&other)), "allow ", "{other:?}");
    }
    assert_eq!(brief(&desk.decide(&base)), "rate_limited /tools/x/limits/c");
    assert_eq!(
        brief(&desk.decide(&request("z", r#"{"k": 1}"#))),
        "rate_limited /tools/z/limits/c",
        "the same set as y's"
    );
}

#[test]
fn sessions_belong_to_their_grant_and_none_is_one_of_them() {
    let mut desk = limit(r#""max": 1, "scope": ["session", "grant"]"#);
    let none = request("x", "{}");
    for first in [
        none,
        Request {
            session: Some("s"),
            ..none
        },
        Request {
            session: Some("t"),
            ..none
        },
    ] {
        assert_eq!(brief(&desk.decide(&first)), "allow ", "{first:?}");
        assert_eq!(brief(&desk.decide(&first)), "rate_limited /tools/x/limits/c");
        assert_eq!(
            brief(&desk.decide(&Request {
                caller: Caller::named("g2"),
                ..first
            })),
            "allow ",
            "another grant's session"
        );
    }
    assert_eq!(
        brief(&desk.decide(&Request {
            session: Some(""),
            ..none
        })),
        "rate_limited /tools/x/limits/c",
        "an empty session is none"
    );
}

#[test]
fn one_count_met_twice_takes_the_larger_cost_under_the_first_rule() {
    let mut desk = Desk::new(
        r#"{"version": "1", "default": "allow", "all_tools": {"limits": [{"counter": "c", "window": "minute", "max": 5, "cost": 3}]},
            "tools": {"x": {"limits": [{"counter": "c", "window": "minute", "max": 5, "cost": 1}]}}}"#,
    );
    let first = desk.ask("{}");
    assert_eq!(first.limits.len(), 1);
    assert_eq!(
        (first.limits[0].rule.as_ref(), first.limits[0].remaining),
        ("/tools/x/limits/c", Micros(2_000_000))
    );
    assert_eq!(desk.answer("{}"), "rate_limited /tools/x/limits/c");
}

#[test]
fn every_limit_that_applied_is_reported() {
    let mut desk = Desk::rules(
        r#"{"limits": [{"counter": "a", "window": "minute", "max": 3, "scope": "global"},
            {"counter": "b", "window": "day", "align": "calendar", "max": 1}]}"#,
    );
    desk.at_ms(1_000);
    let decision = desk.ask("{}");
    let seen: Vec<_> = decision
        .limits
        .iter()
        .map(|limit| {
            (
                limit.counter.as_ref(),
                limit.remaining.0,
                limit.reset_after_ms,
                limit.window_ms,
            )
        })
        .collect();
    assert_eq!(
        seen,
        [("a", 2_000_000, 60_000, 60_000), ("b", 0, 86_399_000, 86_400_000)]
    );
    assert_eq!(decision.decided_at_us, 1_000_000);
    desk.at_ms(2_000);
    let refused = desk.ask("{}");
    assert_eq!(brief(&refused), "rate_limited /tools/x/limits/b");
    assert_eq!(refused.retry_after_ms, Some(86_398_000));
    let left: Vec<_> = refused.limits.iter().map(|limit| limit.remaining.0).collect();
    assert_eq!(left, [2_000_000, 0], "nothing was taken from the other");
}

#[test]
fn the_first_rule_and_the_longest_wait() {
    let mut desk = Desk::rules(
        r#"{"limits": [{"counter": "a", "window": "second", "max": 1, "on_deny": "slow down"},
            {"counter": "b", "window": "hour", "max": 1}]}"#,
    );
    assert_eq!(desk.answer("{}"), "allow ");
    desk.at_ms(500);
    let refused = desk.ask("{}");
    assert_eq!(brief(&refused), "rate_limited /tools/x/limits/a");
    assert_eq!(
        (refused.retry_after_ms, refused.message.as_ref()),
        (Some(3_599_500), "slow down")
    );
}

#[test]
fn reservations_give_units_back_once() {
    let id = ReservationId::new;
    let mut desk = limit(r#""max": 1"#);
    let reserving = Request {
        reserve: Some(id(42)),
        ..request("x", "{}")
    };
    assert_eq!(desk.decide(&reserving).reservation, Some(id(42)));
    let refused = desk.decide(&Request {
        reserve: Some(id(43)),
        ..reserving
    });
    assert_eq!(
        (brief(&refused).as_str(), refused.reservation),
        ("rate_limited /tools/x/limits/c", None)
    );
    assert!(
        !desk.engine.roll_back(id(43), Pep::UNNAMED.id, desk.now),
        "a refused call reserves nothing"
    );
    assert!(desk.engine.roll_back(id(42), Pep::UNNAMED.id, desk.now));
    assert!(!desk.engine.roll_back(id(42), Pep::UNNAMED.id, desk.now));
    assert_eq!(desk.answer("{}"), "allow ");
}

#[test]
fn a_full_house_denies_new_counts_alone() {
    let policy = super::policy(
        r#"{"version": "1", "default": "allow", "tools": {"x": {"limits": [{"counter": "c", "window": "minute", "max": 2, "scope": "args.k"}]}}}"#,
    );
    let state = crate::State::build(
        crate::engine::Policies::EveryServer(policy),
        crate::policy::Catalogue::default(),
    );
    let mut desk = Desk::of(
        state.unwrap(),
        crate::EngineConfig {
            counters_per_grant: 2,
            ..super::config()
        },
    );
    assert_eq!(desk.answer(r#"{"k": 1}"#), "allow ");
    assert_eq!(desk.answer(r#"{"k": 2}"#), "allow ");
    assert_eq!(desk.answer(r#"{"k": 3}"#), "deny (counter capacity)");
    assert_eq!(
        desk.answer(r#"{"k": 2}"#),
        "allow ",
        "a count that is there goes on"
    );
}

#[test]
fn a_reload_keeps_counts_and_changes_max() {
    let mut desk = limit(r#""max": 2"#);
    assert_eq!(desk.answer("{}"), "allow ");
    let rules = |max: u32| {
        let text = format!(
            r#"{{"version": "1", "default": "deny", "tools": {{"x": {{"limits": [{{"counter": "c", "window": "60s", "max": {max}}}]}}}}}}"#
        );
        crate::State::build(
            crate::engine::Policies::EveryServer(super::policy(&text)),
            crate::policy::Catalogue::default(),
        )
        .unwrap()
    };
    desk.engine.reload(rules(1));
    assert_eq!(
        desk.answer("{}"),
        "rate_limited /tools/x/limits/c",
        "a changed max applies to what was taken"
    );
    desk.engine.reload(rules(3));
    assert_eq!(desk.answer("{}"), "allow ");
    assert_eq!(desk.answer("{}"), "allow ");
    assert_eq!(desk.answer("{}"), "rate_limited /tools/x/limits/c");
}

#[test]
fn a_max_of_zero() {
    let mut desk = limit(r#""max": 0, "cost": "args.n""#);
    assert_eq!(desk.answer(r#"{"n": 1}"#), "deny /tools/x/limits/c");
    assert_eq!(desk.answer(r#"{"n": 0}"#), "allow ", "nothing is wanted");
}
