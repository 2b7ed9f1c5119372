//! Lines as the decision log has them, and what another policy says of them.

use super::*;
use crate::eval::tests::{catalogue, policy};

const SECOND_US: u64 = 1_000_000;
const START_US: u64 = 1_700_000_000 * SECOND_US;

/// A replay by a policy with these rules of tool `x`, under default deny.
fn by(rules: &str) -> Replay {
    with_setup(rules, ReplaySetup::default())
}

fn with_setup(rules: &str, setup: ReplaySetup) -> Replay {
    let text = format!(r#"{{"version": "1", "default": "deny", "tools": {{"x": {rules}}}}}"#);
    Replay::new(policy(&text), Catalogue::default(), setup).unwrap()
}

/// A line of tool `x`, `second` after the start, with these further members.
fn line(second: u64, more: &str) -> String {
    let decided_at_us = START_US + second * SECOND_US;
    let fixed = format!(
        r#""decided_at_us": {decided_at_us}, "protocol": "grpc", "server": "srv", "grant": "g", "session": "", "tool": "x", "policy": "old""#
    );
    let usual = [
        (r#""outcome""#, r#""outcome": "allow", "rule": """#),
        (r#""args_keys""#, r#""args_keys": []"#),
    ];
    let is_given = |field: &str| more.starts_with(field) || more.contains(&format!(", {field}"));
    let usual = usual.iter().filter(|(field, _)| !is_given(field));
    let mut parts: Vec<&str> = vec![&fixed];
    parts.extend(usual.map(|(_, member)| *member));
    parts.extend(Some(more).filter(|more| !more.is_empty()));
    format!("{{{}}}", parts.join(", "))
}

fn judged(replay: &mut Replay, line: &str) -> Judgement {
    match replay.decide(line.as_bytes()) {
        Replayed::Decided(judgement) => judgement,
        other => panic!("{other:?}: {line}"),
    }
}

/// The change and the possible answers, in words.
fn brief(replay: &mut Replay, line: &str) -> String {
    let judgement = judged(replay, line);
    let new: Vec<String> = judgement
        .new
        .iter()
        .map(|(outcome, rule)| format!("{outcome} {rule}").trim_end().to_owned())
        .collect();
    let change = judgement.change.map_or("unknown", Change::as_str);
    format!("{change}: {}", new.join(", "))
}

#[test]
fn values_that_were_logged_are_judged() {
    let mut replay =
        by(r#"{"require": [{"conditions": [{"path": "args.region", "op": "in", "value": ["eu"]}]}]}"#);
    let logged = |region: &str| {
        line(
            0,
            &format!(r#""args_keys": ["region", "name"], "args": {{"args.region": "{region}"}}"#),
        )
    };
    assert_eq!(brief(&mut replay, &logged("eu")), "same: allow");
    assert_eq!(
        brief(&mut replay, &logged("us")),
        "stricter: deny /tools/x/require/args.region-in"
    );
    let not_logged = line(0, r#""args_keys": ["region"]"#);
    let judgement = judged(&mut replay, &not_logged);
    assert_eq!(judgement.change, None);
    assert_eq!(judgement.reasons, [Unknown::NotLogged("args.region".to_owned())]);
    // The keys say that the argument is missing.
    assert_eq!(
        brief(&mut replay, &line(0, r#""args_keys": ["name"]"#)),
        "stricter: deny /tools/x/require/args.region-in"
    );
    let more = line(0, r#""args_keys": ["name"], "args_keys_omitted": 3"#);
    assert!(brief(&mut replay, &more).starts_with("unknown: "));
}

#[test]
fn a_refusal_stays_one_whatever_was_not_logged() {
    let mut replay = by(
        r#"{"deny_if": [{"conditions": [{"path": "args.a", "op": "gt", "value": 5}]}], "action": "deny"}"#,
    );
    let denied = line(
        0,
        r#""outcome": "deny", "rule": "/tools/x/deny_if/0", "args_keys": ["a"]"#,
    );
    assert_eq!(brief(&mut replay, &denied), "same: deny /tools/x/action");
    let mut replay = by(
        r#"{"deny_if": [{"conditions": [{"path": "args.a", "op": "gt", "value": 5}]}],
            "limits": [{"counter": "c", "window": "minute", "max": 1}]}"#,
    );
    assert_eq!(brief(&mut replay, &line(0, "")), "same: allow");
    assert_eq!(
        brief(&mut replay, &denied),
        "unknown: deny /tools/x/deny_if/args.a-gt, rate_limited /tools/x/limits/c"
    );
    let limited = line(0, r#""args_keys": ["a"]"#);
    assert_eq!(
        brief(&mut replay, &limited),
        "stricter: deny /tools/x/deny_if/args.a-gt, rate_limited /tools/x/limits/c"
    );
}

#[test]
fn cut_and_hidden_values_are_not_known() {
    let mut replay =
        by(r#"{"deny_if": [{"conditions": [{"path": "args.a", "op": "contains", "value": "evil"}]}]}"#);
    for more in [
        r#""args_keys": ["a"], "args": {"args.a": "go"}, "args_cut": ["args.a"]"#,
        r#""args_keys": ["a"], "args": {"args.a": "cgt_k3Jd..."}"#,
    ] {
        assert!(
            brief(&mut replay, &line(0, more)).starts_with("unknown: "),
            "{more}"
        );
    }
    let long = line(
        0,
        &format!(
            r#""args_keys": ["a"], "args": {{"args.a": "go"}}, "x": "{}""#,
            "y".repeat(200)
        ),
    );
    assert_eq!(brief(&mut replay, &long), "same: allow");
    let long = "t".repeat(128);
    let cut = line(0, "").replace(r#""tool": "x""#, &format!(r#""tool": "{long}""#));
    assert_eq!(judged(&mut replay, &cut).reasons, [Unknown::Name("tool")]);
}

#[test]
fn elements_of_lists_that_the_log_left_out_count() {
    let mut replay =
        by(r#"{"require": [{"conditions": [{"path": "args.l[*].n", "op": "lt", "value": 5}]}]}"#);
    let logged = |path: &str, values: &str| {
        line(
            0,
            &format!(r#""args_keys": ["l"], "args": {{"{path}": {values}}}"#),
        )
    };
    // Whole elements: one without the member would be seen.
    assert_eq!(
        brief(&mut replay, &logged("args.l[*]", r#"[{"n": 1}, {"n": 2}]"#)),
        "same: allow"
    );
    assert!(brief(&mut replay, &logged("args.l[*]", r#"[{"n": 1}, {}]"#)).starts_with("stricter: "));
    // The members alone: elements without one are not in the log.
    assert!(brief(&mut replay, &logged("args.l[*].n", "[1, 2]")).starts_with("unknown: "));
    assert!(brief(&mut replay, &logged("args.l[*].n", "[1, 9]")).starts_with("stricter: "));
}

#[test]
fn labels_are_known_by_value_by_digest_or_not() {
    let rules =
        r#"{"require": [{"conditions": [{"path": "grant.labels.team", "op": "eq", "value": "red"}]}]}"#;
    let team = vec![("team".to_owned(), "red".to_owned())];
    let digest = labels_digest("g", [("team", "red")]).unwrap();
    let digest = line(0, &format!(r#""labels_digest": "{digest:016x}""#));
    assert!(brief(&mut by(rules), &digest).starts_with("unknown: "));
    let setup = ReplaySetup {
        labels: [("g".to_owned(), team)].into_iter().collect(),
        ..ReplaySetup::default()
    };
    assert_eq!(
        brief(&mut with_setup(rules, setup.clone()), &digest),
        "same: allow"
    );
    let other = line(0, r#""labels_digest": "0000000000000000""#);
    assert!(brief(&mut with_setup(rules, setup), &other).starts_with("unknown: "));
    let mut replay = by(rules);
    let value = line(
        0,
        r#""labels_digest": "0000000000000000", "labels": {"team": "red"}"#,
    );
    assert_eq!(brief(&mut replay, &value), "same: allow");
    for none in [
        r#""labels_digest": null"#,
        r#""labels_digest": "00", "labels": {"team": null}"#,
    ] {
        assert!(
            brief(&mut replay, &line(0, none)).starts_with("stricter: "),
            "{none}"
        );
    }
    assert!(
        brief(&mut replay, &line(0, "")).starts_with("unknown: "),
        "a line of an older version"
    );
}

#[test]
fn calls_that_the_new_policy_allows_take_units() {
    let mut replay = by(r#"{"rate_limit": {"max": 2, "window": 60}}"#);
    assert_eq!(brief(&mut replay, &line(0, "")), "same: allow");
    // Denied then, allowed now: it takes a unit.
    let denied = line(1, r#""outcome": "deny", "rule": "/tools/x/action""#);
    assert_eq!(brief(&mut replay, &denied), "permissive: allow");
    assert_eq!(
        brief(&mut replay, &line(2, "")),
        "stricter: rate_limited /tools/x/limits/x_rate"
    );
    assert_eq!(brief(&mut replay, &line(60, "")), "same: allow");
}

#[test]
fn units_of_calls_that_are_not_judged_count_both_ways() {
    let mut replay = by(
        r#"{"deny_if": [{"conditions": [{"path": "args.a", "op": "gt", "value": 5}]}], "rate_limit": {"max": 2, "window": 60}}"#,
    );
    let vague = |second| line(second, r#""args_keys": ["a"]"#);
    assert!(brief(&mut replay, &vague(0)).starts_with("unknown: "));
    assert_eq!(
        brief(&mut replay, &line(1, "")),
        "same: allow",
        "one unit is left in any case"
    );
    let judgement = judged(&mut replay, &line(2, ""));
    assert_eq!(
        judgement.reasons,
        [Unknown::Counts("/tools/x/limits/x_rate".to_owned())]
    );
    // The second surely counts, the others perhaps.
    assert!(brief(&mut replay, &line(60, "")).starts_with("unknown: "));
    assert_eq!(brief(&mut replay, &line(300, "")), "same: allow");
}

#[test]
fn costs_and_scopes_that_were_not_logged() {
    let mut replay = by(
        r#"{"limits": [{"counter": "spend", "window": "minute", "max": 100, "cost": "args.cost", "scope": "args.account"}]}"#,
    );
    let logged = |second, args: &str| {
        line(
            second,
            &format!(r#""args_keys": ["cost", "account"], "args": {{{args}}}"#),
        )
    };
    assert_eq!(
        brief(&mut replay, &logged(0, r#""args.cost": 60, "args.account": "a""#)),
        "same: allow"
    );
    assert_eq!(
        brief(&mut replay, &logged(1, r#""args.cost": 60, "args.account": "a""#)),
        "stricter: rate_limited /tools/x/limits/spend"
    );
    let without_account = judged(&mut replay, &logged(2, r#""args.cost": 60"#));
    assert_eq!(
        without_account.reasons,
        [Unknown::NotLogged("args.account".to_owned())]
    );
    let other = judged(&mut replay, &logged(3, r#""args.cost": 60, "args.account": "b""#));
    assert_eq!(
        other.reasons,
        [Unknown::Counts("/tools/x/limits/spend".to_owned())]
    );
    let free = logged(4, r#""args.cost": 0, "args.account": "b""#);
    assert_eq!(brief(&mut replay, &free), "same: allow");
    let without_cost = judged(&mut replay, &logged(300, r#""args.account": "a""#));
    assert_eq!(without_cost.change, None);
    assert!(
        without_cost
            .new
            .contains(&(Outcome::Deny, "/tools/x/limits/spend/cost".to_owned()))
    );
}

#[test]
fn what_people_answered_they_would_answer_again() {
    let mut replay = by(r#"{"action": "require_approval", "rate_limit": {"max": 1, "window": 60}}"#);
    let asked = |second, outcome: &str, rule: &str| {
        line(
            second,
            &format!(r#""outcome": "{outcome}", "rule": "{rule}", "approval": "apr_1""#),
        )
    };
    let waits = asked(0, "approval_required", "/tools/x/approval");
    assert_eq!(
        brief(&mut replay, &waits),
        "same: approval_required /tools/x/approval"
    );
    assert_eq!(
        brief(&mut replay, &asked(1, "allow", "")),
        "same: approval_required /tools/x/approval"
    );
    // It took the unit.
    assert_eq!(
        brief(&mut replay, &asked(2, "allow", "")),
        "stricter: rate_limited /tools/x/limits/x_rate"
    );
    assert_eq!(
        brief(&mut replay, &asked(90, "deny", "/tools/x/approval")),
        "same: approval_required /tools/x/approval"
    );
    assert_eq!(
        brief(&mut replay, &line(91, "")),
        "stricter: approval_required /tools/x/approval"
    );
    let mut replay = by(r#"{"action": "require_approval"}"#);
    brief(&mut replay, &asked(0, "approval_required", "/all_tools/approval"));
    let judgement = judged(&mut replay, &asked(1, "allow", ""));
    assert_eq!(
        judgement.reasons,
        [Unknown::Approval("/all_tools/approval".to_owned())]
    );
    assert_eq!(brief(&mut by("{}"), &asked(1, "allow", "")), "permissive: allow");
}

#[test]
fn counts_from_before_the_log_are_not_known() {
    let rules = r#"{"rate_limit": {"max": 2, "window": 60}}"#;
    let refused = |second| {
        line(
            second,
            r#""outcome": "rate_limited", "rule": "/tools/x/limits/x_rate""#,
        )
    };
    let mut replay = by(rules);
    assert_eq!(
        judged(&mut replay, &refused(0)).reasons,
        [Unknown::Earlier("/tools/x/limits/x_rate".to_owned())]
    );
    assert_eq!(brief(&mut replay, &refused(90)), "permissive: allow");
    let tightened = r#""outcome": "rate_limited", "rule": "/tools/x/limits/x_rate", "limits": [{"counter": "x_rate", "max": 1}]"#;
    assert_eq!(brief(&mut by(rules), &line(0, tightened)), "permissive: allow");
    let other = line(0, r#""outcome": "rate_limited", "rule": "/tools/x/limits/other""#);
    assert_eq!(brief(&mut by(rules), &other), "permissive: allow");
}

#[test]
fn lines_that_no_policy_decides_are_told_apart() {
    let mut replay = by("{}");
    for (more, kind) in [
        (r#""outcome": "deny", "rule": "(frozen)""#, "(frozen)"),
        (
            r#""outcome": "deny", "rule": "(invalid request)", "args_keys": null"#,
            "(invalid request)",
        ),
        (
            r#""outcome": "deny", "rule": "(counter capacity)""#,
            "(counter capacity)",
        ),
        (r#""kind": "gap""#, "kind gap"),
    ] {
        let replayed = replay.decide(line(0, more).as_bytes());
        assert_eq!(replayed, Replayed::Skipped(kind.to_owned()));
    }
    let limits = line(0, "").replace("grpc", "rate_limit");
    assert_eq!(
        replay.decide(limits.as_bytes()),
        Replayed::Skipped("rate limit service".to_owned())
    );
    for (text, fault) in [
        ("", "expected"),
        ("[]", "it is no JSON object"),
        ("{}", "its `outcome` is missing"),
        (r#"{"outcome": 1}"#, "its `outcome` is no text"),
    ] {
        match replay.decide(text.as_bytes()) {
            Replayed::Malformed(said) => assert!(said.starts_with(fault), "{said}"),
            other => panic!("{other:?}"),
        }
    }
    // The proxy forwarded no body, and the old policy read arguments.
    let unseen = line(
        0,
        r#""outcome": "deny", "rule": "(invalid request)", "args_unseen": true, "policy_version": "0""#,
    );
    assert_eq!(brief(&mut replay, &unseen), "permissive: allow");
}

#[test]
fn a_call_that_a_store_did_not_answer_for_may_take_units() {
    let mut replay = by(r#"{"rate_limit": {"max": 1, "window": 60}}"#);
    let refused = line(0, r#""outcome": "deny", "rule": "(approval store unavailable)""#);
    assert!(matches!(replay.decide(refused.as_bytes()), Replayed::Skipped(_)));
    assert!(brief(&mut replay, &line(1, "")).starts_with("unknown: "));
}

#[test]
fn a_refusal_that_shadow_announced() {
    let mut replay = by(r#"{"action": "deny"}"#);
    let announced = line(0, r#""shadow": {"outcome": "deny", "rule": "/tools/x/action"}"#);
    assert!(judged(&mut replay, &announced).was_announced);
    assert!(!judged(&mut replay, &line(0, "")).was_announced);
    let mut in_shadow = by(r#"{"mode": "shadow", "action": "deny"}"#);
    assert_eq!(brief(&mut in_shadow, &announced), "same: allow");
}

#[test]
fn limits_in_shadow_count_where_enforced_ones_meet_their_counts() {
    let of = |rules: &str| {
        let limit = r#"{"counter": "c", "window": "minute", "max": 2}"#;
        let text = format!(
            r#"{{"version": "1", "default": "deny", "tools": {{
                "x": {{"limits": [{limit}]}}, "y": {{"mode": "shadow", {rules} "limits": [{limit}]}}}}}}"#
        );
        Replay::new(policy(&text), Catalogue::default(), ReplaySetup::default()).unwrap()
    };
    let shadowed = |second, more: &str| line(second, more).replace(r#""tool": "x""#, r#""tool": "y""#);
    let mut replay = of("");
    assert_eq!(brief(&mut replay, &shadowed(0, "")), "same: allow");
    assert_eq!(brief(&mut replay, &line(1, "")), "same: allow");
    assert_eq!(
        brief(&mut replay, &line(2, "")),
        "stricter: rate_limited /tools/x/limits/c"
    );
    // Full enforcement would deny the call, so it takes nothing; or nobody knows.
    for (args, expected) in [
        (r#""args_keys": []"#, "same: allow"),
        (r#""args_keys": ["a"]"#, "unknown: "),
    ] {
        let mut replay = of(r#""require": [{"conditions": [{"path": "args.a", "op": "eq", "value": 1}]}],"#);
        assert_eq!(brief(&mut replay, &shadowed(0, args)), "same: allow");
        assert_eq!(brief(&mut replay, &line(1, "")), "same: allow");
        let last = brief(&mut replay, &line(2, ""));
        assert!(last.starts_with(expected), "{last}");
    }
}

#[test]
fn lines_of_others_are_left_out() {
    let setup = |server: Option<&str>, decided_by: Option<&str>| ReplaySetup {
        server: server.map(str::to_owned),
        decided_by: decided_by.map(str::to_owned),
        ..ReplaySetup::default()
    };
    let own = line(0, "");
    for (setup, is_own) in [
        (setup(Some("srv"), Some("old")), true),
        (setup(Some("aws"), None), false),
        (setup(None, Some("new")), false),
    ] {
        let replayed = with_setup("{}", setup).decide(own.as_bytes());
        assert_eq!(matches!(replayed, Replayed::Decided(_)), is_own, "{replayed:?}");
    }
}

#[test]
fn policies_that_read_the_catalogue() {
    let reads = |rules: &str| by(rules).reads_catalogue();
    assert!(!reads("{}"));
    assert!(reads(r#"{"schema": "input"}"#));
    assert!(reads(
        r#"{"deny_if": [{"conditions": [{"not": {"path": "risk", "op": "eq", "value": "high"}}]}]}"#
    ));
    let facts = catalogue(r#"{"version": "1", "servers": {"srv": {"tools": {"x": {"category": "Write"}}}}}"#);
    let text = r#"{"version": "1", "default": "deny", "categories": {"Write": {}}}"#;
    let mut replay = Replay::new(policy(text), facts, ReplaySetup::default()).unwrap();
    assert!(replay.reads_catalogue());
    assert_eq!(brief(&mut replay, &line(0, "")), "same: allow");
}

#[test]
fn time_is_read_without_the_rest() {
    assert_eq!(
        line_time_us(line(7, "").as_bytes()),
        Some(START_US + 7 * SECOND_US)
    );
    for text in ["", "{}", r#"{"decided_at_us": -1}"#, r#"{"decided_at_us": 1.5}"#] {
        assert_eq!(line_time_us(text.as_bytes()), None, "{text}");
    }
}
