//! A first list that does not come to its end.

use super::book::Book;

/// The time that a first list may take. Until its end every tool is pinned when it is seen first, so that a server that
/// always sends another `nextCursor` would never have a new one.
const PATIENCE_S: u64 = 24 * 3600;

impl Book {
    /// Since when, in seconds since 1970, the first list is under way, if that is longer than any list takes.
    pub(super) fn unfinished_since(&self, now_unix_s: u64) -> Option<u64> {
        if self.is_complete {
            return None;
        }
        let records = self.tools.values().flat_map(super::entry::Entry::records);
        let begun = records.map(|record| record.at_unix_s).min()?;
        (now_unix_s.saturating_sub(begun) >= PATIENCE_S).then_some(begun)
    }
}
