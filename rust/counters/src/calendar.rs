//! Periods of the UTC calendar, and of so many days at a time, by arithmetic on days since 1970.

use crate::{CivilDate, Period};

const SECOND_US: u64 = 1_000_000;
const MINUTE_US: u64 = 60 * SECOND_US;
const HOUR_US: u64 = 60 * MINUTE_US;
const DAY_US: u64 = 24 * HOUR_US;
const WEEK_DAYS: u64 = 7;
/// 1970-01-01 was a Thursday: three days after the Monday that begins its week.
const EPOCH_WEEKDAY: u64 = 3;

/// The Unix microseconds at which the period begins in which this time lies, and at which it ends.
pub fn period_bounds_us(period: Period, unix_us: u64) -> (u64, u64) {
    let index = period_index(period, unix_us);
    (period_start_us(period, index), period_start_us(period, index + 1))
}

/// Number of the period in which a Unix time lies; consecutive periods have consecutive numbers.
pub(crate) fn period_index(period: Period, unix_us: u64) -> u64 {
    match period {
        Period::Minute => unix_us / MINUTE_US,
        Period::Hour => unix_us / HOUR_US,
        Period::Day => unix_us / DAY_US,
        Period::Week => (unix_us / DAY_US + EPOCH_WEEKDAY) / WEEK_DAYS,
        Period::Month => {
            let date = CivilDate::from_unix_day(unix_us / DAY_US);
            date.year * 12 + date.month - 1
        }
        Period::Second => unix_us / SECOND_US,
        Period::Days7 => unix_us / (7 * DAY_US),
        Period::Days30 => unix_us / (30 * DAY_US),
        Period::Days365 => unix_us / (365 * DAY_US),
    }
}

/// Unix microseconds at which a period begins; 0 for the one that began before 1970.
pub(crate) fn period_start_us(period: Period, index: u64) -> u64 {
    match period {
        Period::Minute => index * MINUTE_US,
        Period::Hour => index * HOUR_US,
        Period::Day => index * DAY_US,
        Period::Week => (index * WEEK_DAYS).saturating_sub(EPOCH_WEEKDAY) * DAY_US,
        Period::Month => {
            let (year, month) = (index / 12, index % 12 + 1);
            CivilDate { year, month, day: 1 }.unix_day() * DAY_US
        }
        Period::Second => index * SECOND_US,
        Period::Days7 => index * 7 * DAY_US,
        Period::Days30 => index * 30 * DAY_US,
        Period::Days365 => index * 365 * DAY_US,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_months_begin_where_they_should() {
        for (year, month, unix_s) in [
            (1970, 1, 0),
            (1970, 2, 2_678_400),
            (2000, 3, 951_868_800),
            (2024, 2, 1_706_745_600),
            (2024, 3, 1_709_251_200),
            (2100, 3, 4_107_542_400),
            (2026, 11, 1_793_491_200),
        ] {
            let index = year * 12 + (month - 1);
            assert_eq!(
                period_start_us(Period::Month, index),
                unix_s * 1_000_000,
                "{year}-{month}"
            );
            assert_eq!(period_index(Period::Month, unix_s * 1_000_000), index);
            if unix_s > 0 {
                assert_eq!(period_index(Period::Month, unix_s * 1_000_000 - 1), index - 1);
            }
        }
    }

    #[test]
    fn weeks_begin_on_monday() {
        let monday_us = 1_704_672_000 * 1_000_000; // 2024-01-08
        let index = period_index(Period::Week, monday_us);
        assert_eq!(period_index(Period::Week, monday_us - 1), index - 1);
        assert_eq!(period_start_us(Period::Week, index), monday_us);
        assert_eq!(period_start_us(Period::Week, 0), 0);
    }

    #[test]
    fn every_period_starts_in_itself_and_ends_where_the_next_starts() {
        for period in Period::ALL {
            for unix_us in (0..5_000_000_000_000_000_u64).step_by(777_777_777_777) {
                let index = period_index(period, unix_us);
                let (start, end) = (period_start_us(period, index), period_start_us(period, index + 1));
                assert!(start <= unix_us && unix_us < end, "{period:?} {unix_us}");
                assert_eq!(period_index(period, end), index + 1);
                assert_eq!(period_index(period, end - 1), index);
            }
        }
    }
}
