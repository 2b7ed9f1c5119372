//! The fingerprint of a call, by which an approval is bound to it.

use std::fmt;

use crate::hex::Hex;

/// SHA-256 over one exact call (`docs/policy.md` section 6). Displayed as 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// A fingerprint from its bytes.
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Hex(&self.0).fmt(f)
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_shown_in_hexadecimal_digits() {
        let fingerprint = Fingerprint::new([0x0f; 32]);
        assert_eq!(fingerprint.to_string(), "0f".repeat(32));
        assert_eq!(fingerprint.as_bytes(), &[0x0f; 32]);
    }
}
