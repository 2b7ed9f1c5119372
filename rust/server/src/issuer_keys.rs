//! Fetches the keys of issuers whose tokens callers bear.

use std::sync::Arc;

use callgate_gateway::oauth::{Issuer, Refresh};

use crate::events::Level;
use crate::gate::Gate;

/// Fetches the keys of each issuer in force beside everything else, if it is time for that.
pub(crate) fn renew(gate: &Arc<Gate>) {
    for issuer in gate.configuration().parts.gateway.issuers.iter() {
        if let Some(refresh) = issuer.due(gate.clock.now()) {
            run(gate, issuer, refresh);
        }
    }
}

/// In a task of its own: clients that give up waiting must not keep others from their keys.
pub(crate) fn run(gate: &Arc<Gate>, issuer: &Arc<Issuer>, refresh: Refresh) {
    let (gate, issuer) = (Arc::clone(gate), Arc::clone(issuer));
    tokio::spawn(async move {
        let name = issuer.config().issuer.as_str().into();
        match refresh.run().await {
            Ok(None) => {}
            Ok(Some(count)) => {
                // Without keys every token is refused until the issuer publishes one.
                let level = if count == 0 { Level::Warning } else { Level::Info };
                let fields = vec![("issuer", name), ("keys", count.into())];
                gate.events.push(level, "issuer_keys_changed", fields);
            }
            Err(error) => {
                // At the pace of attempts.
                let level = if issuer.has_keys(gate.clock.now()) {
                    Level::Warning
                } else {
                    Level::Error
                };
                let error = error.to_string();
                let fields = vec![("issuer", name), ("error", error.as_str().into())];
                gate.events.push(level, "issuer_keys_failed", fields);
            }
        }
    });
}
