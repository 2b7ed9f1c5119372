//! Cells: fixed-size runs of words, addressed by index, with no pointers inside.
//!
//! A cell is only ever used again for a count of the same layout. So a thread that still works on a cell that has
//! changed hands meanwhile reads it the same way as the new owner, and its hold, which it undoes as soon as it sees
//! that the cell has changed hands, is like any other call's.

use std::sync::OnceLock;

use super::atomic::{AtomicU64, zeroed};
use super::ledger::{CALENDAR_ENTRIES, Ledger, Quanta, SLIDING_ENTRIES, payload_words};
use super::slots::{MAX_SLOTS, Slots};
use super::{CountShape, Micros};
use crate::policy::ast::{Period, Window};

/// What a cell holds, and for which window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Layout {
    /// One slot per unit.
    Slots {
        /// Length of the window in microseconds.
        window_us: u64,
        /// Units per window.
        slots: usize,
    },
    /// Amounts with stamps.
    Sliding {
        /// Length of the window in microseconds.
        window_us: u64,
    },
    /// Amounts by period.
    Calendar(Period),
}

impl Layout {
    /// The layout for a count.
    pub(crate) fn of(shape: &CountShape) -> Self {
        match shape.window {
            Window::Calendar(period) => Self::Calendar(period),
            Window::Sliding { window_us } => {
                let units = usize::try_from(shape.max.0 / Micros::ONE.0).unwrap_or(usize::MAX);
                if shape.whole_units && (1..=MAX_SLOTS).contains(&units) {
                    Self::Slots {
                        window_us,
                        slots: units,
                    }
                } else {
                    Self::Sliding { window_us }
                }
            }
        }
    }

    /// True when a count of this shape can be kept in a cell of this layout.
    ///
    /// A ledger serves any `max` of its window: a count that was given one keeps it until it is idle.
    pub(crate) fn fits(self, shape: &CountShape) -> bool {
        self == Self::of(shape)
            || matches!((self, shape.window), (Self::Sliding { window_us }, Window::Sliding { window_us: wanted }) if window_us == wanted)
    }

    const fn payload(self) -> usize {
        match self {
            Self::Slots { slots, .. } => slots,
            Self::Sliding { .. } => payload_words(SLIDING_ENTRIES),
            Self::Calendar(_) => payload_words(CALENDAR_ENTRIES),
        }
    }
}

/// Words before the payload. Four belong to the cell, four to what it holds.
const HEADER: usize = 8;

/// One cell: borrowed words, and what the slab knows of them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cell<'c> {
    words: &'c [AtomicU64],
    layout: Layout,
    quanta: Quanta,
}

/// What a cell holds, ready for use.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Count<'c> {
    /// Exact, small.
    Slots(Slots<'c>),
    /// Anything else.
    Ledger(Ledger<'c>),
}

impl<'c> Cell<'c> {
    /// Low and high half of the identity.
    pub(crate) fn key(self) -> (&'c AtomicU64, &'c AtomicU64) {
        (&self.words[0], &self.words[1])
    }

    /// Changes whenever the cell changes hands; odd while it is closed.
    pub(crate) fn generation(self) -> &'c AtomicU64 {
        &self.words[2]
    }

    /// Hash of the grant that made the counter.
    pub(crate) fn owner(self) -> &'c AtomicU64 {
        &self.words[3]
    }

    /// What it holds.
    pub(crate) fn count(self) -> Count<'c> {
        let [a, b, c, d] = [4, 5, 6, 7].map(|word| &self.words[word]);
        let payload = &self.words[HEADER..];
        if let Layout::Slots { window_us, .. } = self.layout {
            return Count::Slots(Slots {
                hint: a,
                full_until: b,
                reset_at: c,
                stamps: payload,
                window_us,
            });
        }
        let quanta = self.quanta;
        Count::Ledger(Ledger {
            used: a,
            clock: b,
            next_expiry: c,
            last: d,
            payload,
            quanta,
        })
    }

    /// Its layout.
    pub(crate) fn layout(self) -> Layout {
        self.layout
    }
}

/// Cells of one layout, in chunks that double: a cell never moves.
#[derive(Debug)]
pub(crate) struct Slab {
    layout: Layout,
    /// How its ledgers count time: some divisions, so worked out once.
    quanta: Quanta,
    chunks: [OnceLock<Box<[AtomicU64]>>; CHUNKS],
}

/// Cells in the first chunk.
const FIRST_CHUNK: u32 = 16;
const CHUNKS: usize = 26;
/// Most cells of one slab.
pub(crate) const MAX_CELLS: u32 = 1 << 29;

impl Slab {
    /// No cells yet.
    pub(crate) fn new(layout: Layout) -> Self {
        let quanta = match layout {
            Layout::Slots { window_us, .. } | Layout::Sliding { window_us } => Quanta::sliding(window_us),
            Layout::Calendar(period) => Quanta::Calendar(period),
        };
        Self {
            layout,
            quanta,
            chunks: [const { OnceLock::new() }; CHUNKS],
        }
    }

    /// The cell at an index; its chunk is allocated when it is the first of it.
    pub(crate) fn cell_or_allocate(&self, index: u32) -> Cell<'_> {
        let (chunk, offset) = place(index);
        let cells = (FIRST_CHUNK << chunk) as usize;
        let words = self.chunks[chunk].get_or_init(|| zeroed(cells * self.words()));
        self.cut(words, offset)
    }

    /// The cell at an index that has been given out.
    pub(crate) fn cell(&self, index: u32) -> Option<Cell<'_>> {
        let (chunk, offset) = place(index);
        Some(self.cut(self.chunks.get(chunk)?.get()?, offset))
    }

    fn cut<'c>(&self, chunk: &'c [AtomicU64], offset: usize) -> Cell<'c> {
        let words = self.words();
        Cell {
            words: &chunk[offset * words..][..words],
            layout: self.layout,
            quanta: self.quanta,
        }
    }

    const fn words(&self) -> usize {
        HEADER + self.layout.payload()
    }
}

/// Chunk and offset within it: chunks hold 16, 32, 64, ... cells.
const fn place(index: u32) -> (usize, usize) {
    let shifted = index + FIRST_CHUNK;
    let chunk = shifted.ilog2() - FIRST_CHUNK.ilog2();
    (chunk as usize, (shifted - (FIRST_CHUNK << chunk)) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indexes_fill_chunk_after_chunk() {
        assert_eq!(place(0), (0, 0));
        assert_eq!(place(15), (0, 15));
        assert_eq!(place(16), (1, 0));
        assert_eq!(place(47), (1, 31));
        assert_eq!(place(48), (2, 0));
        assert!(place(MAX_CELLS - 1).0 < CHUNKS);
    }

    #[test]
    fn memory_per_counter_keeps_its_promise() {
        let bytes = |layout| Slab::new(layout).words() * 8;
        for slots in [1, 30, 256] {
            assert_eq!(bytes(Layout::Slots { window_us: 1, slots }), 8 * slots + 64);
        }
        assert_eq!(
            bytes(Layout::Sliding {
                window_us: 60_000_000
            }),
            1024
        );
        assert!(bytes(Layout::Calendar(Period::Day)) <= 128);
    }
}
