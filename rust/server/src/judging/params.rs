//! Fields that mirror arguments (`Mcp-Param-*`), held against the call whose arguments they are.

use callgate_core::Request;
use callgate_mcp::{Headers, MessageError, ToolCall};

use super::{Judge, Responder};

impl<D: Responder> Judge<'_, D> {
    /// Compares the fields that mirror arguments with the call. The server and its clients follow the server's list, so
    /// the catalogue is used only if there was no list.
    pub(crate) fn hold_params<'m>(
        &self,
        request: &Request<'_>,
        headers: &Headers<'_>,
        call: &ToolCall<'m>,
    ) -> Result<(), MessageError<'m>> {
        if !headers.has_params() {
            return Ok(());
        }
        // An unknown caller is told nothing of a tool's arguments; the decision denies the call.
        let now = self.gate.clock.now();
        let Some(listing) = self
            .gate
            .engine
            .listing(&self.admission.configuration.state, request, now)
        else {
            return Ok(());
        };
        match self.responder.bindings(call.tool) {
            Some(bindings) => headers.check_params(&bindings, call),
            None => listing
                .bindings(call.tool)
                .map_or(Ok(()), |bindings| headers.check_params(bindings, call)),
        }
    }
}
