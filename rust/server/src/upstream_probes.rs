//! Probes of the servers behind the gateway: each is asked at the start, and every 30 s, whether it is an MCP server.

use std::sync::Arc;

use callgate_gateway::ProbeNews;

use crate::events::{FieldValue, Level};
use crate::gate::Gate;

/// Probes the servers whose time it is, beside everything else.
pub(crate) fn run(gate: &Arc<Gate>) {
    let second = gate.second();
    let gateway = Arc::clone(&gate.configuration().parts.gateway);
    for entry in gateway.servers.values() {
        if !entry.upstream.is_probe_due(second) {
            continue;
        }
        let (gate, entry) = (Arc::clone(gate), Arc::clone(entry));
        tokio::spawn(async move {
            let server = ("server", entry.server.as_str().into());
            match entry.upstream.probe().await {
                // Not cut like a caller's name: it says what to do.
                Some(ProbeNews::Fails(error)) => {
                    let fields = vec![server, ("error", FieldValue::Text(error))];
                    gate.events.push(Level::Warning, "upstream_unfit", fields);
                }
                Some(ProbeNews::Recovered) => {
                    gate.events.push(Level::Info, "upstream_recovered", vec![server]);
                }
                None => {}
            }
        });
    }
}
