//! Taking hidden tools out of the results of `tools/list`.

use callgate_core::engine::Listing;

/// What joins a target's name to a tool's where the gateway offers several targets as one server. Names of targets do not
/// hold it.
const JOINT: char = '_';

/// One target of the gateway, as its tools are judged for one caller.
#[derive(Debug)]
pub(super) struct Target<'a> {
    /// The gateway's name for it.
    pub(super) name: &'a str,
    /// What its lists may name; `None` where the caller is nobody there.
    pub(super) listing: Option<Listing<'a>>,
}

impl Target<'_> {
    fn hides(&self, tool: &str) -> bool {
        // Whoever is nobody there can call nothing.
        self.listing.is_none_or(|listing| !listing.shows(tool))
    }
}

/// Whether a tool of this name is left out of the list that these targets gave.
///
/// Which name a tool has depends on the gateway's settings: its own, or that of its target before it. Where a name can be
/// read both ways, the tool is left out if either is.
pub(super) fn is_hidden(targets: &[Target<'_>], tool: &str) -> bool {
    let joined = tool
        .split_once(JOINT)
        .and_then(|(name, rest)| Some((targets.iter().find(|target| target.name == name)?, rest)));
    match (joined, targets) {
        (Some((target, rest)), [_]) => target.hides(rest) || target.hides(tool),
        (Some((target, rest)), _) => target.hides(rest),
        // Of several targets nobody knows whose it is; at those where the caller is nobody, no call of it passes.
        (None, targets) => targets
            .iter()
            .filter(|target| target.listing.is_some())
            .any(|target| target.hides(tool)),
    }
}
