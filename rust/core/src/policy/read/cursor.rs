//! Conversion of byte offsets to lines and columns.

use super::Position;

/// Walks a document once: ascending offsets cost one pass in total, even if the whole document is one line.
pub(super) struct Cursor<'d> {
    bytes: &'d [u8],
    offset: usize,
    position: Position,
}

impl<'d> Cursor<'d> {
    pub(super) const fn new(bytes: &'d [u8]) -> Self {
        Self {
            bytes,
            offset: 0,
            position: Position::START,
        }
    }

    /// The position of a byte offset. An offset before the previous one starts again from the beginning.
    pub(super) fn position(&mut self, offset: usize) -> Position {
        if offset < self.offset {
            *self = Self::new(self.bytes);
        }
        for &byte in self.bytes.iter().take(offset).skip(self.offset) {
            if byte == b'\n' {
                self.position = Position {
                    line: self.position.line + 1,
                    column: 1,
                };
            } else if byte & 0xc0 != 0x80 {
                // All bytes of a UTF-8 character but the first are continuation bytes.
                self.position.column += 1;
            }
        }
        self.offset = offset;
        self.position
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_characters() {
        let text = "aé\n✓b";
        let mut cursor = Cursor::new(text.as_bytes());
        let at = |line, column| Position { line, column };
        assert_eq!(cursor.position(0), at(1, 1));
        assert_eq!(cursor.position(1), at(1, 2));
        assert_eq!(cursor.position(3), at(1, 3));
        assert_eq!(cursor.position(4), at(2, 1));
        assert_eq!(cursor.position(7), at(2, 2));
        assert_eq!(cursor.position(1), at(1, 2));
        assert_eq!(cursor.position(99), at(2, 3));
    }
}
