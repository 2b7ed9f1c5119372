//! The tools that a caller may see in a list (`docs/policy.md` section 2).

use crate::bindings::Bindings;
use crate::compile::{CategoryPlace, CompiledPolicy, Facts};

/// The rules for one caller's lists of the tools of one server.
#[derive(Clone, Copy, Debug)]
pub struct Listing<'l> {
    pub(super) policy: &'l CompiledPolicy,
    pub(super) facts: &'l Facts,
    pub(super) server: &'l str,
}

impl Listing<'_> {
    /// Returns true if a list may name this tool: not if `hide` or its category hides it. Under a policy in shadow
    /// hidden tools stay listed (section 1, Shadow). A tool that is denied for another reason stays listed, too.
    pub fn shows(&self, tool: &str) -> bool {
        self.policy.shadowed || !self.hides(tool)
    }

    /// Returns true if any call of this tool could be allowed, whatever its arguments: not if it is hidden, if nothing
    /// matches it under default deny, or if its entry, its category or `all_tools` denies every call. A rule in shadow
    /// denies no call.
    pub fn could_allow(&self, tool: &str) -> bool {
        let found = self.policy.names.find(tool);
        let category = self.category(tool);
        let entry = found.entry.and_then(|entry| self.policy.tool(entry));
        let is_unmatched = entry.is_none() && matches!(category, CategoryPlace::Absent);
        if !self.shows(tool) || is_unmatched && self.policy.default_deny && !self.policy.shadowed {
            return false;
        }
        let category = match category {
            CategoryPlace::Rules(place) => Some(&**place),
            CategoryPlace::Absent | CategoryPlace::Hide => None,
        };
        let mut places = [entry, category, self.policy.all_tools()].into_iter().flatten();
        !places.any(|place| {
            let always = place.deny_if.iter().any(|check| check.conditions.is_empty());
            !place.shadowed && (place.deny.is_some() || always)
        })
    }

    /// Returns the arguments of this tool that clients mirror in header fields by the catalogue's input schema, if
    /// there are any.
    pub fn bindings(&self, tool: &str) -> Option<&Bindings> {
        self.facts.of(self.server, tool)?.bindings.as_deref()
    }

    fn hides(&self, tool: &str) -> bool {
        self.policy.names.find(tool).hidden || matches!(self.category(tool), CategoryPlace::Hide)
    }

    fn category(&self, tool: &str) -> &CategoryPlace {
        let facts = self.facts.of(self.server, tool);
        facts
            .and_then(|facts| facts.category)
            .map_or(&CategoryPlace::Absent, |category| self.policy.category(category))
    }
}
