//! Numbers of a policy in fixed point. Finer numbers are rounded down here, but refused in costs of calls
//! ([`crate::json::scaled`]).

use crate::json::Decimal;

/// A decimal number times a power of ten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Scaled {
    /// The number is below zero.
    pub(super) negative: bool,
    /// The absolute value rounded down; `u128::MAX` for every value that does not fit.
    pub(super) whole: u128,
    /// The value was not rounded.
    pub(super) exact: bool,
}

/// `decimal * 10^power`.
pub(super) fn scaled(decimal: &Decimal, power: i32) -> Scaled {
    // The canonical form is `-?<integer without trailing zeros>e<exponent>`.
    let mut text = String::new();
    decimal.write_canonical(&mut text);
    let negative = text.starts_with('-');
    let (digits, exponent) = text
        .trim_start_matches('-')
        .split_once('e')
        .unwrap_or((&text, "0"));
    let exponent = exponent.parse::<i32>().unwrap_or(i32::MAX).saturating_add(power);
    let shift = usize::try_from(exponent.unsigned_abs()).unwrap_or(usize::MAX);
    if digits == "0" {
        return Scaled {
            negative: false,
            whole: 0,
            exact: true,
        };
    }
    if exponent >= 0 {
        let whole = u32::try_from(shift)
            .ok()
            .and_then(|shift| 10u128.checked_pow(shift))
            .and_then(|factor| digits.parse::<u128>().ok()?.checked_mul(factor))
            .unwrap_or(u128::MAX);
        return Scaled {
            negative,
            whole,
            exact: true,
        };
    }
    let kept = digits.len().saturating_sub(shift);
    let whole = match digits.get(..kept) {
        None | Some("") => 0,
        Some(digits) => digits.parse().unwrap_or(u128::MAX),
    };
    Scaled {
        negative,
        whole,
        exact: false,
    }
}

/// A whole number as `i64`, clamped to its range; `None` for a fraction.
pub(crate) fn clamped_integer(decimal: &Decimal) -> Option<i64> {
    let Scaled {
        negative,
        whole,
        exact,
    } = scaled(decimal, 0);
    let limit = if negative { i64::MIN } else { i64::MAX };
    exact.then(|| i64::try_from(whole).map_or(limit, |whole| if negative { -whole } else { whole }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(text: &str) -> Decimal {
        Decimal::parse(text).unwrap()
    }

    #[test]
    fn scaling_is_exact_or_says_so() {
        for (text, power, negative, whole, exact) in [
            ("0", 6, false, 0, true),
            ("-0.0", 6, false, 0, true),
            ("1.5", 6, false, 1_500_000, true),
            ("1.5000000000", 6, false, 1_500_000, true),
            ("0.0000001", 6, false, 0, false),
            ("1.2345678", 6, false, 1_234_567, false),
            ("-2.5", 0, true, 2, false),
            ("-1e400", 6, true, u128::MAX, true),
            ("1e-9999", 6, false, 0, false),
            (
                "123456789012345678901234567890123456789012345678901234567890",
                0,
                false,
                u128::MAX,
                true,
            ),
        ] {
            assert_eq!(
                scaled(&number(text), power),
                Scaled {
                    negative,
                    whole,
                    exact
                },
                "{text}"
            );
        }
    }

    #[test]
    fn integers_are_clamped() {
        for (text, integer) in [
            ("3", Some(3)),
            ("3.0", Some(3)),
            ("-3", Some(-3)),
            ("3.5", None),
            ("1e30", Some(i64::MAX)),
            ("-1e30", Some(i64::MIN)),
            ("9223372036854775807", Some(i64::MAX)),
            ("-9223372036854775808", Some(i64::MIN)),
        ] {
            assert_eq!(clamped_integer(&number(text)), integer, "{text}");
        }
    }
}
