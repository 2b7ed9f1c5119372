//! Tools that a person accepted (`docs/policy.md` section 2, step 2a, and the fingerprint of section 6).

use super::*;
use crate::{Fingerprint, PinnedTools};

/// A server of which `x` was accepted under this digest.
#[derive(Debug)]
struct Accepted(Option<[u8; 32]>);

impl PinnedTools for Accepted {
    fn refusal(&self, tool: &str) -> Option<String> {
        (tool != "x").then(|| format!("`{tool}` is another tool now"))
    }

    fn digest(&self, _tool: &str) -> Option<[u8; 32]> {
        self.0
    }
}

fn pinned<'a>(tool: &'a str, pins: &'a Accepted) -> Request<'a> {
    Request {
        pins: Some(pins),
        ..request(tool, "{}")
    }
}

fn answer(policy: &str, tool: &str) -> String {
    brief(&Desk::new(policy).decide(&pinned(tool, &Accepted(None))))
}

#[test]
fn a_changed_tool_is_denied_after_hidden_and_before_everything_else() {
    let rules = r#""y": {"action": "deny", "reason": "no"}"#;
    let policy = |head: &str| format!(r#"{{"version": "1", {head}, "tools": {{{rules}, "x": {{}}}}}}"#);
    let deny = policy(r#""default": "deny""#);
    assert_eq!(answer(&deny, "x"), "allow ");
    assert_eq!(answer(&deny, "y"), "deny (tool changed)", "before the action");
    assert_eq!(answer(&deny, "z"), "deny (tool changed)", "before the default");
    let hiding = policy(r#""default": "allow", "hide": ["*"]"#);
    assert_eq!(answer(&hiding, "y"), "deny (hidden)");
}

#[test]
fn it_is_never_shadowed() {
    let shadow = r#"{"version": "1", "default": "deny", "mode": "shadow", "hide": ["y"]}"#;
    assert_eq!(answer(shadow, "y"), "deny (tool changed)");
    assert_eq!(answer(shadow, "x"), "allow  | deny (default deny)");
}

#[test]
fn its_message_is_that_of_the_door() {
    let mut desk = Desk::rules("{}");
    let accepted = Accepted(None);
    let decision = desk.decide(&pinned("y", &accepted));
    assert_eq!(decision.message, "`y` is another tool now");
    assert_eq!(decision.policy, "policy", "whose policy it is, is known");
}

#[test]
fn an_approval_is_for_the_tool_as_it_was_accepted() {
    let mut desk = Desk::rules(r#"{"action": "require_approval"}"#);
    let mut of = |digest: Option<[u8; 32]>| -> Option<Fingerprint> {
        desk.decide(&pinned("x", &Accepted(digest))).fingerprint
    };
    let unpinned = of(None);
    assert_eq!(unpinned, of(None));
    assert_ne!(unpinned, of(Some([7; 32])));
    assert_ne!(of(Some([7; 32])), of(Some([8; 32])));
    let plain = desk.ask("{}").fingerprint;
    assert_eq!(plain, unpinned, "a door that pins nothing");
}
