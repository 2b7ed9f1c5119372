//! Windows (`docs/policy.md` section 4), in microseconds.

use crate::decimal::Decimal;
use crate::json::Json;

const SECOND_US: u64 = 1_000_000;
const DAY_US: u64 = 86_400 * SECOND_US;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Window {
    Sliding {
        length_us: u64,
    },
    /// `minute`, `hour`, `day`, `week` or `month` of UTC.
    Calendar(String),
}

impl Window {
    pub(crate) fn read(json: &Json, calendar: bool) -> Option<Self> {
        if calendar {
            return Some(Self::Calendar(json.text()?.to_owned()));
        }
        let length_us = match json {
            Json::Number(seconds, _) => u64::try_from(seconds.millionths()?).ok()?,
            text => word_us(text.text()?)?,
        };
        Some(Self::Sliding { length_us })
    }

    /// The identity of this window.
    pub(crate) fn key(&self) -> String {
        match self {
            Self::Sliding { length_us } => length_us.to_string(),
            Self::Calendar(word) => word.clone(),
        }
    }
}

fn word_us(text: &str) -> Option<u64> {
    let seconds = match text {
        "second" => 1,
        "minute" => 60,
        "hour" => 3_600,
        "day" => 86_400,
        "week" => 604_800,
        duration => {
            let unit_at = duration.find(|c: char| !c.is_ascii_digit())?;
            let (count, unit) = duration.split_at(unit_at);
            let unit_ms = match unit {
                "ms" => 1,
                "s" => 1_000,
                "m" => 60_000,
                "h" => 3_600_000,
                "d" => 86_400_000,
                "w" => 604_800_000,
                _ => return None,
            };
            let milliseconds = count.parse::<u64>().ok()?.checked_mul(unit_ms)?;
            return milliseconds.checked_mul(1_000);
        }
    };
    Some(seconds * SECOND_US)
}

/// The part of `"5/hour"` before the slash, and the window after it.
pub(crate) fn read_rate(text: &str) -> Option<(Decimal, Window)> {
    let (max, window) = text.split_once('/')?;
    let window = Json::Text(window.trim().to_owned());
    Some((Decimal::parse(max.trim())?, Window::read(&window, false)?))
}

/// The first instant of the calendar window that contains `unix_us`, and of the next one.
pub(crate) fn period(word: &str, unix_us: u64) -> (u64, u64) {
    let even = |length_us: u64| {
        let start = unix_us / length_us * length_us;
        (start, start + length_us)
    };
    match word {
        "minute" => even(60 * SECOND_US),
        "hour" => even(3_600 * SECOND_US),
        "day" => even(DAY_US),
        "week" => {
            // 1970-01-01 was a Thursday, three days after a Monday.
            let shifted = unix_us + 3 * DAY_US;
            let start = shifted / (7 * DAY_US) * 7 * DAY_US;
            (start.saturating_sub(3 * DAY_US), start + 4 * DAY_US)
        }
        _ => month(unix_us),
    }
}

/// Counts months from 1970 on.
fn month(unix_us: u64) -> (u64, u64) {
    let mut start = 0;
    for year in 1970_u64.. {
        let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let february = if leap { 29 } else { 28 };
        for days in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
            let end = start + days * DAY_US;
            if unix_us < end {
                return (start, end);
            }
            start = end;
        }
    }
    (start, start)
}

/// `time.hour` and `time.weekday`.
pub(crate) fn clock(unix_us: u64) -> (i64, i64) {
    let part = |value: u64| i64::try_from(value).unwrap_or_default();
    (
        part(unix_us % DAY_US / 3_600 / SECOND_US),
        part((unix_us / DAY_US + 3) % 7 + 1),
    )
}
