//! Freezes (`docs/policy.md` section 9).

use crate::call::Call;
use crate::pattern::Pattern;

/// An operator's stop of calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Freeze {
    /// The server; `None` for every one.
    pub server: Option<String>,
    /// The pattern of tools at the server; `None` for every tool.
    pub tool: Option<String>,
    /// The grant; `None` for every one.
    pub grant: Option<String>,
    /// The end in Unix microseconds.
    pub until_us: Option<u64>,
}

impl Freeze {
    /// Returns whether the freeze stops a call.
    pub(crate) fn stops(&self, call: &Call) -> bool {
        let names =
            |wanted: &Option<String>, name: &String| wanted.as_ref().is_none_or(|wanted| wanted == name);
        let tool = self.tool.as_ref();
        names(&self.server, &call.server)
            && names(&self.grant, &call.grant)
            && tool.is_none_or(|tool| Pattern::parse(tool).is_some_and(|pattern| pattern.matches(&call.tool)))
            && self.until_us.is_none_or(|until_us| call.unix_us() < until_us)
    }
}
