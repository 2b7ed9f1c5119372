//! Hexadecimal text of bytes.

use std::fmt;

/// Displays bytes as lower-case hexadecimal digits, two per byte.
///
/// ```
/// use callgate_core::hex::Hex;
///
/// assert_eq!(Hex(&[0x0f, 0xa5]).to_string(), "0fa5");
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Hex<'a>(pub &'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}
