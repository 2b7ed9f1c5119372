//! The time of ledgers: whole quanta of the boot clock, or periods of the calendar, and the tags that encode them in
//! entries.

use crate::calendar::{period_index, period_start_us};
use crate::{Now, Period};

/// Tags hold 31 bits of a quantum number: a window has at most a quarter of that, so what is live is never ambiguous.
const TAG_SPAN: u64 = 1 << 31;
/// Quanta of the longest window.
const LONGEST_WINDOW: u64 = 1 << 29;
/// The tag of an entry that holds no units.
pub(crate) const FREE: u32 = 0;
/// The tag of an entry that one thread has claimed.
pub(crate) const CLAIMED: u32 = u32::MAX;

/// The unit in which a ledger measures time: a quantum of the boot clock, or a period of the calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Quanta {
    /// Quanta of `quantum_us` on the boot clock.
    Sliding {
        /// Length of a quantum: a power of ten, at most a five-millionth of the window.
        quantum_us: u64,
        /// Length of the window, rounded up.
        window: u64,
        /// Entries this close together are one entry.
        merge: u64,
    },
    /// Periods of the calendar, in Unix time.
    Calendar(Period),
}

impl Quanta {
    /// The quanta for a sliding window of this length.
    pub(crate) fn sliding(window_us: u64) -> Self {
        let mut quantum_us = 1;
        while window_us / quantum_us > LONGEST_WINDOW {
            quantum_us *= 10;
        }
        let window = window_us.div_ceil(quantum_us);
        // Two quanta less than a sixty-fourth, for what rounding the stamp and the look adds.
        Self::Sliding {
            quantum_us,
            window,
            merge: (window / 64).saturating_sub(2).max(1),
        }
    }

    /// The window, in quanta.
    pub(crate) const fn window(self) -> u64 {
        match self {
            Self::Sliding { window, .. } => window,
            Self::Calendar(_) => 1,
        }
    }

    /// The part of a window that a quantum lies in: entries of one part are merged.
    pub(crate) const fn epoch(self, quantum: u64) -> u64 {
        match self {
            Self::Sliding { merge, .. } => quantum / merge,
            Self::Calendar(_) => quantum,
        }
    }

    /// The quantum of an admission at this time: rounded up.
    #[inline]
    pub(crate) fn stamped(self, now: Now, stamp_us: u64) -> u64 {
        match self {
            // Of windows up to nine minutes, and a division takes as long as much else here.
            Self::Sliding { quantum_us: 1, .. } => stamp_us,
            Self::Sliding { quantum_us, .. } => stamp_us.div_ceil(quantum_us),
            Self::Calendar(period) => period_index(period, now.unix_us_of(stamp_us)),
        }
    }

    /// The quantum of a look at this time: rounded down.
    #[inline]
    pub(crate) fn looked(self, now: Now) -> u64 {
        match self {
            Self::Sliding { quantum_us: 1, .. } => now.look_us(),
            Self::Sliding { quantum_us, .. } => now.look_us() / quantum_us,
            Self::Calendar(period) => period_index(period, now.unix_us()),
        }
    }

    /// Microseconds from `now` until this quantum begins.
    pub(crate) fn until(self, now: Now, quantum: u64) -> u64 {
        match self {
            Self::Sliding { quantum_us, .. } => (quantum * quantum_us).saturating_sub(now.look_us()),
            Self::Calendar(period) => period_start_us(period, quantum).saturating_sub(now.unix_us()),
        }
    }

    /// Returns the tag of an entry of this quantum.
    pub(crate) fn tag(quantum: u64) -> u32 {
        // `FREE` is 0 and `CLAIMED` is the largest, so tags lie between.
        u32::try_from(quantum % TAG_SPAN).unwrap_or(0) + 1
    }

    /// The quantum of a tag, given one that is less than half the span of tags away.
    pub(crate) fn quantum_near(tag: u32, near: u64) -> u64 {
        let base = u64::from(tag - 1);
        let ahead = (base + TAG_SPAN - near % TAG_SPAN) % TAG_SPAN;
        if ahead < TAG_SPAN / 2 {
            near + ahead
        } else {
            (near + ahead).saturating_sub(TAG_SPAN)
        }
    }
}
