//! The numbers of the servers behind the gateway, for the metrics page.

use callgate_gateway::pins::Server as PinnedServer;

use super::Gateway;
use crate::metrics::UpstreamNumbers;

impl Gateway {
    /// The numbers of each server.
    pub(crate) fn numbers(&self) -> Vec<UpstreamNumbers> {
        let numbers = self.tallies.iter().map(|(server, tally)| {
            let pins = self.servers.get(server).and_then(|entry| entry.pins.as_ref());
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
