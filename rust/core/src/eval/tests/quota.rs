//! Quotas: which calls an enforcement point may admit by itself.

use std::sync::Arc;

use callgate_counters::lease::Shared;
use callgate_counters::{Demand, Sharing};

use super::*;
use crate::engine::QuotaCounts;
use crate::freeze::{Freeze, FreezeScope, FreezeSource};

fn quota(desk: &Desk, tool: &str) -> Result<Vec<Demand>, String> {
    let state = desk.engine.snapshot();
    let request = Request {
        session: Some("s1"),
        ..request(tool, r#"{"n": 1}"#)
    };
    let judged = desk
        .engine
        .quota(&state, &request, desk.now, &mut Scratch::default());
    judged
        .map(|counts| counts.demands)
        .map_err(|denial| format!("{}: {}", denial.rule, denial.message))
}

fn of_rules(rules: &str) -> Result<Vec<Demand>, String> {
    quota(&Desk::rules(rules), "x")
}

/// The rule of a refusal.
fn refused(rules: &str) -> String {
    let refused = of_rules(rules).unwrap_err();
    refused.split(": ").next().unwrap().to_owned()
}

#[test]
fn a_quota_is_on_the_counts_that_calls_use() {
    let mut desk = Desk::rules(
        r#"{"limits": [
            {"counter": "a", "window": "minute", "max": 5},
            {"counter": "b", "window": "hour", "max": 50, "scope": ["tool", "server"], "cost": 2},
            {"counter": "free", "window": "hour", "max": 1, "cost": 0}
        ]}"#,
    );
    let demands = quota(&desk, "x").unwrap();
    let costs: Vec<u64> = demands.iter().map(|demand| demand.cost.0).collect();
    assert_eq!(costs, [1_000_000, 2_000_000]);
    let now = desk.now;
    let mut taken: Vec<Demand> = demands.clone();
    desk.engine.store().take(&mut taken, "g1", now).unwrap();
    let decision = desk.ask("{}");
    let left: Vec<u64> = decision
        .limits
        .iter()
        .map(|limit| limit.remaining.0 / 1_000_000)
        .collect();
    assert_eq!(left, [3, 46, 1], "the same counts as those of calls");
}

#[test]
fn a_tool_without_limits_has_no_counts() {
    assert!(of_rules("{}").unwrap().is_empty());
    assert!(
        of_rules(r#"{"mode": "shadow", "limits": [{"counter": "a", "window": "day", "max": 1}]}"#)
            .unwrap()
            .is_empty()
    );
    assert!(
        of_rules(r#"{"require": [{"conditions": [{"any": [{"path": "tool", "op": "eq", "value": "x"}, {"path": "grant.id", "op": "eq", "value": "g1"}]}]}]}"#)
            .unwrap()
            .is_empty()
    );
}

#[test]
fn calls_that_are_denied_get_no_quota() {
    let desk = Desk::new(
        r#"{"version": "1", "default": "deny", "hide": ["gone"], "tools": {"no": {"action": "deny"}}}"#,
    );
    for (tool, rule) in [
        ("gone", "(hidden)"),
        ("no", "/tools/no/action"),
        ("other", "(default deny)"),
        ("", "(invalid request)"),
    ] {
        assert!(quota(&desk, tool).unwrap_err().starts_with(rule), "{tool}");
    }
    let desk = Desk::rules("{}");
    let all = FreezeScope::new(None, None, None).unwrap();
    let freezes = vec![Freeze::new(all, "stop", None).unwrap()];
    desk.engine.set_freezes(FreezeSource::Program, freezes);
    assert!(quota(&desk, "x").unwrap_err().starts_with("(frozen)"));
}

#[test]
fn rules_that_differ_from_call_to_call_get_no_quota() {
    let unseen = "(invalid request)";
    assert_eq!(refused(r#"{"action": "require_approval"}"#), unseen);
    assert_eq!(refused(r#"{"schema": {"type": "object"}}"#), unseen);
    for (path, value) in [
        ("args.n", "5"),
        ("session", r#""s1""#),
        ("time.hour", "5"),
        ("time.weekday", "5"),
        ("grant.labels.team", r#""ops""#),
    ] {
        for part in ["require", "deny_if"] {
            // Neither part stops the call by itself where the value is another or absent.
            let op = if part == "require" { "neq" } else { "eq" };
            let rules = format!(
                r#"{{"{part}": [{{"conditions": [{{"path": "{path}", "op": "{op}", "value": {value}}}]}}]}}"#
            );
            assert!(of_rules(&rules).is_err(), "{part} {path}");
        }
    }
    let limit = |more: &str| {
        refused(&format!(
            r#"{{"limits": [{{"counter": "a", "max": 9, {more}}}]}}"#
        ))
    };
    assert_eq!(
        limit(r#""window": "minute", "scope": "session""#),
        "/tools/x/limits/a"
    );
    assert_eq!(
        limit(r#""window": "day", "align": "calendar""#),
        "/tools/x/limits/a"
    );
    assert_eq!(limit(r#""window": "day", "scope": ["grant", "args.n"]"#), unseen);
    assert_eq!(limit(r#""window": "day", "cost": "args.n""#), unseen);
    assert_eq!(
        refused(r#"{"limits": [{"counter": "a", "window": "day", "max": 9, "at_max": "require_approval"}]}"#),
        unseen
    );
}

#[test]
fn rules_of_every_entry_count() {
    let desk = Desk::new(
        r#"{"version": "1", "default": "allow", "all_tools": {"limits": [{"counter": "all", "window": "minute", "max": 5}]},
            "tools": {"x": {"limits": [{"counter": "x", "window": "minute", "max": 3}]}}}"#,
    );
    assert_eq!(quota(&desk, "x").unwrap().len(), 2);
    assert_eq!(quota(&desk, "y").unwrap().len(), 1);
}

#[test]
fn leased_limits_have_quotas_and_strict_ones_have_none() {
    let quota_of = |shared: &str| {
        let desk = Desk::rules(&format!(
            r#"{{"limits": [{{"counter": "a", "window": "minute", "max": 5, "shared": "{shared}"}},
                            {{"counter": "b", "window": "hour", "max": 9, "shared": "local"}}]}}"#
        ));
        let alone = quota(&desk, "x").unwrap();
        let is_local = |demand: &Demand| demand.shape.sharing == Sharing::Local;
        assert!(alone.iter().all(is_local), "there is no store");
        desk.engine.share(Arc::new(Shared::new([9; 16])));
        let state = desk.engine.snapshot();
        let judged = desk
            .engine
            .quota(&state, &request("x", "{}"), desk.now, &mut Scratch::default());
        judged.map_err(|denial| denial.rule.into_owned())
    };
    let QuotaCounts { demands, policy } = quota_of("leased").unwrap();
    let sharing: Vec<Sharing> = demands.iter().map(|demand| demand.shape.sharing).collect();
    assert_eq!(sharing, [Sharing::Leased, Sharing::Local]);
    assert_eq!(policy.unwrap().name, "policy");
    assert!(quota_of("local").unwrap().policy.is_none());
    assert_eq!(quota_of("strict").unwrap_err(), "/tools/x/limits/a");
}
