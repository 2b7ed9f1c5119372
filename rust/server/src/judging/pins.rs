//! Pinned tools: the doors before a server compare its lists and the calls of its tools with them (`docs/pinning.md`).

use std::fmt;

use callgate_core::PinnedTools;
use callgate_core::json::Tape;
use callgate_gateway::pins::{Mode, Observation, PageRef, Server as PinnedServer, Variant};

use crate::events::{FieldValue, Level};
use crate::gate::Gate;

/// Changes of one list that are logged.
const MAX_TOLD: usize = 100;

/// The pinned tools of a server, for the call of one client.
pub(crate) struct PinnedCall<'a, V> {
    pub(crate) pins: &'a PinnedServer,
    pub(crate) server: &'a str,
    /// Reads the client's variant out of the request.
    pub(crate) variant: V,
}

impl<V> fmt::Debug for PinnedCall<'_, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PinnedCall")
            .field("server", &self.server)
            .finish_non_exhaustive()
    }
}

impl<V: Fn() -> Variant + Sync> PinnedTools for PinnedCall<'_, V> {
    fn refusal(&self, tool: &str) -> Option<String> {
        let mut state = self.pins.state(tool);
        if !self.pins.mode().lets_pass(state) {
            // Hardly any call needs to be asked whose it is.
            state = self.pins.state_for(tool, &(self.variant)());
        }
        (!self.pins.mode().lets_pass(state)).then(|| state.message(self.server, tool))
    }

    fn digest(&self, tool: &str) -> Option<[u8; 32]> {
        self.pins.digest(tool)
    }
}

/// Compares a list for clients of a variant with the accepted tools of the server, and logs new ones. The error is the
/// reason for not showing the list. The gate lends the tape.
pub(crate) fn observe(
    gate: &Gate,
    pins: &PinnedServer,
    server: &str,
    (asked, variant): (PageRef<'_>, &Variant),
    tape: &mut Tape,
    message: &[u8],
) -> Result<Option<Observation>, String> {
    let observed = match pins.observe(asked, variant, tape, message) {
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
    // A server that changes tools from list to list must not push other events out of the log; metrics count them all.
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

    use callgate_gateway::pins::{Endpoint, Pins};
    use tokio::task::yield_now;

    use super::*;
    use crate::apart::{Sharing, apart};
    use crate::clock::ManualClock;
    use crate::gate::work_on;
    use crate::testing;

    /// A whole list of so many tools, each of which is described at this length.
    fn list(tools: usize, description_bytes: usize) -> String {
        let description = "x".repeat(description_bytes);
        let tools: Vec<String> = (0..tools)
            .map(|n| format!(r#"{{"name":"t{n}","description":"{description}"}}"#))
            .collect();
        let tools = tools.join(",");
        format!(r#"{{"jsonrpc":"2.0","id":1,"result":{{"tools":[{tools}]}}}}"#)
    }

    /// Counts the turns of others on the same thread while a list was looked at.
    async fn turns_of_others(list: String) -> u64 {
        let folder = tempfile::tempdir().unwrap();
        let pins = Pins::open(folder.path()).unwrap();
        let pins = pins
            .server("srv", Endpoint::url("https://tools.example/mcp"), Mode::Enforce)
            .unwrap();
        let gate = testing::gate(r#"{"version": "1", "default": "deny"}"#, 1, &ManualClock::new(0));
        let turns = Arc::new(AtomicU64::new(0));
        let is_over = Arc::new(AtomicBool::new(false));
        let other = tokio::spawn({
            let (turns, is_over) = (Arc::clone(&turns), Arc::clone(&is_over));
            async move {
                while !is_over.load(Ordering::SeqCst) {
                    turns.fetch_add(1, Ordering::SeqCst);
                    yield_now().await;
                }
            }
        });
        let counted = Arc::clone(&turns);
        let (sender, during) = tokio::sync::oneshot::channel();
        let looking = Sharing::new(async move {
            while counted.load(Ordering::SeqCst) == 0 {
                yield_now().await;
            }
            let before = counted.load(Ordering::SeqCst);
            apart(list.len()).await;
            let asked = (PageRef::FromStart, &Variant::unknown());
            let list = list.as_bytes();
            let observed = work_on(list, |buffers| {
                observe(&gate, &pins, "srv", asked, &mut buffers.tape, list)
            });
            let during = counted.load(Ordering::SeqCst) - before;
            assert_eq!(observed, Ok(Some(Observation::default())));
            sender.send(during).unwrap();
        });
        tokio::spawn(looking).await.unwrap();
        is_over.store(true, Ordering::SeqCst);
        other.await.unwrap();
        during.await.unwrap()
    }

    #[tokio::test]
    async fn a_long_list_holds_up_nobody() {
        assert_eq!(
            turns_of_others(list(1, 1)).await,
            0,
            "a short one costs less than a hand-over"
        );
        assert_ne!(turns_of_others(list(40, 200 << 10)).await, 0);
    }
}
