//! The order of the slots of one cell, in one word.

use super::MAX_SLOTS;

/// Slots that were taken one after the other: from `next` on and around, each at the time of the one before it or later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ring {
    /// The slot that was taken before all others.
    pub(super) next: usize,
    /// Slots that were free when it was noted, all from `next` on.
    pub(super) free: usize,
}

const IS_KNOWN: u64 = 1;
const NEXT_SHIFT: u32 = 1;
const FREE_SHIFT: u32 = 10;
/// `free` may be all slots.
const FIELD_MASK: u64 = (MAX_SLOTS as u64) * 2 - 1;
/// The low half of the version of [`super::Slots::given_back`], without the bits that are nobody's.
const VERSION_SHIFT: u32 = 32;

impl Ring {
    /// The word for this ring; 0 is the word of no ring.
    pub(super) const fn to_word(self, version: u64) -> u64 {
        version >> super::VERSION_SHIFT << VERSION_SHIFT
            | (self.free as u64) << FREE_SHIFT
            | (self.next as u64) << NEXT_SHIFT
            | IS_KNOWN
    }

    /// The ring of a word, if it was noted at this version for a cell of `count` slots. The word may come from a damaged
    /// file, so it is checked.
    #[inline]
    pub(super) fn of_word(word: u64, version: u64, count: usize) -> Option<Self> {
        let field = |shift: u32| usize::try_from(word >> shift & FIELD_MASK).unwrap_or(usize::MAX);
        let ring = Self {
            next: field(NEXT_SHIFT),
            free: field(FREE_SHIFT),
        };
        let is_of_version = word >> VERSION_SHIFT == version >> super::VERSION_SHIFT & u64::from(u32::MAX);
        (word & IS_KNOWN != 0 && is_of_version && ring.next < count && ring.free <= count).then_some(ring)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_rings_of_their_version_and_their_cell() {
        for version in [0, 1 << 8, 7 << 8, u64::MAX] {
            for (next, free) in [(0, 0), (0, 256), (255, 0), (255, 256), (17, 3)] {
                let ring = Ring { next, free };
                let word = ring.to_word(version);
                assert_eq!(Ring::of_word(word, version, 256), Some(ring));
                assert_eq!(Ring::of_word(word, version.wrapping_add(1 << 8), 256), None);
                assert_eq!(Ring::of_word(word & !IS_KNOWN, version, 256), None);
                let fits = next < 30 && free <= 30;
                assert_eq!(Ring::of_word(word, version, 30), fits.then_some(ring));
            }
        }
        assert_eq!(Ring::of_word(0, 0, 256), None);
    }
}
