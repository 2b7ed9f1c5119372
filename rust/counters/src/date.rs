//! Dates of the calendar by arithmetic on days since 1970, in UTC.

/// Days from 0000-03-01 to 1970-01-01.
const DAYS_BEFORE_1970: u64 = 719_468;
/// Days of 400 years, after which the calendar repeats.
const DAYS_OF_ERA: u64 = 146_097;

/// A date of the proleptic Gregorian calendar, 1970 or later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CivilDate {
    /// The year.
    pub year: u64,
    /// The month, 1 to 12.
    pub month: u64,
    /// The day of the month, 1 to 31.
    pub day: u64,
}

// Years begin in March here, so that the leap day is the last of its year.
impl CivilDate {
    /// Returns the date of a day, counted from 1970-01-01.
    pub const fn from_unix_day(unix_day: u64) -> Self {
        let day = unix_day + DAYS_BEFORE_1970;
        let (era, day_of_era) = (day / DAYS_OF_ERA, day % DAYS_OF_ERA);
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let march_month = (5 * day_of_year + 2) / 153;
        let month = (march_month + 2) % 12 + 1;
        Self {
            year: era * 400 + year_of_era + (month <= 2) as u64,
            month,
            day: day_of_year - (153 * march_month + 2) / 5 + 1,
        }
    }

    /// Returns the number of days from 1970-01-01 to this date.
    pub const fn unix_day(self) -> u64 {
        let march_year = self.year - (self.month <= 2) as u64;
        let march_month = (self.month + 9) % 12;
        let (era, year_of_era) = (march_year / 400, march_year % 400);
        let day_of_year = (153 * march_month + 2) / 5 + self.day - 1;
        let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
        era * DAYS_OF_ERA + day_of_era - DAYS_BEFORE_1970
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_dates() {
        for (unix_day, year, month, day) in [
            (0, 1970, 1, 1),
            (58, 1970, 2, 28),
            (59, 1970, 3, 1),
            (11_016, 2000, 2, 29),
            (19_782, 2024, 2, 29),
            (20_088, 2024, 12, 31),
            (20_089, 2025, 1, 1),
            (47_540, 2100, 2, 28),
            (47_541, 2100, 3, 1),
        ] {
            let date = CivilDate { year, month, day };
            assert_eq!(CivilDate::from_unix_day(unix_day), date);
            assert_eq!(date.unix_day(), unix_day);
        }
    }

    #[test]
    fn each_day_has_a_date_of_its_own_after_that_of_the_day_before() {
        let mut before = CivilDate::from_unix_day(0);
        for unix_day in 1..300_000 {
            let date = CivilDate::from_unix_day(unix_day);
            assert_eq!(date.unix_day(), unix_day);
            let next = (before.year, before.month, before.day + 1);
            let of_month = (before.year, before.month + 1, 1);
            let of_year = (before.year + 1, 1, 1);
            let expected = [next, of_month, of_year];
            assert!(
                expected.contains(&(date.year, date.month, date.day)),
                "{before:?} {date:?}"
            );
            before = date;
        }
    }
}
