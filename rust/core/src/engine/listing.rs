//! Which tools a caller may see in a list (`docs/policy.md` section 2).

use super::State;
use crate::compile::{CategoryPlace, CompiledPolicy, Facts};

/// What one caller's lists of one server may name.
#[derive(Clone, Copy, Debug)]
pub struct Listing<'l> {
    pub(crate) policy: &'l CompiledPolicy,
    pub(crate) facts: &'l Facts,
    pub(crate) server: &'l str,
}

impl Listing<'_> {
    /// Whether a list may name this tool: not if `hide` or its category hides it. Under a policy in shadow hidden tools stay
    /// listed (section 1, Shadow), and so does what is denied for another reason.
    pub fn shows(&self, tool: &str) -> bool {
        self.policy.shadowed || !self.hides(tool)
    }

    fn hides(&self, tool: &str) -> bool {
        let facts = self.facts.of(self.server, tool);
        let category = facts.and_then(|facts| facts.category);
        self.policy.names.find(tool).hidden
            || category.is_some_and(|category| matches!(self.policy.category(category), CategoryPlace::Hide))
    }
}

impl State {
    /// Whether the policy with this [`crate::Decision::policy_index`] takes a tool of this server out of `tools/list`, see
    /// [`Listing::shows`]. No policy, nothing that anybody may call, takes out everything.
    ///
    /// `server` is the name that the call would be judged under, as [`State::identity`] gives it.
    pub fn hides(&self, policy_index: u32, server: &str, tool: &str) -> bool {
        let facts = self.facts();
        self.compiled(policy_index).is_none_or(|policy| {
            let listing = Listing {
                policy,
                facts,
                server,
            };
            !listing.shows(tool)
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::State;
    use crate::engine::Policies;
    use crate::policy::{Catalogue, Format, Source, parse};

    fn source(text: &str) -> Source<'_> {
        Source {
            name: "<test>",
            stem: "policy",
            format: Format::Json,
            bytes: text.as_bytes(),
        }
    }

    /// One policy at the servers `a` and `b`, of which `a` has a destructive tool `drop`.
    fn state(mode: &str) -> State {
        let policy = |name: &str| {
            let text = format!(
                r#"{{"version": "1", "name": "{name}", "default": "deny", "mode": "{mode}", "hide": ["exact", "glob_*"],
                    "categories": {{"Destructive": {{"hide": true}}}},
                    "tools": {{"open": {{}}, "exact": {{}}, "denied": {{"action": "deny"}}}}}}"#
            );
            parse(&source(&text)).unwrap()
        };
        let catalogue = r#"{"version": "1", "servers": {"a": {"tools": {"drop": {"category": "Destructive", "risk": "high"}}}}}"#;
        let policies = vec![("a".to_owned(), policy("one")), ("b".to_owned(), policy("two"))];
        let catalogue = Catalogue::parse(&source(catalogue)).unwrap();
        State::build(Policies::ByServer(policies), catalogue).unwrap()
    }

    #[test]
    fn names_patterns_and_categories_hide() {
        let state = state("enforce");
        for (tool, hidden) in [
            ("open", false),
            ("exact", true),
            ("glob_", true),
            ("glob_x", true),
            ("Exact", false),
            ("drop", true),
            // Denied when called, and yet no secret.
            ("denied", false),
            ("unknown", false),
        ] {
            assert_eq!(state.hides(0, "a", tool), hidden, "{tool}");
        }
        assert!(
            !state.hides(1, "b", "drop"),
            "the catalogue says so of one server"
        );
    }

    #[test]
    fn a_shadowed_policy_hides_nothing_and_an_unknown_one_everything() {
        let state = state("shadow");
        for tool in ["open", "exact", "glob_x", "drop"] {
            assert!(!state.hides(0, "a", tool), "{tool}");
            assert!(state.hides(2, "a", tool), "{tool}");
        }
    }
}
