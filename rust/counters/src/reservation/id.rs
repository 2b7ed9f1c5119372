//! Ids of reservations.

use std::fmt;
use std::str::FromStr;

/// The id of a reservation: 128 random bits. Displayed as 32 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ReservationId(u128);

/// The error for a text that is not the id of a reservation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected 32 hexadecimal digits")]
pub struct ReservationIdError;

impl ReservationId {
    /// Creates an id from its bits. An id that can be guessed lets others settle the reservation.
    pub const fn new(bits: u128) -> Self {
        Self(bits)
    }
}

impl fmt::Display for ReservationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for ReservationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for ReservationId {
    type Err = ReservationIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // Without the look at each digit, a sign would be taken.
        if text.len() != 32 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(ReservationIdError);
        }
        u128::from_str_radix(text, 16)
            .map(Self)
            .map_err(|_| ReservationIdError)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_32_hexadecimal_digits() {
        let id = ReservationId::new(0xab);
        assert_eq!(id.to_string(), format!("{}ab", "0".repeat(30)));
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!("F".repeat(32).parse(), Ok(ReservationId::new(u128::MAX)));
        for wrong in [
            "",
            "ab",
            &"0".repeat(31),
            &"0".repeat(33),
            &format!("+{}", "0".repeat(31)),
            &"g".repeat(32),
        ] {
            assert_eq!(wrong.parse::<ReservationId>(), Err(ReservationIdError), "{wrong}");
        }
    }
}
