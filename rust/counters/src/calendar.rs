//! Periods of the UTC calendar, and of so many days at a time, by arithmetic on days since 1970.

use crate::Period;

const SECOND_US: u64 = 1_000_000;
const MINUTE_US: u64 = 60 * SECOND_US;
const HOUR_US: u64 = 60 * MINUTE_US;
const DAY_US: u64 = 24 * HOUR_US;
const WEEK_DAYS: u64 = 7;
/// 1970-01-01 was a Thursday: three days after the Monday that begins its week.
const EPOCH_WEEKDAY: u64 = 3;

/// Number of the period in which a Unix time lies; consecutive periods have consecutive numbers.
pub(crate) fn period_index(period: Period, unix_us: u64) -> u64 {
    match period {
        Period::Minute => unix_us / MINUTE_US,
        Period::Hour => unix_us / HOUR_US,
        Period::Day => unix_us / DAY_US,
        Period::Week => (unix_us / DAY_US + EPOCH_WEEKDAY) / WEEK_DAYS,
        Period::Month => {
            let (year, month) = year_month(unix_us / DAY_US);
            year * 12 + month
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
        Period::Month => days_from_civil(index / 12, index % 12) * DAY_US,
        Period::Second => index * SECOND_US,
        Period::Days7 => index * 7 * DAY_US,
        Period::Days30 => index * 30 * DAY_US,
        Period::Days365 => index * 365 * DAY_US,
    }
}

/// Year and month (0 to 11) of a day since 1970-01-01, by the era arithmetic of the proleptic Gregorian calendar:
/// years begin in March, so that the leap day is the last of its year.
fn year_month(day: u64) -> (u64, u64) {
    let day = day + 719_468; // days from 0000-03-01 to 1970-01-01
    let era = day / 146_097;
    let day_of_era = day % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let month = (march_month + 2) % 12;
    let year = era * 400 + year_of_era + u64::from(march_month >= 10);
    (year, month)
}

/// Days from 1970-01-01 to the first of a month (0 to 11), 1970 or later.
fn days_from_civil(year: u64, month: u64) -> u64 {
    let march_year = if month < 2 { year - 1 } else { year };
    let march_month = (month + 10) % 12;
    let era = march_year / 400;
    let year_of_era = march_year % 400;
    let day_of_year = (153 * march_month + 2) / 5;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
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
