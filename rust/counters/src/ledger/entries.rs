//! The entries of a ledger in its words: amounts, then tags, two to a word.

use super::{Ledger, SLIDING_ENTRIES};
use crate::atomic::{AtomicU64, Ordering, stall};
use crate::quanta::{CLAIMED, Quanta};

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
        let epoch = self.quanta.epoch(quantum);
        let part = match self.quanta {
            // A known number, so that it is no division.
            Quanta::Sliding { .. } if self.entries() == SLIDING_ENTRIES => {
                const RING: u64 = (SLIDING_ENTRIES - SLIDING_ENTRIES / 6) as u64;
                epoch % RING
            }
            _ => epoch % (self.entries() - exact) as u64,
        };
        exact + usize::try_from(part).unwrap_or(0)
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

    /// The first of the first `among` entries whose tag `is_wanted` and that can be `used`. Reads each word once.
    pub(super) fn find_tag(
        &self,
        among: usize,
        is_wanted: impl Fn(u32) -> bool,
        used: impl Fn(usize) -> bool,
    ) -> Option<usize> {
        let words = self.payload.get(self.entries()..).unwrap_or_default();
        for (word, first) in words.iter().zip((0..among).step_by(2)) {
            // SeqCst: as in `tag`.
            let tags = word.load(Ordering::SeqCst);
            for (entry, shift) in [(first, 0), (first + 1, 32)] {
                if is_wanted(half(tags, shift)) && entry < among && used(entry) {
                    return Some(entry);
                }
            }
        }
        None
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
#[expect(clippy::cast_possible_truncation, reason = "the low half is meant")]
pub(super) const fn half(word: u64, shift: u32) -> u32 {
    (word >> shift) as u32
}
