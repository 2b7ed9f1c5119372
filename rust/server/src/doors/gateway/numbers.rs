//! What the metrics page shows of the servers behind the gateway.

use callgate_gateway::pins::Server as PinnedServer;

use super::Gateway;

/// What is counted of one server behind the gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamNumbers {
    /// Its name, which is configured, or was.
    pub server: String,
    /// Requests open at it now.
    pub open_requests: usize,
    /// Why it gave no reply that could be passed on, and how often; every kind there is.
    pub failures: Vec<(&'static str, u64)>,
    /// Requests that were sent to it, by whether their connection was `new` or `reused`.
    pub sent: Vec<(&'static str, u64)>,
    /// Requests that were sent once more, as nothing of them had been written.
    pub retries: u64,
    /// Its tools by what pinning says of them; empty where nothing is pinned.
    pub tools: Vec<(&'static str, usize)>,
    /// How often its lists made a tool changed or new; empty where nothing is pinned.
    pub tools_changed: Vec<(&'static str, u64)>,
}

impl Gateway {
    /// What is counted of each server.
    pub(crate) fn numbers(&self) -> Vec<UpstreamNumbers> {
        let numbers = self.tallies.iter().map(|(server, tally)| {
            let pins = self.servers.get(server).and_then(|behind| behind.pins.as_ref());
            let pinned = pins.map(PinnedServer::numbers).unwrap_or_default();
            UpstreamNumbers {
                server: server.clone(),
                open_requests: tally.open_requests(),
                failures: tally
                    .failures()
                    .map(|(kind, count)| (kind.as_str(), count))
                    .collect(),
                sent: tally.sent().to_vec(),
                retries: tally.retries(),
                tools: pinned
                    .tools
                    .into_iter()
                    .map(|(state, count)| (state.as_str(), count))
                    .collect(),
                tools_changed: pinned
                    .changes
                    .into_iter()
                    .map(|(state, count)| (state.as_str(), count))
                    .collect(),
            }
        });
        numbers.collect()
    }
}
