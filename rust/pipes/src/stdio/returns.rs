//! Carriage returns in what a server sends, where some readers see the end of a line and others do not.

use memchr::memchr;

/// Makes a space of each carriage return that stands before no newline: in JSON it says the same. Gives how many of the
/// bytes are settled, all but a carriage return at their end.
pub(super) fn without_returns(bytes: &mut [u8]) -> usize {
    let mut from = 0;
    while let Some(at) = bytes.get(from..).and_then(|rest| memchr(b'\r', rest)) {
        let at = from + at;
        match bytes.get(at + 1) {
            None => return at,
            Some(b'\n') => {}
            Some(_) => bytes.get_mut(at..=at).unwrap_or_default().fill(b' '),
        }
        from = at + 1;
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_those_at_the_end_of_a_line_stay() {
        for (bytes, settled) in [
            ("", ""),
            ("a", "a"),
            ("a\r\n", "a\r\n"),
            ("a\rb\r\r\n\r\n\n", "a b \r\n\r\n\n"),
            ("a\r", "a"),
            ("\r\r", " "),
            ("\r\n\r", "\r\n"),
        ] {
            let mut seen = bytes.as_bytes().to_vec();
            let settled_bytes = without_returns(&mut seen);
            assert_eq!(seen.get(..settled_bytes), Some(settled.as_bytes()), "{bytes:?}");
            assert!(bytes.len() - settled_bytes <= 1);
        }
    }
}
