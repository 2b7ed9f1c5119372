//! Units in fixed point.

use std::fmt;

/// An amount of units, in millionths: costs have at most six decimals, so this is exact.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Micros(pub u64);

impl Micros {
    /// One unit.
    pub const ONE: Self = Self(1_000_000);
}

impl fmt::Display for Micros {
    /// The shortest decimal: `30`, `0.5`, `1000000`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, fraction) = (self.0 / 1_000_000, self.0 % 1_000_000);
        if fraction == 0 {
            return write!(f, "{whole}");
        }
        let digits = format!("{fraction:06}");
        write!(f, "{whole}.{}", digits.trim_end_matches('0'))
    }
}
