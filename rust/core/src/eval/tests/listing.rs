//! The tools that a caller's lists may name.

use super::{Desk, catalogue, config, policy, request};
use crate::engine::Policies;
use crate::policy::Catalogue;
use crate::{Request, State};

/// Selects the tools that the lists of grant `g` may name; `None` if it has no lists.
fn shown<'t>(desk: &Desk, server: &str, tools: &[&'t str]) -> Option<Vec<&'t str>> {
    let state = desk.engine.snapshot();
    let request = Request {
        server,
        ..request("", "")
    };
    let listing = desk.engine.listing(&state, &request, desk.now)?;
    Some(tools.iter().copied().filter(|tool| listing.shows(tool)).collect())
}

#[test]
fn hidden_names_patterns_and_categories_are_not_listed() {
    let facts = r#"{"version": "1", "servers": {
        "srv": {"tools": {"wipe": {"category": "Destructive"}, "read": {"category": "Read"}}},
        "other": {"tools": {"read": {"category": "Destructive"}}}}}"#;
    let text = |mode: &str| {
        format!(
            r#"{{"version": "1", "mode": "{mode}", "default": "deny", "hide": ["drop_*", "secret"],
                "categories": {{"Destructive": {{"hide": true}}}},
                "tools": {{"wipe": {{}}, "secret": {{}}, "no": {{"action": "deny"}}}}}}"#
        )
    };
    let tools = [
        "wipe", "read", "drop_x", "drop", "secret", "no", "unknown", "Secret", "",
    ];
    let desk = Desk::with_catalogue(&text("enforce"), catalogue(facts));
    // A tool that is denied for another reason stays listed.
    let left = ["read", "drop", "no", "unknown", "Secret", ""];
    assert_eq!(shown(&desk, "srv", &tools), Some(left.to_vec()));
    let elsewhere = ["wipe", "drop", "no", "unknown", "Secret", ""];
    assert_eq!(shown(&desk, "other", &tools), Some(elsewhere.to_vec()));
    let desk = Desk::with_catalogue(&text("shadow"), catalogue(facts));
    assert_eq!(shown(&desk, "srv", &tools), Some(tools.to_vec()));
}

/// Selects the tools of which grant `g` could be allowed a call.
fn allowed<'t>(desk: &Desk, tools: &[&'t str]) -> Vec<&'t str> {
    let state = desk.engine.snapshot();
    let request = request("", "");
    let listing = desk.engine.listing(&state, &request, desk.now).unwrap();
    let could = tools.iter().copied().filter(|tool| listing.could_allow(tool));
    could.collect()
}

#[test]
fn what_no_arguments_could_allow_is_known() {
    let facts = r#"{"version": "1", "servers": {"srv": {"tools": {
        "read": {"category": "Read"}, "pay": {"category": "Financial"}, "wipe": {"category": "Destructive"}}}}}"#;
    let text = |mode: &str, default: &str| {
        format!(
            r#"{{"version": "1", "mode": "{mode}", "default": "{default}", "hide": ["hidden"],
                "categories": {{"Read": {{}}, "Destructive": {{"hide": true}}, "Financial": {{"action": "deny"}}}},
                "tools": {{"open": {{}}, "no": {{"action": "deny"}}, "g_*": {{}}, "hidden": {{}},
                    "never": {{"deny_if": [{{"conditions": []}}]}},
                    "shadowed": {{"mode": "shadow", "action": "deny"}},
                    "sometimes": {{"deny_if": [{{"conditions": [{{"path": "args.n", "op": "gt", "value": 1}}]}}]}}}}}}"#
        )
    };
    let tools = [
        "open",
        "no",
        "g_x",
        "hidden",
        "never",
        "shadowed",
        "sometimes",
        "read",
        "pay",
        "wipe",
        "unknown",
    ];
    let desk = |mode, default| Desk::with_catalogue(&text(mode, default), catalogue(facts));
    let some = ["open", "g_x", "shadowed", "sometimes", "read"];
    assert_eq!(allowed(&desk("enforce", "deny"), &tools), some);
    let by_default = ["open", "g_x", "shadowed", "sometimes", "read", "unknown"];
    assert_eq!(allowed(&desk("enforce", "allow"), &tools), by_default);
    assert_eq!(allowed(&desk("shadow", "deny"), &tools), tools);
}

#[test]
fn who_would_not_be_recognised_has_no_lists() {
    let hiding = policy(r#"{"version": "1", "default": "allow", "hide": ["x"]}"#);
    let policies = Policies::ByServer(vec![("a".into(), hiding)]);
    let desk = Desk::of(State::build(policies, Catalogue::default()).unwrap(), config());
    assert_eq!(shown(&desk, "a", &["x", "y"]), Some(vec!["y"]));
    assert_eq!(shown(&desk, "b", &["x", "y"]), None);
    assert_eq!(shown(&desk, "a\0", &["y"]), None);
}

#[test]
fn mirrored_arguments_are_those_of_the_catalogue() {
    let facts = r#"{"version": "1", "servers": {
        "srv": {"tools": {"a": {"input_schema": {"properties": {"x": {"x-mcp-header": "X"}}}},
                          "b": {"input_schema": {"properties": {"x": {}}}}, "c": {}}},
        "other": {"tools": {"a": {"input_schema": {}}}}}}"#;
    let desk = Desk::with_catalogue(r#"{"version": "1", "default": "deny"}"#, catalogue(facts));
    let fields = |server, tool| {
        let state = desk.engine.snapshot();
        let request = Request {
            server,
            ..request("", "")
        };
        let listing = desk.engine.listing(&state, &request, desk.now)?;
        let bindings = listing.bindings(tool)?.all();
        Some(bindings.map(|one| one.field().to_owned()).collect::<Vec<_>>())
    };
    assert_eq!(fields("srv", "a"), Some(vec!["mcp-param-x".to_owned()]));
    for (server, tool) in [("srv", "b"), ("srv", "c"), ("srv", "d"), ("other", "a")] {
        assert_eq!(fields(server, tool), None, "{server} {tool}");
    }
}
