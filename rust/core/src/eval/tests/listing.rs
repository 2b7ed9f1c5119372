//! What a caller's lists of tools may name.

use super::{Desk, catalogue, config, policy, request};
use crate::engine::Policies;
use crate::policy::Catalogue;
use crate::{Request, State};

/// Of these tools, those that the lists of grant `g` may name; `None` where it has no lists.
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
    // What is denied for another reason stays listed.
    let left = ["read", "drop", "no", "unknown", "Secret", ""];
    assert_eq!(shown(&desk, "srv", &tools), Some(left.to_vec()));
    let elsewhere = ["wipe", "drop", "no", "unknown", "Secret", ""];
    assert_eq!(shown(&desk, "other", &tools), Some(elsewhere.to_vec()));
    let desk = Desk::with_catalogue(&text("shadow"), catalogue(facts));
    assert_eq!(shown(&desk, "srv", &tools), Some(tools.to_vec()));
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
