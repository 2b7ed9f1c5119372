//! Conversion of byte offsets to lines and columns.

/// Line and column of a byte offset, both from 1; the column counts characters.
///
/// An offset beyond the end counts as the end. Invalid UTF-8 bytes count as characters, continuation bytes do not.
pub fn line_column(bytes: &[u8], offset: usize) -> (usize, usize) {
    let before = &bytes[..offset.min(bytes.len())];
    let lines = before.split(|&byte| byte == b'\n');
    let (line, last) = (1..).zip(lines).last().unwrap_or((1, before));
    let column = last.iter().filter(|&&byte| !is_continuation(byte)).count() + 1;
    (line, column)
}

/// Returns whether a byte is a continuation byte of a character in UTF-8.
const fn is_continuation(byte: u8) -> bool {
    byte & 0b1100_0000 == 0b1000_0000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_columns_begin_at_one() {
        let text = "ab\n\u{e9}\u{1f600}x\n\n";
        let at = |offset| line_column(text.as_bytes(), offset);
        assert_eq!(at(0), (1, 1));
        assert_eq!(at(2), (1, 3), "the newline belongs to the line it ends");
        assert_eq!(at(3), (2, 1));
        assert_eq!(at(5), (2, 2), "two bytes, one character");
        assert_eq!(at(9), (2, 3), "four bytes, one character");
        assert_eq!(at(10), (2, 4));
        assert_eq!(at(text.len()), (4, 1));
        assert_eq!(at(usize::MAX), (4, 1));
    }

    #[test]
    fn broken_bytes_still_have_a_place() {
        assert_eq!(line_column(b"\xff\xfe\n\xffx", 4), (2, 2));
        assert_eq!(line_column(b"", 3), (1, 1));
    }
}
