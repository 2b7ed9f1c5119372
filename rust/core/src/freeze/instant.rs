//! Times of documents: RFC 3339 in UTC.

use callgate_counters::CivilDate;

const SECOND_US: u64 = 1_000_000;
const DAY_S: u64 = 86_400;

/// The form that is read.
pub(super) const EXPECTED: &str = "a time in UTC such as `2026-11-23T16:00:00Z`";

/// Unix microseconds of a text such as `2026-11-23T16:00:00Z`, with at most six decimals of the second.
pub(super) fn parse(text: &str) -> Option<u64> {
    let text = text.strip_suffix('Z')?;
    let (date, time) = text.split_once('T')?;
    let (time, fraction) = match time.split_once('.') {
        Some((_, "")) => return None,
        Some(split) => split,
        None => (time, ""),
    };
    let [year, month, day] = numbers(date, '-', [4, 2, 2])?;
    let [hour, minute, second] = numbers(time, ':', [2, 2, 2])?;
    if !(1..=12).contains(&month) || year < 1970 || day == 0 || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let date = CivilDate { year, month, day };
    let unix_day = date.unix_day();
    // A day that the month does not have is another date.
    if CivilDate::from_unix_day(unix_day) != date || fraction.len() > 6 {
        return None;
    }
    let [micros] = numbers(&format!("{fraction:0<6}"), '.', [6])?;
    Some((unix_day * DAY_S + hour * 3_600 + minute * 60 + second) * SECOND_US + micros)
}

/// The numbers of a text with these counts of digits, separated by a character.
fn numbers<const N: usize>(text: &str, separator: char, digits: [usize; N]) -> Option<[u64; N]> {
    let mut parts = text.split(separator);
    let mut read = [0; N];
    for (number, digits) in read.iter_mut().zip(digits) {
        let part = parts.next()?;
        if part.len() != digits || !part.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        *number = part.parse().ok()?;
    }
    parts.next().is_none().then_some(read)
}

/// RFC 3339 in UTC, to the second and rounded up: `2026-11-23T16:00:00Z`.
pub fn format_seconds(unix_us: u64) -> String {
    let second = unix_us.div_ceil(SECOND_US);
    let CivilDate { year, month, day } = CivilDate::from_unix_day(second / DAY_S);
    let (hour, minute, rest) = (second % DAY_S / 3_600, second % 3_600 / 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{rest:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_and_written() {
        for (text, unix_us) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2000-02-29T23:59:59Z", 951_868_799_000_000),
            ("2026-11-23T16:00:00Z", 1_795_449_600_000_000),
        ] {
            assert_eq!(parse(text), Some(unix_us), "{text}");
            assert_eq!(format_seconds(unix_us), text);
        }
        assert_eq!(parse("1970-01-01T00:00:01.5Z"), Some(1_500_000));
        assert_eq!(parse("1970-01-01T00:00:00.000001Z"), Some(1));
        assert_eq!(format_seconds(1), "1970-01-01T00:00:01Z");
    }

    #[test]
    fn other_texts_are_no_times() {
        for text in [
            "",
            "2026-11-23",
            "2026-11-23T16:00:00",
            "2026-11-23T16:00:00+01:00",
            "2026-11-23 16:00:00Z",
            "2026-02-29T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-00-01T00:00:00Z",
            "2026-01-00T00:00:00Z",
            "2026-01-01T24:00:00Z",
            "2026-01-01T00:60:00Z",
            "2026-01-01T00:00:60Z",
            "2026-01-01T00:00:00.Z",
            "2026-01-01T00:00:00.1234567Z",
            "2026-1-1T00:00:00Z",
            "+026-01-01T00:00:00Z",
            "1969-12-31T23:59:59Z",
            "2026-01-01T00:00:00:00Z",
            "2026-01-01T00:00:00.é2345Z",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
