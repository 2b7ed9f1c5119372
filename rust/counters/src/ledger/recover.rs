//! A ledger in a file, after the process that used it has ended.

use super::{CLAIMED, FREE, Ledger};
use crate::atomic::Ordering;
use crate::quanta::Quanta;
use crate::{MOST_AHEAD_US, Now};

impl Ledger<'_> {
    /// Repairs the state that an interrupted call left, in a file that nobody else uses.
    ///
    /// Written amounts were admitted; a hold that was not written down belongs to a call that was never answered. An
    /// entry that was claimed may hold units of any stamp up to the last one, so it gets the last one: its units come
    /// back late, never early.
    pub(crate) fn mend(&self) {
        let last = self.last.load(Ordering::SeqCst);
        let (mut used, mut next_expiry) = (self.base, u64::MAX);
        for entry in 0..self.entries() {
            let amount = self.payload[entry].load(Ordering::SeqCst);
            let tag = match self.tag(entry) {
                CLAIMED => {
                    let tag = if amount == 0 { FREE } else { Quanta::tag(last) };
                    self.publish(entry, tag);
                    tag
                }
                tag => tag,
            };
            if tag == FREE {
                if amount != 0 {
                    self.payload[entry].store(0, Ordering::SeqCst);
                }
                continue;
            }
            used = used.saturating_add(amount);
            next_expiry = next_expiry.min(Quanta::quantum_near(tag, last) + self.quanta.window());
        }
        if self.used.load(Ordering::SeqCst) != used {
            self.used.store(used, Ordering::SeqCst);
        }
        if self.next_expiry.load(Ordering::SeqCst) > next_expiry {
            self.next_expiry.store(next_expiry, Ordering::SeqCst);
        }
    }

    /// Raises `last` to the newest entry, after a power failure. The page with `last` may be older than the page with
    /// the entries, and an entry that is newer than `last` would be regarded as one whose tag has wrapped, and be
    /// cleared.
    ///
    /// An entry with units that were flushed is at most one merged part newer than a stamp from before the flush, or as
    /// much as units may be taken ahead. So a tag beyond that, or beyond `ahead_us`, has wrapped.
    pub(crate) fn raise_last(&self, now: Now, ahead_us: u64) {
        let told = self.last.load(Ordering::SeqCst);
        let look = self.quanta.looked(now);
        let newest = match self.quanta {
            Quanta::Sliding {
                quantum_us, merge, ..
            } => look + merge.max(MOST_AHEAD_US / quantum_us).min(ahead_us / quantum_us),
            Quanta::Calendar(_) => look,
        };
        let last = (0..self.entries())
            .map(|entry| self.tag(entry))
            .filter(|&tag| tag != FREE && tag != CLAIMED)
            .map(|tag| Quanta::quantum_near(tag, told))
            .filter(|&quantum| quantum <= newest)
            .fold(told, u64::max);
        if last != told {
            self.last.store(last, Ordering::SeqCst);
        }
    }

    /// Adds up all written amounts; `None` if the sum is more than any limit allows.
    pub(crate) fn written_down(&self) -> Option<u64> {
        let amount = |entry: usize| self.payload[entry].load(Ordering::SeqCst);
        (0..self.entries())
            .filter(|&entry| self.tag(entry) != FREE)
            .map(amount)
            .try_fold(0, u64::checked_add)
    }

    /// True if nothing is stamped later than this: boot microseconds, or the period.
    pub(crate) fn is_before(&self, ceiling: u64) -> bool {
        let last = match self.quanta {
            Quanta::Sliding { quantum_us, .. } => ceiling / quantum_us,
            Quanta::Calendar(_) => ceiling,
        };
        self.clock.load(Ordering::SeqCst) <= ceiling && self.last.load(Ordering::SeqCst) <= last
    }
}
