//! Exact decimals (`docs/policy.md` section 3: numbers compare by exact decimal value).

use std::cmp::Ordering;

use num_bigint::{BigInt, Sign};

/// `digits * 10^exponent`, without trailing zeros in `digits`; zero is `0e0`. Equal values therefore have equal fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decimal {
    digits: BigInt,
    exponent: i64,
}

impl Decimal {
    /// Reads the text of a JSON number; `None` if its exponent is not a 64-bit integer.
    pub fn parse(text: &str) -> Option<Self> {
        let (mantissa, exponent) = match text.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent.parse().ok()?),
            None => (text, 0_i64),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let digits: BigInt = format!("{whole}{fraction}").parse().ok()?;
        let exponent = exponent.checked_sub(i64::try_from(fraction.len()).ok()?)?;
        Some(Self::normal(digits, exponent))
    }

    fn normal(digits: BigInt, exponent: i64) -> Self {
        if digits.sign() == Sign::NoSign {
            return Self { digits, exponent: 0 };
        }
        let text = digits.to_string();
        let kept = text.trim_end_matches('0');
        let zeros = text.len() - kept.len();
        Self {
            digits: kept.parse().unwrap_or_default(),
            exponent: exponent + i64::try_from(zeros).unwrap_or_default(),
        }
    }

    /// A whole number.
    pub fn whole(value: i64) -> Self {
        Self::normal(value.into(), 0)
    }

    /// Returns whether the absolute value is at least 1e308.
    pub fn is_abs_at_least_1e308(&self) -> bool {
        let magnitude = Self {
            digits: self.digits.magnitude().clone().into(),
            exponent: self.exponent,
        };
        let bound = Self {
            digits: 1.into(),
            exponent: 308,
        };
        magnitude >= bound
    }

    /// The value in millionths, if that is a whole number that fits.
    pub fn millionths(&self) -> Option<i128> {
        let exponent = self.exponent + 6;
        if self.digits.sign() == Sign::NoSign {
            return Some(0);
        }
        let power = u32::try_from(exponent).ok().filter(|power| *power <= 40)?;
        i128::try_from(self.digits.clone() * BigInt::from(10).pow(power)).ok()
    }

    /// The canonical spelling of the value.
    pub fn key(&self) -> String {
        format!("{}e{}", self.digits, self.exponent)
    }
}

impl Ord for Decimal {
    fn cmp(&self, other: &Self) -> Ordering {
        let least = self.exponent.min(other.exponent);
        let aligned = |decimal: &Self| {
            let power = u32::try_from(decimal.exponent - least).unwrap_or(u32::MAX);
            decimal.digits.clone() * BigInt::from(10).pow(power)
        };
        aligned(self).cmp(&aligned(other))
    }
}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decimal(text: &str) -> Decimal {
        Decimal::parse(text).unwrap()
    }

    #[test]
    fn spelling_does_not_matter() {
        for (one, other) in [
            ("1", "1.0"),
            ("1", "1e0"),
            ("-0", "0.0e7"),
            ("0.10", "1E-1"),
            ("120", "1.2e+2"),
        ] {
            assert_eq!(decimal(one), decimal(other));
        }
    }

    #[test]
    fn order_is_exact() {
        for (less, more) in [
            ("9007199254740992", "9007199254740993"),
            ("-1e400", "-1e399"),
            ("1e-400", "1e-399"),
        ] {
            assert!(decimal(less) < decimal(more));
        }
        assert!(decimal("-1e308").is_abs_at_least_1e308());
        assert!(!decimal("9.99e307").is_abs_at_least_1e308());
    }

    #[test]
    fn millionths() {
        assert_eq!(decimal("0.000001").millionths(), Some(1));
        assert_eq!(decimal("1e-7").millionths(), None);
        assert_eq!(decimal("1e12").millionths(), Some(1_000_000_000_000_000_000));
    }
}
