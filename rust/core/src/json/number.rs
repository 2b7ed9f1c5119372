//! The grammar of numbers, and their exact value without allocations.

use std::cmp::Ordering;

use super::{JsonError, JsonErrorKind, NumberError};

/// The longest number in characters (`docs/policy.md` section 3).
pub(super) const MAX_CHARACTERS: usize = 1_000;

/// The largest absolute value of a written exponent (`docs/policy.md` section 3).
pub(super) const MAX_EXPONENT: u32 = 10_000;

/// The offset after the number that begins at `start`.
#[inline]
pub(super) fn end_of_number(bytes: &[u8], start: usize) -> Result<usize, JsonError> {
    let peek = |at: usize| bytes.get(at).copied().unwrap_or(0);
    let expected = |offset, what| {
        Err(JsonError {
            offset,
            kind: JsonErrorKind::Syntax(what),
        })
    };
    let digits = |mut at: usize| {
        while peek(at).is_ascii_digit() {
            at += 1;
        }
        at
    };

    let integer = start + usize::from(peek(start) == b'-');
    let mut at = digits(integer);
    if at == integer {
        return expected(at, "a digit");
    }
    if peek(integer) == b'0' && at > integer + 1 {
        return expected(integer, "a number without leading zeros");
    }
    if peek(at) == b'.' {
        let fraction = at + 1;
        at = digits(fraction);
        if at == fraction {
            return expected(at, "a digit after the decimal point");
        }
    }
    if matches!(peek(at), b'e' | b'E') {
        let exponent = at + 1 + usize::from(matches!(peek(at + 1), b'+' | b'-'));
        at = digits(exponent);
        if at == exponent {
            return expected(at, "a digit in the exponent");
        }
        let written = bytes[exponent..at].iter().fold(0_u32, |value, digit| {
            value.saturating_mul(10).saturating_add(u32::from(digit - b'0'))
        });
        if written > MAX_EXPONENT {
            return Err(JsonError {
                offset: start,
                kind: NumberError::ExponentTooLarge.into(),
            });
        }
    }
    if at - start > MAX_CHARACTERS {
        return Err(JsonError {
            offset: start,
            kind: NumberError::TooLong.into(),
        });
    }
    Ok(at)
}

/// The exact value of a number, borrowed: `head tail * 10^exponent`, where the digits of `head` followed by those of
/// `tail` have no zero at either end; zero has no digits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parts<'a> {
    pub(super) negative: bool,
    pub(super) head: &'a str,
    pub(super) tail: &'a str,
    pub(super) exponent: i32,
}

impl<'a> Parts<'a> {
    /// Splits the text of a number that [`end_of_number`] has validated.
    pub(super) fn of(text: &'a str) -> Self {
        let unsigned = text.strip_prefix('-').unwrap_or(text);
        let (mantissa, exponent) = unsigned.split_once(['e', 'E']).unwrap_or((unsigned, "0"));
        let (integer, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let mut tail = fraction.trim_end_matches('0');
        let mut head = integer;
        // INVARIANT: a validated exponent is within 10,000 and a number has at most 1,000 digits, so all sums fit.
        let mut exponent = exponent.parse::<i32>().unwrap_or(0) - length(tail);
        if tail.is_empty() {
            head = integer.trim_end_matches('0');
            exponent += length(integer) - length(head);
        }
        head = head.trim_start_matches('0');
        if head.is_empty() {
            tail = tail.trim_start_matches('0');
        }
        if head.is_empty() && tail.is_empty() {
            return Self {
                negative: false,
                head,
                tail,
                exponent: 0,
            };
        }
        Self {
            negative: unsigned.len() < text.len(),
            head,
            tail,
            exponent,
        }
    }

    pub(super) fn is_zero(self) -> bool {
        self.head.is_empty() && self.tail.is_empty()
    }

    /// The power of ten directly above the leading digit: 1 for `9`, 0 for `0.9`.
    pub(super) fn magnitude(self) -> i32 {
        length(self.head) + length(self.tail) + self.exponent
    }

    /// Compares by exact value.
    pub(super) fn cmp(self, other: Self) -> Ordering {
        let sign = |parts: Self| match (parts.is_zero(), parts.negative) {
            (true, _) => 0,
            (false, true) => -1,
            (false, false) => 1,
        };
        let by_size = || {
            self.magnitude().cmp(&other.magnitude()).then_with(|| {
                let digits = |parts: Self| parts.head.bytes().chain(parts.tail.bytes());
                digits(self).cmp(digits(other))
            })
        };
        sign(self).cmp(&sign(other)).then_with(|| match sign(self) {
            0 => Ordering::Equal,
            1 => by_size(),
            _ => by_size().reverse(),
        })
    }

    /// See [`scaled`].
    pub(super) fn scaled(self, decimals: u32) -> Scaled {
        if self.is_zero() {
            return Scaled::Units(0);
        }
        if self.negative {
            return Scaled::Negative;
        }
        let zeros = i64::from(self.exponent) + i64::from(decimals);
        let Ok(zeros) = u32::try_from(zeros) else {
            return if zeros < 0 {
                Scaled::TooManyDecimals
            } else {
                Scaled::TooLarge
            };
        };
        let mut digits = self.head.bytes().chain(self.tail.bytes());
        let units = digits
            .try_fold(0_u64, |value, digit| {
                value.checked_mul(10)?.checked_add(u64::from(digit - b'0'))
            })
            .and_then(|value| value.checked_mul(10_u64.checked_pow(zeros)?));
        units.map_or(Scaled::TooLarge, Scaled::Units)
    }

    /// See [`super::Decimal::write_canonical`].
    pub(super) fn write_canonical(self, out: &mut String) {
        if self.is_zero() {
            out.push_str("0e0");
            return;
        }
        if self.negative {
            out.push('-');
        }
        out.push_str(self.head);
        out.push_str(self.tail);
        out.push('e');
        if self.exponent < 0 {
            out.push('-');
        }
        let mut buffer = [0; U64_DIGITS];
        out.push_str(format_u64(self.exponent.unsigned_abs().into(), &mut buffer));
    }
}

/// Length of a run of digits.
fn length(digits: &str) -> i32 {
    i32::try_from(digits.len()).unwrap_or(i32::MAX)
}

/// Room for the digits of any `u64`.
pub(super) const U64_DIGITS: usize = 20;

/// The decimal digits of `value`, without allocating.
pub(super) fn format_u64(mut value: u64, buffer: &mut [u8; U64_DIGITS]) -> &str {
    const DIGITS: &[u8; 10] = b"0123456789";
    let mut start = U64_DIGITS;
    for (place, digit) in buffer.iter_mut().enumerate().rev() {
        *digit = DIGITS[(value % 10) as usize];
        value /= 10;
        start = place;
        if value == 0 {
            break;
        }
    }
    str::from_utf8(&buffer[start..]).unwrap_or_default()
}

/// The result of [`scaled`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scaled {
    /// The exact value in units of `10^-decimals`.
    Units(u64),
    /// Below zero (`-0` is zero).
    Negative,
    /// More units than a `u64` can hold.
    TooLarge,
    /// Not a whole number of units: it has more decimals than are allowed.
    TooManyDecimals,
}

/// The exact value of the text of a JSON number that a [`super::Tape`] has validated, in units of `10^-decimals`.
///
/// Decimals count by value: `1.50000000` has one, `1e-7` has seven, `120e-1` has none. A number with too many decimals
/// is reported as such, however large it is.
pub fn scaled(text: &str, decimals: u32) -> Scaled {
    Parts::of(text).scaled(decimals)
}

/// Returns whether a number's absolute value is 1e308 or more, which is too large for `lt` `lte` `gt` `gte`
/// (`docs/policy.md` section 3). `text` is the text of a JSON number that a [`super::Tape`] has validated.
pub fn is_abs_at_least_1e308(text: &str) -> bool {
    // Calls mostly contain short numbers without an exponent.
    if text.len() < 308 && !text.bytes().any(|byte| matches!(byte, b'e' | b'E')) {
        return false;
    }
    let parts = Parts::of(text);
    !parts.is_zero() && parts.magnitude() > 308
}

#[cfg(test)]
mod tests;
