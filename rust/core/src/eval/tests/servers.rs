//! Policies by server, and what a state tells of itself.

use super::{Desk, brief, config, policy, request};
use crate::engine::Policies;
use crate::policy::Catalogue;
use crate::{Request, State};

fn limited(name: &str) -> crate::policy::ast::Policy {
    policy(&format!(
        r#"{{"version": "1", "name": "{name}", "default": "deny", "hide": ["h", "y", "g*"],
            "tools": {{"x": {{"limits": [{{"counter": "c", "window": "minute", "max": 1, "scope": "global"}}]}}, "y": {{}}, "g*": {{}}}}}}"#
    ))
}

#[test]
fn each_server_has_its_policy_and_two_policies_never_share_a_count() {
    let policies = Policies::ByServer(vec![("a".into(), limited("one")), ("b".into(), limited("two"))]);
    let mut desk = Desk::of(State::build(policies, Catalogue::default()).unwrap(), config());
    let at = |server| Request {
        server,
        ..request("x", "{}")
    };
    assert_eq!(brief(&desk.decide(&at("a"))), "allow ");
    let other = desk.decide(&at("b"));
    assert_eq!(
        (brief(&other).as_str(), other.policy.as_ref(), other.policy_index),
        ("allow ", "two", Some(1))
    );
    assert_eq!(brief(&desk.decide(&at("a"))), "rate_limited /tools/x/limits/c");
    assert_eq!(brief(&desk.decide(&at("c"))), "deny (unknown server)");
}

#[test]
fn two_policies_of_one_name_are_an_error() {
    let policies = Policies::ByServer(vec![("a".into(), limited("one")), ("b".into(), limited("one"))]);
    let error = State::build(policies, Catalogue::default()).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("b:1:1: policy name `one` is taken by the policy of server `a`"),
        "{error}"
    );
}

#[test]
fn metrics_can_name_policies_and_tools() {
    let policies = Policies::ByServer(vec![("a".into(), limited("one"))]);
    let mut desk = Desk::of(State::build(policies, Catalogue::default()).unwrap(), config());
    let state = desk.engine.snapshot();
    let view = state.policy(0).unwrap();
    assert_eq!(
        (view.server(), view.name(), view.version().len()),
        (Some("a"), "one", 12)
    );
    assert_eq!(view.tools(), ["x", "y", "h"]);
    assert_eq!(view.tools_and_patterns(), ["x", "y", "h", "g*", "g*"]);
    assert_eq!(state.policies().len(), 1);
    assert!(state.policy(1).is_none());
    for (tool, answer, index) in [
        ("x", "allow ", Some(0)),
        ("y", "deny (hidden)", Some(1)),
        ("h", "deny (hidden)", Some(2)),
        ("g1", "deny (hidden)", Some(3)),
        ("z", "deny (default deny)", None),
    ] {
        let decision = desk.decide(&Request {
            server: "a",
            ..request(tool, "{}")
        });
        assert_eq!(
            (brief(&decision).as_str(), decision.tool_index),
            (answer, index),
            "{tool}"
        );
        assert_eq!(decision.policy_version, view.version());
    }
}

#[test]
fn an_exact_name_of_hide_still_meets_the_globs_of_tools() {
    let mut desk = Desk::new(
        r#"{"version": "1", "default": "deny", "mode": "shadow", "hide": ["get_x"], "tools": {"get_*": {"mode": "enforce", "action": "deny"}}}"#,
    );
    assert_eq!(
        brief(&desk.decide(&request("get_x", "{}"))),
        "deny /tools/get_*/action"
    );
}
