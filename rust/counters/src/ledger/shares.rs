//! The share that a node has of a leased count.

use super::Ledger;
use crate::Now;
use crate::atomic::Ordering;

impl Ledger<'_> {
    /// Adds to the share of this node. Units of it are stamped no earlier than now: before, another node may have had them.
    pub(crate) fn lend(&self, amount: u64, now: Now) {
        // Before the gate: whoever passes it with these units sees the clock.
        self.raise_floor(now.stamp_us());
        let base = self.base;
        // As in `hold`. It always succeeds.
        let _ = self
            .used
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |used| {
                Some(used.min(base).saturating_sub(amount))
            });
    }

    /// Closes the gate if no share is left, and so no unit is in use. False if that is not so; the caller knows that it has lent
    /// nothing that was not taken back.
    pub(crate) fn end_share(&self, now: Now) -> bool {
        self.refresh(now);
        let ended = self
            .used
            .compare_exchange(self.base, self.closed(), Ordering::SeqCst, Ordering::SeqCst);
        ended.is_ok() || ended == Err(self.closed())
    }

    /// Takes units that are free out of the share of this node, at most this many. Returns their number.
    pub(crate) fn take_back(&self, most: u64, now: Now) -> u64 {
        self.refresh(now);
        let mut used = self.used.load(Ordering::SeqCst);
        loop {
            let amount = self.base.saturating_sub(used).min(most);
            // As in `hold`.
            match self
                .used
                .compare_exchange_weak(used, used + amount, Ordering::SeqCst, Ordering::SeqCst)
            {
                Ok(_) => return amount,
                Err(now_used) => used = now_used,
            }
        }
    }
}
