//! What a policy leaves out of the lists of tools (`docs/policy.md` section 2, step 2).

use super::State;
use crate::compile::CategoryPlace;

impl State {
    /// Whether the policy with this [`crate::Decision::policy_index`] takes a tool of this server out of `tools/list`: by
    /// `hide`, or by its category. A policy in shadow takes out nothing; no policy, nothing that anybody may call, takes
    /// out everything.
    ///
    /// `server` is the name that the call would be judged under, as [`State::identity`] gives it.
    pub fn hides(&self, policy_index: u32, server: &str, tool: &str) -> bool {
        let Some(policy) = self.compiled(policy_index) else {
            return true;
        };
        if policy.shadowed {
            return false;
        }
        let category = self.facts().of(server, tool).and_then(|facts| facts.category);
        let is_hidden = |category| matches!(policy.category(category), CategoryPlace::Hide);
        policy.names.find(tool).hidden || category.is_some_and(is_hidden)
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
