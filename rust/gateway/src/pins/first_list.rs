//! A first list that does not come to its end.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::book::Book;

/// How long a first list may take. Until its end every tool is pinned when it is seen first, so that a server that always sends
/// another `nextCursor` would never have a new one.
const PATIENCE_S: u64 = 24 * 3600;

impl Book {
    /// Since when, in seconds since 1970, the first list is under way, if that is longer than any list takes.
    pub(super) fn unfinished_since(&self, now_unix_s: u64) -> Option<u64> {
        if self.is_complete {
            return None;
        }
        let records = self
            .tools
            .values()
            .flat_map(|entry| entry.pinned.iter().chain(&entry.listed));
        let begun = records.map(|record| record.at_unix_s).min()?;
        (now_unix_s.saturating_sub(begun) >= PATIENCE_S).then_some(begun)
    }
}

/// Seconds since 1970.
pub(super) fn now_unix_s() -> u64 {
    since_1970().as_secs()
}

/// Milliseconds since 1970.
pub(super) fn now_unix_ms() -> u64 {
    u64::try_from(since_1970().as_millis()).unwrap_or(u64::MAX)
}

fn since_1970() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
