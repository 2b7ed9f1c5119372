//! The entries of a ledger in its words: amounts, then tags, two to a word.

use super::Ledger;
use crate::atomic::{AtomicU64, Ordering, stall};
use crate::quanta::CLAIMED;

impl Ledger<'_> {
    pub(super) fn entries(&self) -> usize {
        self.payload.len() * 2 / 3
    }

    /// Entries that hold one stamp each; the rest is the ring.
    pub(super) fn exact_entries(&self) -> usize {
        self.entries() / 6
    }

    /// The entry of the ring in which admissions of this quantum are merged.
    pub(super) fn part(&self, quantum: u64) -> usize {
        let exact = self.exact_entries();
        let ring = (self.entries() - exact) as u64;
        exact + usize::try_from(self.quanta.epoch(quantum) % ring).unwrap_or(0)
    }

    pub(super) fn tag_place(&self, entry: usize) -> (&AtomicU64, u32) {
        (
            &self.payload[self.entries() + entry / 2],
            if entry.is_multiple_of(2) { 0 } else { 32 },
        )
    }

    pub(super) fn tag(&self, entry: usize) -> u32 {
        let (word, shift) = self.tag_place(entry);
        // Acquire: pairs with `publish`, so the amount is seen with its tag. SeqCst: see `refresh`.
        half(word.load(Ordering::SeqCst), shift)
    }

    /// Swaps one tag of the two in a word; fails only when this tag has changed.
    pub(super) fn swap_tag(&self, entry: usize, from: u32, to: u32) -> bool {
        let (word, shift) = self.tag_place(entry);
        let mut seen = word.load(Ordering::Relaxed); // the compare-and-swap is what counts
        while half(seen, shift) == from {
            stall();
            let next = seen & !(u64::from(u32::MAX) << shift) | u64::from(to) << shift;
            // Acquire: reads the amount that the previous owner published. Release: a claim publishes nothing of this
            // thread, but the other half of the word passes on the publication of its owner.
            match word.compare_exchange_weak(seen, next, Ordering::SeqCst, Ordering::Relaxed) {
                Ok(_) => return true,
                Err(now) => seen = now,
            }
        }
        false
    }

    /// Ends a claim.
    pub(super) fn publish(&self, entry: usize, tag: u32) {
        // Cannot fail: a claimed tag is changed by its owner alone.
        let published = self.swap_tag(entry, CLAIMED, tag);
        debug_assert!(published, "a claimed entry belongs to one thread");
    }
}

/// The tag of a word at a shift, 0 or 32.
pub(super) fn half(word: u64, shift: u32) -> u32 {
    u32::try_from(word >> shift & u64::from(u32::MAX)).unwrap_or(0)
}
