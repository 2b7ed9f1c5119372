//! Exact decimal numbers.

use std::cmp::Ordering;

use super::number::{self, Parts, Scaled, U64_DIGITS};
use super::{JsonErrorKind, NumberError};

/// The length of a number that always fits an `i64`, sign included.
const SHORT: usize = 18;

/// A JSON number by exact value: `digits * 10^exponent`, digits without leading or trailing zeros, zero is `0e0`.
///
/// Two numbers are equal, and have equal hashes, if and only if their values are: `1`, `1.0` and `10e-1` are equal.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Decimal {
    negative: bool,
    /// Empty for zero.
    digits: String,
    exponent: i32,
    /// The value, if it is an integer that fits: comparisons with plain integers then skip the digits. It follows from
    /// the other fields, so it does not affect equality and hashes.
    integer: Option<i64>,
}

impl Decimal {
    /// Reads the text of a JSON number.
    pub fn parse(text: &str) -> Result<Self, NumberError> {
        match number::end_of_number(text.as_bytes(), 0) {
            Ok(end) if end == text.len() => Ok(Self::from_accepted(text)),
            Err(error) => Err(match error.kind {
                JsonErrorKind::Number(error) => error,
                _ => NumberError::Syntax,
            }),
            Ok(_) => Err(NumberError::Syntax),
        }
    }

    /// The value of a number that a [`super::Tape`] has validated.
    pub(super) fn from_accepted(text: &str) -> Self {
        let parts = Parts::of(text);
        let Parts {
            negative,
            head,
            tail,
            exponent,
        } = parts;
        let size = Parts {
            negative: false,
            ..parts
        }
        .scaled(0);
        let integer = match size {
            Scaled::Units(size) => i64::try_from(size)
                .ok()
                .map(|size| if negative { -size } else { size }),
            _ => None,
        };
        Self {
            negative,
            digits: [head, tail].concat(),
            exponent,
            integer,
        }
    }

    fn parts(&self) -> Parts<'_> {
        Parts {
            negative: self.negative,
            head: &self.digits,
            tail: "",
            exponent: self.exponent,
        }
    }

    /// Compares with the text of a JSON number that a [`super::Tape`] has validated; allocates nothing.
    pub fn cmp_text(&self, text: &str) -> Ordering {
        match (self.integer, short_integer(text)) {
            (Some(own), Some(other)) => own.cmp(&other),
            _ => self.parts().cmp(Parts::of(text)),
        }
    }

    /// Compares with a count; allocates nothing.
    pub fn cmp_u64(&self, count: u64) -> Ordering {
        let mut buffer = [0; U64_DIGITS];
        self.cmp_text(number::format_u64(count, &mut buffer))
    }

    /// The value in units of `10^-decimals`; see [`super::scaled`].
    pub fn scaled(&self, decimals: u32) -> Scaled {
        self.parts().scaled(decimals)
    }

    /// Returns whether it is a whole number, such as `1.0` and `1e3`.
    pub fn is_integer(&self) -> bool {
        self.exponent >= 0
    }

    /// The canonical form: `<integer without trailing zeros>e<exponent>`, zero `0e0` (`docs/policy.md` section 6).
    pub fn write_canonical(&self, out: &mut String) {
        self.parts().write_canonical(out);
    }
}

impl Ord for Decimal {
    fn cmp(&self, other: &Self) -> Ordering {
        self.parts().cmp(other.parts())
    }
}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The value of a number that is written as a short plain integer.
#[inline]
fn short_integer(text: &str) -> Option<i64> {
    if text.len() > SHORT {
        return None;
    }
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let size = unsigned.bytes().try_fold(0_i64, |value, byte| {
        byte.is_ascii_digit().then(|| value * 10 + i64::from(byte - b'0'))
    })?;
    Some(if unsigned.len() < text.len() { -size } else { size })
}

#[cfg(test)]
mod tests {
    use std::hash::{BuildHasher, RandomState};

    use super::*;

    fn decimal(text: &str) -> Decimal {
        Decimal::parse(text).expect("a number")
    }

    #[test]
    fn one_value_has_one_form() {
        let groups: &[(&str, &[&str])] = &[
            ("0e0", &["0", "-0", "0.000", "-0.0e-7", "0e10000"]),
            (
                "1e0",
                &["1", "1.0", "1e0", "10e-1", "0.1E1", "0.001e+3", "100.00e-2"],
            ),
            ("1e2", &["100", "1e2", "0.1e3", "100.0"]),
            ("15e-1", &["1.5", "15e-1", "1.50", "0.15e1"]),
            (
                "-9007199254740993e0",
                &["-9007199254740993", "-9007199254740993.0"],
            ),
            ("101e-3", &["0.101", "0.1010"]),
            ("1001e1", &["10010", "1.001e4"]),
            ("1e400", &["1e400", "10e399"]),
            ("1e-10000", &["0.001e-9997"]),
        ];
        let hasher = RandomState::new();
        for (canonical, texts) in groups {
            for text in *texts {
                let value = decimal(text);
                let mut written = String::new();
                value.write_canonical(&mut written);
                assert_eq!(written, *canonical, "{text}");
                assert_eq!(value, decimal(canonical), "{text}");
                assert_eq!(
                    hasher.hash_one(&value),
                    hasher.hash_one(decimal(canonical)),
                    "{text}"
                );
                assert_eq!(value.cmp_text(canonical), Ordering::Equal, "{text}");
                assert_eq!(decimal(canonical).cmp_text(text), Ordering::Equal, "{text}");
            }
        }
    }

    #[test]
    fn orders_by_exact_value() {
        let ascending = [
            "-1e10000",
            "-1e308",
            "-9007199254740993",
            "-9007199254740992",
            "-1.5",
            "-1.05",
            "-1",
            "-1e-10000",
            "0",
            "1e-10000",
            "0.0000001",
            "0.01",
            "0.1",
            "0.101",
            "0.11",
            "1",
            "1.00000000000000000000001",
            "9",
            "10",
            "99",
            "100",
            "999999999999999999",
            "1000000000000000000",
            "9007199254740992e3",
            "9007199254740993e3",
            "1e308",
            "1.1e308",
            "1e400",
            "1e10000",
        ];
        for (index, left) in ascending.iter().enumerate() {
            for (other, right) in ascending.iter().enumerate() {
                assert_eq!(
                    decimal(left).cmp_text(right),
                    index.cmp(&other),
                    "{left} and {right}"
                );
                assert_eq!(
                    decimal(left).cmp(&decimal(right)),
                    index.cmp(&other),
                    "{left} and {right}"
                );
            }
        }
    }

    #[test]
    fn compares_with_counts() {
        assert_eq!(decimal("2.5").cmp_u64(3), Ordering::Less);
        assert_eq!(decimal("3.0").cmp_u64(3), Ordering::Equal);
        assert_eq!(decimal("-1").cmp_u64(0), Ordering::Less);
        assert_eq!(decimal("18446744073709551615").cmp_u64(u64::MAX), Ordering::Equal);
        assert_eq!(
            decimal("18446744073709551616").cmp_u64(u64::MAX),
            Ordering::Greater
        );
    }

    #[test]
    fn knows_integers_and_units() {
        assert!(decimal("1e3").is_integer() && decimal("-2.0").is_integer() && decimal("0.0").is_integer());
        assert!(!decimal("1e-3").is_integer() && !decimal("2.5").is_integer());
        assert_eq!(decimal("2.50").scaled(1), Scaled::Units(25));
        assert_eq!(decimal("-2.50").scaled(1), Scaled::Negative);
    }

    #[test]
    fn refuses_what_is_no_number() {
        for text in [
            "", " 1", "1 ", "+1", "01", "1.", ".1", "NaN", "Infinity", "-", "0x1", "1e", "1_000", "１",
        ] {
            assert_eq!(Decimal::parse(text), Err(NumberError::Syntax), "{text}");
        }
        assert_eq!(Decimal::parse("1e10001"), Err(NumberError::ExponentTooLarge));
        assert_eq!(Decimal::parse(&"1".repeat(1_001)), Err(NumberError::TooLong));
    }
}
