//! Tools that are pinned, as whoever stands before their server holds lists and calls against them (`docs/pinning.md`).

use callgate_core::json::Tape;
use callgate_gateway::pins::{Asked, Mode, Observation, Server as PinnedServer};

use crate::events::{FieldValue, Level};
use crate::gate::Gate;

/// The rule of tools that are not those that were accepted.
const TOOL_CHANGED: &str = "(tool changed)";

/// Changes of one list that are logged.
const MAX_TOLD: usize = 100;

/// Why no call of this tool may go on, whoever makes it: the rule, and what its caller is told.
pub(super) fn objection(pins: &PinnedServer, server: &str, tool: &str) -> Option<(&'static str, String)> {
    let state = pins.state(tool);
    (!pins.mode().lets_pass(state)).then(|| (TOOL_CHANGED, state.message(server, tool)))
}

/// Holds a list against what was accepted of the server's tools, and logs what is new; the error says why it must not be
/// shown.
pub(super) fn observe(
    gate: &Gate,
    pins: &PinnedServer,
    server: &str,
    asked: Asked<'_>,
    tape: &mut Tape,
    message: &[u8],
) -> Result<Option<Observation>, String> {
    let observed = match pins.observe(asked, tape, message) {
        Ok(observed) => observed,
        Err(error) if pins.mode() == Mode::Enforce => return Err(error.to_string()),
        Err(error) => {
            if gate.paces.lists.admits(gate.second()) {
                // Not cut like a caller's name: it says what to do.
                let error = FieldValue::Text(error.to_string());
                let fields = vec![("server", server.into()), ("error", error)];
                gate.events.push(Level::Warning, "pins_failed", fields);
            }
            return Ok(None);
        }
    };
    // Whoever changes tools from list to list must not push everything else out of the log; metrics count them all.
    let is_told = !observed.changes.is_empty() && gate.paces.lists.admits(gate.second());
    let most = if is_told { MAX_TOLD } else { 0 };
    for change in observed.changes.iter().take(most) {
        let fields = vec![
            ("server", server.into()),
            ("tool", change.tool.as_str().into()),
            ("state", change.state.as_str().into()),
        ];
        gate.events.push(Level::Warning, "tool_changed", fields);
    }
    Ok(Some(observed))
}
