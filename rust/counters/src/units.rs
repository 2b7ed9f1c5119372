//! Units of counts in fixed point, and the windows in which they stay taken.

use std::fmt;

use serde::{Deserialize, Serialize};

/// An amount of units, in millionths: costs have at most six decimals, so this is exact.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Micros(pub u64);

impl Micros {
    /// One unit.
    pub const ONE: Self = Self(1_000_000);
}

impl fmt::Display for Micros {
    /// The shortest decimal: `30`, `0.5`, `1000000`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, fraction) = (self.0 / 1_000_000, self.0 % 1_000_000);
        if fraction == 0 {
            return write!(f, "{whole}");
        }
        let digits = format!("{fraction:06}");
        write!(f, "{whole}.{}", digits.trim_end_matches('0'))
    }
}

/// A window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Window {
    /// Any interval of this many microseconds, 10 ms to 366 days.
    Sliding {
        /// Length in microseconds.
        window_us: u64,
    },
    /// A period of the UTC calendar.
    Calendar(Period),
}

/// A period of the UTC calendar; weeks begin on Monday.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the words of the contract")]
pub enum Period {
    Minute,
    Hour,
    Day,
    Week,
    Month,
    Second,
    /// Periods of so many days, counted from 1970, which other rate limiters call a week, a month and a year. Policies
    /// cannot name these three, nor a second.
    Days7,
    Days30,
    Days365,
}

impl Period {
    /// Every period.
    pub const ALL: [Self; 9] = [
        Self::Minute,
        Self::Hour,
        Self::Day,
        Self::Week,
        Self::Month,
        Self::Second,
        Self::Days7,
        Self::Days30,
        Self::Days365,
    ];
}
