//! Units of rate limits, and their windows.

use callgate_counters::{Period, Window};

/// The unit of time of a rate limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the words of the format")]
pub enum Unit {
    Second,
    Minute,
    Hour,
    Day,
    Week,
    /// 30 days.
    Month,
    /// 365 days.
    Year,
}

/// The alignment of a unit's windows in time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Align {
    /// Any interval of the unit's length is a window: no burst above the limit.
    #[default]
    Sliding,
    /// Consecutive windows, counted from 1970, as in envoyproxy/ratelimit: up to twice the limit may be admitted across
    /// the boundary of two windows.
    Calendar,
}

const SECOND_US: u64 = 1_000_000;
const DAY_S: u64 = 86_400;

impl Unit {
    /// Every unit, shortest first.
    pub const ALL: [Self; 7] = [
        Self::Second,
        Self::Minute,
        Self::Hour,
        Self::Day,
        Self::Week,
        Self::Month,
        Self::Year,
    ];

    /// The word of the format.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Second => "second",
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
            Self::Year => "year",
        }
    }

    /// Its length in seconds.
    pub const fn seconds(self) -> u64 {
        match self {
            Self::Second => 1,
            Self::Minute => 60,
            Self::Hour => 3_600,
            Self::Day => DAY_S,
            Self::Week => 7 * DAY_S,
            Self::Month => 30 * DAY_S,
            Self::Year => 365 * DAY_S,
        }
    }

    /// The window of a limit.
    pub(super) const fn window(self, align: Align) -> Window {
        match align {
            Align::Sliding => Window::Sliding {
                window_us: self.seconds() * SECOND_US,
            },
            Align::Calendar => Window::Calendar(match self {
                Self::Second => Period::Second,
                Self::Minute => Period::Minute,
                Self::Hour => Period::Hour,
                Self::Day => Period::Day,
                Self::Week => Period::Days7,
                Self::Month => Period::Days30,
                Self::Year => Period::Days365,
            }),
        }
    }
}

impl Align {
    /// The word of the format.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sliding => "sliding",
            Self::Calendar => "calendar",
        }
    }
}
