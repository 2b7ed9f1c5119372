//! Removes hidden tools from the results of `tools/list`.

use callgate_core::engine::Listing;

/// The character between a target's name and a tool's name when the gateway offers several targets as one server. Names
/// of targets do not contain it.
const JOINT: char = '_';

/// One target of the gateway, with the rules for one caller's lists of its tools.
#[derive(Debug)]
pub(super) struct Target<'a> {
    /// The gateway's name for the target.
    pub(super) name: &'a str,
    /// The rules for its lists; `None` if the caller is unknown at the target.
    pub(super) listing: Option<Listing<'a>>,
}

impl Target<'_> {
    fn hides(&self, tool: &str) -> bool {
        // A caller who is unknown there can call nothing.
        self.listing.is_none_or(|listing| !listing.shows(tool))
    }
}

/// Returns true if a tool of this name is removed from the list that these targets returned.
///
/// The gateway's settings determine the name of a tool: its own name, or the name with that of its target in front. If
/// a name can be read both ways, the tool is removed if either reading is hidden.
pub(super) fn is_hidden(targets: &[Target<'_>], tool: &str) -> bool {
    let joined = tool
        .split_once(JOINT)
        .and_then(|(name, rest)| Some((targets.iter().find(|target| target.name == name)?, rest)));
    match (joined, targets) {
        (Some((target, rest)), [_]) => target.hides(rest) || target.hides(tool),
        (Some((target, rest)), _) => target.hides(rest),
        // Any of several targets may have the tool. Targets where the caller is unknown do not count: no call passes
        // there.
        (None, targets) => targets
            .iter()
            .filter(|target| target.listing.is_some())
            .any(|target| target.hides(tool)),
    }
}
