//! Cells: fixed-size runs of words, addressed by index, with no pointers inside.
//!
//! While a call may be reading a cell, the cell is used again for a count of the same layout alone (`epoch`). So a
//! thread that still works on a cell that has changed hands meanwhile reads it the same way as the new owner does. Its
//! hold, which it undoes as soon as it sees that the cell has changed hands, is like any other call's.

use std::hash::Hasher;

use siphasher::sip::SipHasher13;

use crate::atomic::{AtomicU64, Ordering, prefetch};
use crate::blocks::cells_per_block;
use crate::index::{high, low};
use crate::ledger::{CALENDAR_ENTRIES, Ledger, SLIDING_ENTRIES, payload_words};
use crate::quanta::Quanta;
use crate::shape::NO_SHARE;
use crate::slots::{MAX_SLOTS, Slots};
use crate::{CountKey, CountShape, Micros, Period, Sharing, Window};

/// The contents of a cell, and their window.
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
    /// Amounts with stamps, of a count of which this node has a share. Its gate lets up to [`NO_SHARE`] be in use, and what the
    /// node has no share of is in use there: what is granted is taken off, what is given back is put on, by the same
    /// compare-and-swap as units. So no call can use what was given back, however slow its thread is. Without any share the
    /// gate stands one higher, so a new cell admits nothing, and no cell with a share looks idle.
    Leased {
        /// Length of the window in microseconds.
        window_us: u64,
    },
}

impl Layout {
    /// The layout for a count.
    pub(crate) fn of(shape: &CountShape) -> Self {
        match shape.window {
            Window::Calendar(period) => Self::Calendar(period),
            Window::Sliding { window_us } if shape.sharing == Sharing::Leased => Self::Leased { window_us },
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

    /// True if a count of this shape can be kept in a cell of this layout.
    ///
    /// A ledger serves any `max` of its window: a count that is in a ledger stays there until it is idle.
    pub(crate) fn fits(self, shape: &CountShape) -> bool {
        self == Self::of(shape)
            || matches!(
                (self, shape.window),
                (Self::Sliding { window_us }, Window::Sliding { window_us: wanted })
                    if window_us == wanted && shape.sharing != Sharing::Leased
            )
    }

    /// Words of payload.
    pub(crate) const fn payload(self) -> usize {
        match self {
            Self::Slots { slots, .. } => slots,
            Self::Sliding { .. } | Self::Leased { .. } => payload_words(SLIDING_ENTRIES),
            Self::Calendar(_) => payload_words(CALENDAR_ENTRIES),
        }
    }

    /// Encodes the layout in three words, for a file.
    pub(crate) const fn to_words(self) -> [u64; 3] {
        match self {
            Self::Slots { window_us, slots } => [1, window_us, slots as u64],
            Self::Sliding { window_us } => [2, window_us, 0],
            Self::Calendar(period) => [3, period_code(period), 0],
            Self::Leased { window_us } => [4, window_us, 0],
        }
    }

    /// Decodes the words of [`Self::to_words`].
    pub(crate) fn from_words(words: [u64; 3]) -> Option<Self> {
        match words {
            [1, window_us @ 1..=u64::MAX, slots] => {
                let slots = usize::try_from(slots).ok()?;
                (1..=MAX_SLOTS)
                    .contains(&slots)
                    .then_some(Self::Slots { window_us, slots })
            }
            [2, window_us @ 1..=u64::MAX, 0] => Some(Self::Sliding { window_us }),
            [3, code, 0] => period_of(code).map(Self::Calendar),
            [4, window_us @ 1..=u64::MAX, 0] => Some(Self::Leased { window_us }),
            _ => None,
        }
    }
}

/// The number of a period, in files and in [`Kind`].
const fn period_code(period: Period) -> u64 {
    match period {
        Period::Minute => 0,
        Period::Hour => 1,
        Period::Day => 2,
        Period::Week => 3,
        Period::Month => 4,
        Period::Second => 5,
        Period::Days7 => 6,
        Period::Days30 => 7,
        Period::Days365 => 8,
    }
}

/// The period of a number.
const fn period_of(code: u64) -> Option<Period> {
    Some(match code {
        0 => Period::Minute,
        1 => Period::Hour,
        2 => Period::Day,
        3 => Period::Week,
        4 => Period::Month,
        5 => Period::Second,
        6 => Period::Days7,
        7 => Period::Days30,
        8 => Period::Days365,
        _ => return None,
    })
}

/// Words of a cell's header. Four belong to the cell, four to what it holds.
pub(crate) const HEADER_WORDS: usize = 8;

/// The layout of a block's cells, and values derived from it by division, computed once.
///
/// The fields are atomics, because a block gets another layout once all its cells are free and no call can be reading
/// them: the epochs ensure that (`epoch`). So every access is Relaxed: a reader found the block by the index, which
/// publishes what was written before, and a writer is the only thread that uses the block.
#[derive(Debug)]
pub(crate) struct Kind {
    /// 16 bits each: the tag of the layout, the code of a calendar's period, cells in a block, words of a payload.
    shape: AtomicU64,
    window_us: AtomicU64,
    quantum_us: AtomicU64,
    /// 32 bits each: quanta of a window, quanta that are merged.
    quanta: AtomicU64,
}

const SLOTS: u64 = 1;
const SLIDING: u64 = 2;
const CALENDAR: u64 = 3;
const LEASED: u64 = 4;
const SHAPE_BITS: u32 = 16;
const SHAPE_MASK: u64 = (1 << SHAPE_BITS) - 1;

impl Kind {
    /// The kind for a layout.
    pub(crate) fn new(layout: Layout) -> Self {
        let kind = Self {
            shape: AtomicU64::new(0),
            window_us: AtomicU64::new(0),
            quantum_us: AtomicU64::new(0),
            quanta: AtomicU64::new(0),
        };
        kind.set(layout);
        kind
    }

    /// Changes the layout of a block that no call can be reading.
    pub(crate) fn set(&self, layout: Layout) {
        let [tag, first, _] = layout.to_words();
        let (window_us, period) = match layout {
            Layout::Slots { window_us, .. }
            | Layout::Sliding { window_us }
            | Layout::Leased { window_us } => (window_us, 0),
            Layout::Calendar(_) => (0, first),
        };
        let fields = [
            tag,
            period,
            cells_per_block(layout).into(),
            layout.payload() as u64,
        ];
        let shape = fields
            .iter()
            .rev()
            .fold(0, |shape, field| shape << SHAPE_BITS | field);
        self.shape.store(shape, Ordering::Relaxed);
        self.window_us.store(window_us, Ordering::Relaxed);
        if let Quanta::Sliding {
            quantum_us,
            window,
            merge,
        } = Quanta::sliding(window_us.max(1))
        {
            self.quantum_us.store(quantum_us, Ordering::Relaxed);
            self.quanta.store(window | merge << 32, Ordering::Relaxed);
        }
    }

    /// The layout.
    #[inline]
    pub(crate) fn layout(&self) -> Layout {
        match self.field(0) {
            SLOTS => Layout::Slots {
                window_us: self.window_us.load(Ordering::Relaxed),
                slots: self.payload(),
            },
            SLIDING => Layout::Sliding {
                window_us: self.window_us.load(Ordering::Relaxed),
            },
            LEASED => Layout::Leased {
                window_us: self.window_us.load(Ordering::Relaxed),
            },
            _ => Layout::Calendar(self.period()),
        }
    }

    /// Cells in one block.
    #[expect(clippy::cast_possible_truncation, reason = "16 bits")]
    pub(crate) fn cells(&self) -> u32 {
        self.field(2) as u32
    }

    /// Words of a cell's payload.
    #[expect(clippy::cast_possible_truncation, reason = "16 bits")]
    pub(crate) fn payload(&self) -> usize {
        self.field(3) as usize
    }

    fn period(&self) -> Period {
        // `set` wrote the code of one.
        period_of(self.field(1)).unwrap_or(Period::Minute)
    }

    /// Returns the unit of time of the ledgers in this block.
    fn quanta(&self) -> Quanta {
        if self.field(0) == CALENDAR {
            return Quanta::Calendar(self.period());
        }
        let quanta = self.quanta.load(Ordering::Relaxed);
        Quanta::Sliding {
            quantum_us: self.quantum_us.load(Ordering::Relaxed),
            window: quanta & u64::from(u32::MAX),
            merge: quanta >> 32,
        }
    }

    fn field(&self, number: u32) -> u64 {
        self.shape.load(Ordering::Relaxed) >> (number * SHAPE_BITS) & SHAPE_MASK
    }
}

/// One cell: borrowed words, and the kind of its block.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cell<'c> {
    header: &'c [AtomicU64; HEADER_WORDS],
    payload: &'c [AtomicU64],
    kind: &'c Kind,
}

/// The contents of a cell, ready for use.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Count<'c> {
    /// Exact, small.
    Slots(Slots<'c>),
    /// Any other count.
    Ledger(Ledger<'c>),
}

impl<'c> Cell<'c> {
    /// A cell of these words.
    pub(crate) const fn new(
        header: &'c [AtomicU64; HEADER_WORDS],
        payload: &'c [AtomicU64],
        kind: &'c Kind,
    ) -> Self {
        Self {
            header,
            payload,
            kind,
        }
    }

    /// Low and high half of the identity.
    pub(crate) fn key(self) -> (&'c AtomicU64, &'c AtomicU64) {
        (&self.header[0], &self.header[1])
    }

    /// Changes whenever the cell changes hands; odd while it is closed. See [`successor`].
    pub(crate) fn generation(self) -> &'c AtomicU64 {
        &self.header[2]
    }

    /// Hash of the grant whose call made the counter.
    pub(crate) fn owner(self) -> &'c AtomicU64 {
        &self.header[3]
    }

    /// Returns the contents of the cell, by its layout.
    pub(crate) fn count(self) -> Count<'c> {
        let [.., a, b, c, d] = self.header;
        let payload = self.payload;
        if self.kind.field(0) == SLOTS {
            return Count::Slots(Slots {
                given_back: a,
                full_until: b,
                reset_at: c,
                ring: d,
                stamps: payload,
                window_us: self.kind.window_us.load(Ordering::Relaxed),
            });
        }
        Count::Ledger(Ledger {
            used: a,
            clock: b,
            next_expiry: c,
            last: d,
            payload,
            quanta: self.kind.quanta(),
            base: if self.kind.field(0) == LEASED { NO_SHARE } else { 0 },
        })
    }

    /// Asks for the cache lines of the payload that a take reads first, so that they come while the header is waited for:
    /// where to take is read there.
    #[inline]
    pub(crate) fn prefetch_slots(self) {
        // Of larger cells a take reads a few lines, and which ones is not known yet.
        const LINES: usize = 4;
        const LINE_WORDS: usize = 8;
        if self.kind.field(0) == SLOTS {
            self.payload
                .iter()
                .step_by(LINE_WORDS)
                .take(LINES)
                .for_each(prefetch);
        }
    }

    /// Asks for the cache lines that a take reads first.
    #[inline]
    pub(crate) fn prefetch(self) {
        prefetch(&self.header[0]);
        self.prefetch_slots();
        if self.kind.field(0) != SLOTS {
            // The tags of the exact entries.
            self.payload
                .get(self.payload.len() / 3 * 2)
                .into_iter()
                .for_each(prefetch);
        }
    }

    /// True if a count of this shape can be kept in this cell: what [`Layout::fits`] says, without a division.
    #[inline]
    pub(crate) fn fits(self, shape: &CountShape) -> bool {
        let Window::Sliding { window_us } = shape.window else {
            return self.layout().fits(shape);
        };
        if self.kind.window_us.load(Ordering::Relaxed) != window_us {
            return false;
        }
        match self.kind.field(0) {
            // Of `max` only whole units count, as there.
            SLOTS if shape.sharing == Sharing::Leased => false,
            SLOTS => {
                let slots = self.payload.len() as u64 * Micros::ONE.0;
                shape.whole_units && shape.max.0.wrapping_sub(slots) < Micros::ONE.0
            }
            LEASED => shape.sharing == Sharing::Leased,
            tag => tag == SLIDING && shape.sharing != Sharing::Leased,
        }
    }

    /// The layout of the cell.
    pub(crate) fn layout(self) -> Layout {
        self.kind.layout()
    }

    /// Every word of the cell.
    pub(crate) fn words(self) -> impl Iterator<Item = &'c AtomicU64> {
        self.header.iter().chain(self.payload)
    }
}

const GENERATION_MASK: u64 = u32::MAX as u64;

/// The generation of a cell that is opened, after `before`: even, new and not 0.
///
/// The low half of the word counts; the high half is the [`check`] of the count that the cell serves, so that a damaged
/// identity in a file is detected.
pub(crate) const fn successor(before: u64, check: u32) -> u64 {
    let next = (before | 1).wrapping_add(1) & GENERATION_MASK;
    // 0 stands for a cell that was never used.
    (check as u64) << 32 | if next == 0 { 2 } else { next }
}

/// The check in a generation.
pub(crate) const fn check_of(generation: u64) -> u32 {
    (generation >> 32) as u32
}

/// True for a cell that was never used since its block was made.
///
/// The whole word is compared: if damage made the low half 0, the check above it still shows that there was a count.
pub(crate) const fn is_fresh(generation: u64) -> bool {
    generation == 0
}

/// The check of a count in a cell: of identity, owner and layout.
pub(crate) fn check(key: CountKey, owner: u64, layout: Layout) -> u32 {
    // Files hold this value, so it must never change. It detects damage, not attacks, so it needs no key.
    let mut hasher = SipHasher13::new();
    for word in [low(key), high(key), owner] {
        hasher.write_u64(word);
    }
    for word in layout.to_words() {
        hasher.write_u64(word);
    }
    check_of(hasher.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_per_counter_keeps_its_promise() {
        let bytes = |layout: Layout| (HEADER_WORDS + layout.payload()) * 8;
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

    #[test]
    fn layouts_survive_being_words() {
        let calendars = Period::ALL.map(Layout::Calendar);
        let others = [
            Layout::Slots {
                window_us: 5,
                slots: 256,
            },
            Layout::Sliding { window_us: u64::MAX },
            Layout::Leased { window_us: 7 },
        ];
        for layout in calendars.into_iter().chain(others) {
            assert_eq!(Layout::from_words(layout.to_words()), Some(layout));
        }
        for words in [
            [0, 0, 0],
            [1, 5, 0],
            [1, 5, 257],
            [1, 0, 5],
            [2, 0, 0],
            [2, 5, 1],
            [3, 9, 0],
            [3, 0, 1],
            [4, 0, 0],
            [4, 5, 1],
            [5, 0, 0],
        ] {
            assert_eq!(Layout::from_words(words), None, "{words:?}");
        }
    }

    #[test]
    fn a_kind_is_its_layout_whatever_it_was_before() {
        let kind = Kind::new(Layout::Sliding { window_us: 7 });
        let calendars = Period::ALL.map(Layout::Calendar);
        let others = [(1, 1), (60_000_000, 30), (366 * 86_400_000_000, 256)].map(|(window_us, slots)| {
            [
                Layout::Slots { window_us, slots },
                Layout::Sliding { window_us },
                Layout::Leased { window_us },
            ]
        });
        for layout in calendars.into_iter().chain(others.into_iter().flatten()) {
            kind.set(layout);
            assert_eq!(kind.layout(), layout);
            assert_eq!(kind.cells(), cells_per_block(layout));
            assert_eq!(kind.payload(), layout.payload());
            match layout {
                Layout::Sliding { window_us } | Layout::Leased { window_us } => {
                    assert_eq!(kind.quanta(), Quanta::sliding(window_us));
                }
                Layout::Calendar(period) => assert_eq!(kind.quanta(), Quanta::Calendar(period)),
                Layout::Slots { .. } => {}
            }
        }
    }

    #[test]
    fn a_cell_fits_what_its_layout_fits() {
        let header: [AtomicU64; HEADER_WORDS] = std::array::from_fn(|_| AtomicU64::new(0));
        let payload: [AtomicU64; MAX_SLOTS] = std::array::from_fn(|_| AtomicU64::new(0));
        let windows = [1, 60_000_000].map(|window_us| Window::Sliding { window_us });
        let periods = [Period::Minute, Period::Day].map(Window::Calendar);
        let slots = [1, 30, 256].map(|slots| Layout::Slots { window_us: 1, slots });
        let others = [
            Layout::Sliding { window_us: 1 },
            Layout::Leased { window_us: 1 },
            Layout::Calendar(Period::Day),
        ];
        for layout in slots.into_iter().chain(others) {
            let kind = Kind::new(layout);
            let cell = Cell::new(&header, &payload[..layout.payload()], &kind);
            for window in windows.into_iter().chain(periods) {
                for max in [
                    1, 999_999, 1_000_000, 29_999_999, 30_000_000, 30_000_001, 30_999_999,
                ]
                .into_iter()
                .chain([
                    31_000_000,
                    255_999_999,
                    256_000_000,
                    256_999_999,
                    257_000_000,
                    u64::MAX,
                ]) {
                    let kinds =
                        [false, true].map(|whole| [(whole, Sharing::Local), (whole, Sharing::Leased)]);
                    for (whole_units, sharing) in kinds.into_iter().flatten() {
                        let shape = CountShape {
                            window,
                            max: Micros(max),
                            whole_units,
                            sharing,
                        };
                        assert_eq!(cell.fits(&shape), layout.fits(&shape), "{layout:?} {shape:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn generations_go_on_and_are_never_fresh_again() {
        let mut generation = successor(0, 7);
        assert_eq!((generation & GENERATION_MASK, check_of(generation)), (2, 7));
        generation = successor(generation | 1, 9);
        assert_eq!((generation & GENERATION_MASK, check_of(generation)), (4, 9));
        let last = successor(u64::from(u32::MAX) | 5 << 32, 3);
        assert_eq!((last & GENERATION_MASK, check_of(last)), (2, 3));
    }
}
