//! Characters that only some readers take for a line end.
//!
//! A message over a pipe is one line, and an event of a stream consists of lines. All readers end a line at LF and CR.
//! Python's `str.splitlines`, which some clients use to read events, also ends one at VT, FF, FS, GS, RS, NEL (U+0085),
//! U+2028 and U+2029; Node's `readline` does at the last two. JSON allows the last three unescaped in a string. The
//! rest of that string is then a line, and so a message of its own, to such a reader.
//!
//! Written as a JSON escape, such a character keeps its meaning in a string and ends no line for any reader. Outside of
//! a string it is not valid JSON in either form.

use std::borrow::Cow;

/// The first bytes of such a character, if the text was cut inside it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Begun {
    #[default]
    Nothing,
    /// The first byte of U+0085 (and of others).
    C2,
    /// The first byte of U+2028 and U+2029 (and of others).
    E2,
    /// The first two bytes of U+2028 and U+2029.
    E280,
}

impl Begun {
    /// The bytes read so far.
    const fn bytes(self) -> &'static [u8] {
        match self {
            Self::Nothing => b"",
            Self::C2 => b"\xc2",
            Self::E2 => b"\xe2",
            Self::E280 => b"\xe2\x80",
        }
    }

    /// The escape of the character that ends with this byte, if it is one of those above.
    const fn escape(self, byte: u8) -> Option<&'static [u8]> {
        Some(match (self, byte) {
            (Self::C2, 0x85) => br"\u0085",
            (Self::E280, 0xa8) => br"\u2028",
            (Self::E280, 0xa9) => br"\u2029",
            (Self::Nothing, 0x0b) => br"\u000b",
            (Self::Nothing, 0x0c) => br"\u000c",
            (Self::Nothing, 0x1c) => br"\u001c",
            (Self::Nothing, 0x1d) => br"\u001d",
            (Self::Nothing, 0x1e) => br"\u001e",
            _ => return None,
        })
    }

    /// The state after one more byte; `None` if the bytes do not begin such a character.
    const fn with(self, byte: u8) -> Option<Self> {
        match (self, byte) {
            (Self::Nothing, 0xc2) => Some(Self::C2),
            (Self::Nothing, 0xe2) => Some(Self::E2),
            (Self::E2, 0x80) => Some(Self::E280),
            _ => None,
        }
    }
}

/// Escapes the characters that only some readers take for a line end, in a text that may be cut anywhere.
#[derive(Debug, Default)]
pub struct LineBreaks {
    begun: Begun,
}

impl LineBreaks {
    /// Escapes the next bytes. Keeps up to two bytes at their end until the rest of their character comes; drops a
    /// character that the end of the text cuts.
    ///
    /// ```
    /// use callgate_mcp::LineBreaks;
    ///
    /// let mut breaks = LineBreaks::default();
    /// assert_eq!(&*breaks.escape("data: \"a\u{2028}".as_bytes()), br#"data: "a\u2028"#);
    /// assert_eq!(&*breaks.escape("b\"\n".as_bytes()), b"b\"\n");
    /// ```
    pub fn escape<'b>(&mut self, bytes: &'b [u8]) -> Cow<'b, [u8]> {
        if self.begun == Begun::Nothing && next_of_interest(bytes) == bytes.len() {
            return Cow::Borrowed(bytes);
        }
        let mut escaped = Vec::with_capacity(bytes.len() + 8);
        let mut rest = bytes;
        loop {
            if self.begun == Begun::Nothing {
                let (plain, after) = rest.split_at(next_of_interest(rest));
                escaped.extend_from_slice(plain);
                rest = after;
            }
            let Some((&byte, after)) = rest.split_first() else {
                return Cow::Owned(escaped);
            };
            if let Some(escape) = self.begun.escape(byte) {
                escaped.extend_from_slice(escape);
                self.begun = Begun::Nothing;
            } else if let Some(begun) = self.begun.with(byte) {
                self.begun = begun;
            } else {
                // Another character; the current byte is examined again from the start.
                escaped.extend_from_slice(std::mem::take(&mut self.begun).bytes());
                continue;
            }
            rest = after;
        }
    }
}

/// The position of the first byte that may begin such a character; the length if there is none.
fn next_of_interest(bytes: &[u8]) -> usize {
    const BLOCK_BYTES: usize = 64;
    let is_of_interest = |byte: &u8| matches!(byte, 0x0b | 0x0c | 0x1c..=0x1e | 0xc2 | 0xe2);
    // No early exit within a block, so that the compiler can vectorise it.
    let block = bytes
        .chunks(BLOCK_BYTES)
        .position(|block| block.iter().fold(false, |any, byte| any | is_of_interest(byte)));
    let from = block.map_or(bytes.len(), |block| block * BLOCK_BYTES);
    let rest = bytes.get(from..).unwrap_or_default();
    from + rest.iter().position(is_of_interest).unwrap_or(rest.len())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BREAKS: [char; 8] = [
        '\u{b}', '\u{c}', '\u{1c}', '\u{1d}', '\u{1e}', '\u{85}', '\u{2028}', '\u{2029}',
    ];

    /// The output for a text in these pieces.
    fn escaped(pieces: &[&[u8]]) -> Vec<u8> {
        let mut breaks = LineBreaks::default();
        pieces
            .iter()
            .flat_map(|piece| breaks.escape(piece).into_owned())
            .collect()
    }

    #[test]
    fn each_is_escaped_wherever_the_text_is_cut() {
        for line_break in BREAKS {
            let text = format!("data: {{\"a\":\"é…{line_break}{line_break}\u{2027}Â\"}}\n\n");
            let expected = text.replace(line_break, &format!("\\u{:04x}", u32::from(line_break)));
            for first in 0..=text.len() {
                for second in first..=text.len() {
                    let bytes = text.as_bytes();
                    let pieces = [&bytes[..first], &bytes[first..second], &bytes[second..]];
                    assert_eq!(
                        escaped(&pieces),
                        expected.as_bytes(),
                        "{line_break:?} {first} {second}"
                    );
                }
            }
        }
    }

    #[test]
    fn in_a_string_the_escape_says_the_same() {
        for line_break in BREAKS {
            let text = serde_json::to_string(&format!("a{line_break}b")).expect("a string");
            let seen: String = serde_json::from_slice(&escaped(&[text.as_bytes()])).expect("a string");
            assert_eq!(seen, format!("a{line_break}b"));
        }
    }

    #[test]
    fn everything_else_is_not_even_copied() {
        let text = "\u{0}\t\r\n\u{1f} \"\\u2028\" Å ä 日本 \u{feff}".repeat(9);
        assert!(matches!(
            LineBreaks::default().escape(text.as_bytes()),
            Cow::Borrowed(_)
        ));
        for other in ["…", "\u{2027}", "\u{202a}", "\u{86}", "\u{a0}", "\u{e28}"] {
            assert_eq!(escaped(&[other.as_bytes()]), other.as_bytes(), "{other}");
        }
    }

    proptest! {
        #[test]
        fn nobody_finds_a_line_that_others_do_not(
            pieces in prop::collection::vec(
                prop::collection::vec(prop::sample::select(b"\n\x0b\x0c\x1c\x1d\x1e\xc2\x85\xe2\x80\xa8\xa9a".to_vec()), 0..9),
                0..9,
            ),
        ) {
            let cut: Vec<&[u8]> = pieces.iter().map(Vec::as_slice).collect();
            let whole = escaped(&cut);
            prop_assert_eq!(&whole, &escaped(&[&pieces.concat()]));
            let text = String::from_utf8_lossy(&whole);
            prop_assert!(!text.contains(BREAKS), "{text:?}");
            prop_assert_eq!(text.matches('\n').count(), pieces.concat().split(|&byte| byte == b'\n').count() - 1);
        }
    }
}
