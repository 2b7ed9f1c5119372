//! Which tools a caller may see in a list (`docs/policy.md` section 2).

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
