//! Lists of tools on their way back: what their caller may not see is taken out (`docs/policy.md` section 2).

use callgate_core::Request;
use callgate_core::json::Tape;
use callgate_gateway::pins::Observation;
use callgate_mcp::sse::Event;
use callgate_mcp::{Id, list, reply as mcp};

use crate::gate::Gate;
use crate::in_force::Configuration;
use crate::protocol::Protocol;

/// Rule of a list that is withheld.
const HIDDEN: &str = "(hidden)";

/// The lists in the replies to one caller, at one moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lists<'l> {
    pub(crate) gate: &'l Gate,
    pub(crate) protocol: Protocol,
    pub(crate) configuration: &'l Configuration,
    /// Of the caller, for no tool.
    pub(crate) request: Request<'l>,
    /// The id of the `tools/list` that is answered; `None` for a stream of anything.
    pub(crate) id: Option<Id<'l>>,
    /// Leave out what this caller may never call, too.
    pub(crate) allowed_only: bool,
    /// The observation of the list's tools, if they are pinned.
    pub(crate) observed: Option<&'l Observation>,
}

impl Lists<'_> {
    /// A reply as it goes on; the error is the message in its place. The gate lends the tape.
    pub(crate) fn reply(&self, tape: &mut Tape, reply: &[u8]) -> Result<Vec<u8>, String> {
        self.cut(|keep| list::filter(tape, reply, keep).map(Into::into))
    }

    /// The bytes of one event of a stream, likewise.
    pub(crate) fn event(&self, tape: &mut Tape, event: &Event<'_>) -> Result<Vec<u8>, String> {
        self.cut(|keep| list::filter_event(tape, event, keep).map(Into::into))
    }

    /// The message that the caller gets in place of a list that cannot be cut.
    pub(crate) fn withheld(&self, reason: &str) -> String {
        let message = format!("the server's list of tools is withheld, because it cannot be cut: {reason}");
        self.gate.deny(
            self.protocol,
            self.configuration,
            &self.request,
            HIDDEN,
            message,
            |decision| mcp::denied_request(self.id, decision),
        )
    }

    /// Lets `work` ask which tools the caller may see now.
    fn cut<E: ToString>(
        &self,
        work: impl FnOnce(&mut dyn FnMut(&str) -> bool) -> Result<Vec<u8>, E>,
    ) -> Result<Vec<u8>, String> {
        let now = self.gate.clock.now();
        // A grant that was revoked meanwhile sees nothing.
        let listing = self
            .gate
            .engine
            .listing(&self.configuration.state, &self.request, now);
        let mut keep = |tool: &str| {
            listing.is_some_and(|listing| {
                if self.allowed_only {
                    listing.could_allow(tool)
                } else {
                    listing.shows(tool)
                }
            }) && self.observed.is_none_or(|observed| observed.shows(tool))
        };
        work(&mut keep).map_err(|failure| self.withheld(&failure.to_string()))
    }
}
