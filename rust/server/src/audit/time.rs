//! Times as RFC 3339 writes them, in UTC.

use std::fmt::Write as _;

use callgate_counters::CivilDate;

const SECOND_US: u64 = 1_000_000;
const DAY_S: u64 = 86_400;

/// Writes times; those of one second share their beginning.
#[derive(Debug, Default)]
pub(super) struct Times {
    second: Option<u64>,
    beginning: String,
}

impl Times {
    /// Appends `2026-11-21T11:04:25.123456Z`.
    pub(super) fn write(&mut self, unix_us: u64, out: &mut String) {
        let (second, micros) = (unix_us / SECOND_US, unix_us % SECOND_US);
        if self.second != Some(second) {
            self.second = Some(second);
            self.beginning.clear();
            let CivilDate { year, month, day } = CivilDate::from_unix_day(second / DAY_S);
            let (hour, minute, rest) = (second % DAY_S / 3_600, second % 3_600 / 60, second % 60);
            // Writing to a string cannot fail, here and below.
            let _ = write!(
                self.beginning,
                "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{rest:02}."
            );
        }
        out.push_str(&self.beginning);
        let mut digits = itoa::Buffer::new();
        // One more in front, so that the zeros are written too.
        out.push_str(digits.format(SECOND_US + micros).get(1..).unwrap_or_default());
        out.push('Z');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_times() {
        let mut times = Times::default();
        for (unix_us, text) in [
            (0, "1970-01-01T00:00:00.000000Z"),
            (1, "1970-01-01T00:00:00.000001Z"),
            (951_868_799_999_999, "2000-02-29T23:59:59.999999Z"),
            (951_868_800_000_000, "2000-03-01T00:00:00.000000Z"),
            (1_709_164_800_120_000, "2024-02-29T00:00:00.120000Z"),
            (1_735_689_599_000_000, "2024-12-31T23:59:59.000000Z"),
            (1_735_689_600_000_000, "2025-01-01T00:00:00.000000Z"),
            (4_107_542_400_000_000, "2100-03-01T00:00:00.000000Z"),
        ] {
            let mut out = String::new();
            times.write(unix_us, &mut out);
            assert_eq!(out, text);
        }
    }
}
