//! Counts of connections.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counts of the connections to one server.
#[derive(Debug, Default)]
pub(crate) struct Usage {
    sent_new: AtomicU64,
    sent_reused: AtomicU64,
    retries: AtomicU64,
}

impl Usage {
    // Relaxed, here and below: numbers that publish nothing else.

    /// Counts a request that was written to a connection, at least a part of it.
    pub(super) fn sent(&self, is_reused: bool) {
        let count = if is_reused {
            &self.sent_reused
        } else {
            &self.sent_new
        };
        count.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a request that is sent once more, as nothing of it was written.
    pub(super) fn retried(&self) {
        self.retries.fetch_add(1, Ordering::Relaxed);
    }

    /// Requests that were sent, by the connection: as the metrics call it.
    pub(crate) fn sent_by_connection(&self) -> [(&'static str, u64); 2] {
        [
            ("new", self.sent_new.load(Ordering::Relaxed)),
            ("reused", self.sent_reused.load(Ordering::Relaxed)),
        ]
    }

    /// Requests that were sent once more.
    pub(crate) fn retries(&self) -> u64 {
        self.retries.load(Ordering::Relaxed)
    }
}
