//! A scanner of JSON text that passes in pieces. It holds no more of the text than one short key and one value on request.

use std::borrow::Cow;

use callgate_core::json::Tape;
use memchr::memchr3;

/// The length of the longest key that can be of interest, in bytes: `method` or `result` in quotes, with each character
/// escaped.
const MAX_KEY_BYTES: usize = 38;

/// A part of the text at which a reader of messages may have to act.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Token {
    /// `{`
    ObjectStart,
    /// `[`
    ArrayStart,
    /// `}` or `]`
    End,
    /// `,`
    Comma,
    /// `:`
    Colon,
    /// The end of a key. [`Scanner::key`] returns its text.
    Key,
    /// A NUL byte. No JSON in UTF-8 contains one; some readers take the text for UTF-16 then.
    Nul,
}

/// The position in JSON text of which more is to come.
///
/// Malformed text is scanned as well. Each string that follows `{` or a comma of an object counts as a key, whatever
/// stands between.
///
/// ```
/// use callgate_mcp::{Scanner, Token};
///
/// let mut scanner = Scanner::default();
/// let mut piece: &[u8] = br#"{"resu"#;
/// assert_eq!(scanner.next(&mut piece), Some(Token::ObjectStart));
/// assert_eq!(scanner.next(&mut piece), None);
/// let mut piece: &[u8] = br#"lt":{}}"#;
/// assert_eq!(scanner.next(&mut piece), Some(Token::Key));
/// assert_eq!((&*scanner.key(), scanner.depth()), ("result", 1));
/// ```
#[derive(Debug, Default)]
pub struct Scanner {
    skips_outer_arrays: bool,
    reads_second_level: bool,
    /// The number of open brackets.
    depth: usize,
    string: StringState,
    outermost: Level,
    second: Level,
    is_in_key: bool,
    key: Vec<u8>,
    value: Option<Value>,
}

/// The position relative to a string.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum StringState {
    #[default]
    Outside,
    Inside,
    AfterBackslash,
}

/// The object or array at one depth.
#[derive(Clone, Copy, Debug, Default)]
struct Level {
    is_object: bool,
    is_key_next: bool,
}

/// A value that is kept.
#[derive(Debug)]
struct Value {
    /// The depth of the object that the value is a member of.
    depth: usize,
    max_bytes: usize,
    bytes: Vec<u8>,
    is_too_long: bool,
}

impl Scanner {
    /// A scanner that does not count arrays around messages, so that each message of a batch begins at depth 0.
    pub fn of_batches() -> Self {
        Self {
            skips_outer_arrays: true,
            ..Self::default()
        }
    }

    /// The number of brackets that are open after the last token.
    pub const fn depth(&self) -> usize {
        self.depth
    }

    /// Returns true between two messages.
    pub fn is_between_messages(&self) -> bool {
        self.depth == 0 && self.string == StringState::Outside
    }

    /// Sets whether keys at depth 2 are read. Those at depth 1 always are, and deeper ones never.
    pub const fn read_second_level(&mut self, reads_second_level: bool) {
        self.reads_second_level = reads_second_level;
    }

    /// The text of the key that the last token ended; empty if it is longer than any key of interest, or malformed.
    pub fn key(&self) -> Cow<'_, str> {
        if self.key.len() > MAX_KEY_BYTES {
            return Cow::Borrowed("");
        }
        let text = str::from_utf8(&self.key).unwrap_or_default();
        if !text.contains('\\') {
            return Cow::Borrowed(text.trim_matches('"'));
        }
        let mut tape = Tape::new();
        let value = tape.parse(&self.key, 1).ok();
        let text = value.and_then(|value| value.as_str().map(str::to_owned));
        Cow::Owned(text.unwrap_or_default())
    }

    /// Keeps the text from here to the next comma or end at this depth, up to `max_bytes`.
    pub fn keep_value(&mut self, max_bytes: usize) {
        self.value = Some(Value {
            depth: self.depth,
            max_bytes,
            bytes: Vec::new(),
            is_too_long: false,
        });
    }

    /// Returns true if the value that is kept has exceeded its limit.
    pub fn has_long_value(&self) -> bool {
        self.value.as_ref().is_some_and(|value| value.is_too_long)
    }

    /// The value that was kept, with the white space around it; `None` if none was, or it exceeded its limit.
    pub fn take_value(&mut self) -> Option<Vec<u8>> {
        let value = self.value.take()?;
        (!value.is_too_long).then_some(value.bytes)
    }

    /// Advances `rest` behind the next token, and returns the token; `None` if the piece has no more.
    pub fn next(&mut self, rest: &mut &[u8]) -> Option<Token> {
        loop {
            if self.string == StringState::Inside && !self.is_in_key && self.value.is_none() {
                // Most bytes are those of long strings.
                let at = memchr3(b'"', b'\\', 0, rest).unwrap_or(rest.len());
                *rest = rest.get(at..).unwrap_or_default();
            }
            let (&byte, after) = rest.split_first()?;
            *rest = after;
            let token = if self.string == StringState::Outside {
                self.outside_string(byte)
            } else {
                self.inside_string(byte)
            };
            self.keep(byte, token);
            if token.is_some() {
                return token;
            }
            if byte == 0 {
                return Some(Token::Nul);
            }
        }
    }

    fn inside_string(&mut self, byte: u8) -> Option<Token> {
        // One byte more than the limit shows that the key is too long.
        if self.is_in_key && self.key.len() <= MAX_KEY_BYTES {
            self.key.push(byte);
        }
        self.string = match (self.string, byte) {
            (StringState::Inside, b'\\') => StringState::AfterBackslash,
            (StringState::Inside, b'"') => StringState::Outside,
            _ => StringState::Inside,
        };
        let is_key_end = self.string == StringState::Outside && std::mem::take(&mut self.is_in_key);
        is_key_end.then_some(Token::Key)
    }

    fn outside_string(&mut self, byte: u8) -> Option<Token> {
        match byte {
            b'"' => {
                self.string = StringState::Inside;
                let reads_keys = self.depth == 1 || self.depth == 2 && self.reads_second_level;
                if reads_keys && let Some(level) = self.level() {
                    self.is_in_key = std::mem::take(&mut level.is_key_next);
                }
                if self.is_in_key {
                    self.key.clear();
                    self.key.push(byte);
                }
                None
            }
            b'{' => {
                self.start(true);
                Some(Token::ObjectStart)
            }
            b'[' => {
                if self.depth > 0 || !self.skips_outer_arrays {
                    self.start(false);
                }
                Some(Token::ArrayStart)
            }
            b'}' | b']' => {
                self.depth = self.depth.saturating_sub(1);
                Some(Token::End)
            }
            b',' => {
                if let Some(level) = self.level() {
                    level.is_key_next = level.is_object;
                }
                Some(Token::Comma)
            }
            b':' => Some(Token::Colon),
            _ => None,
        }
    }

    fn start(&mut self, is_object: bool) {
        self.depth += 1;
        if let Some(level) = self.level() {
            *level = Level {
                is_object,
                is_key_next: is_object,
            };
        }
    }

    /// The innermost object or array, if it is of interest.
    const fn level(&mut self) -> Option<&mut Level> {
        match self.depth {
            1 => Some(&mut self.outermost),
            2 => Some(&mut self.second),
            _ => None,
        }
    }

    /// Adds a byte to the value that is kept, unless its token ends the value.
    fn keep(&mut self, byte: u8, token: Option<Token>) {
        let Some(value) = &mut self.value else { return };
        let is_end = match token {
            Some(Token::Comma) => self.depth <= value.depth,
            Some(Token::End) => self.depth < value.depth,
            _ => false,
        };
        if is_end || value.is_too_long {
            return;
        }
        if value.bytes.len() < value.max_bytes {
            value.bytes.push(byte);
        } else {
            value.is_too_long = true;
            value.bytes = Vec::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tokens of a text that comes in pieces of this size, each with the depth after it, and keys with their text.
    fn tokens(mut scanner: Scanner, text: &str, piece_bytes: usize) -> Vec<String> {
        let mut seen = Vec::new();
        for mut piece in text.as_bytes().chunks(piece_bytes) {
            while let Some(token) = scanner.next(&mut piece) {
                seen.push(match token {
                    Token::Key => format!("{} {}", scanner.depth(), scanner.key()),
                    token => format!("{} {token:?}", scanner.depth()),
                });
            }
        }
        seen
    }

    #[test]
    fn keys_of_the_outer_levels_are_read_wherever_the_text_is_cut() {
        let text = r#"[{"\u0069d":["a",{"b":1}],"c":{"d\"":{"e":0},"f":"x,y"}}]"#;
        let keys = |reads_second_level| {
            let mut whole = Vec::new();
            for piece_bytes in 1..=text.len() {
                let mut scanner = Scanner::of_batches();
                scanner.read_second_level(reads_second_level);
                let mut seen = tokens(scanner, text, piece_bytes);
                seen.retain(|token| {
                    !["Start", "End", "Comma", "Colon"]
                        .iter()
                        .any(|end| token.ends_with(end))
                });
                assert!(whole.is_empty() || whole == seen, "{piece_bytes}");
                whole = seen;
            }
            whole
        };
        assert_eq!(keys(false), ["1 id", "1 c"]);
        assert_eq!(keys(true), ["1 id", "1 c", "2 d\"", "2 f"]);
    }

    #[test]
    fn arrays_around_messages_count_as_asked() {
        let text = "[{},[]]";
        let counted = [
            "1 ArrayStart",
            "2 ObjectStart",
            "1 End",
            "1 Comma",
            "2 ArrayStart",
            "1 End",
            "0 End",
        ];
        assert_eq!(tokens(Scanner::default(), text, 1), counted);
        let skipped = [
            "0 ArrayStart",
            "1 ObjectStart",
            "0 End",
            "0 Comma",
            "0 ArrayStart",
            "0 End",
            "0 End",
        ];
        assert_eq!(tokens(Scanner::of_batches(), text, 1), skipped);
    }

    #[test]
    fn keys_of_no_interest_are_empty() {
        let long = "k".repeat(1 << 16);
        let mut scanner = Scanner::default();
        let text = format!("{{\"{long}\":1");
        let mut rest = text.as_bytes();
        assert_eq!(scanner.next(&mut rest), Some(Token::ObjectStart));
        assert_eq!(scanner.next(&mut rest), Some(Token::Key));
        assert_eq!(scanner.key(), "");
        assert!(scanner.key.capacity() < 100);
        assert_eq!(tokens(Scanner::default(), r#"{"\x""#, 9), ["1 ObjectStart", "1 "]);
    }

    /// The value of the first member.
    fn value(text: &str, max_bytes: usize) -> (bool, Option<String>) {
        let mut scanner = Scanner::default();
        let mut rest = text.as_bytes();
        while scanner.next(&mut rest) != Some(Token::Colon) {}
        scanner.keep_value(max_bytes);
        while let Some(token) = scanner.next(&mut rest) {
            if scanner.depth() <= 1 && matches!(token, Token::Comma) || scanner.depth() == 0 {
                break;
            }
        }
        let is_long = scanner.has_long_value();
        (
            is_long,
            scanner
                .take_value()
                .map(|value| String::from_utf8(value).expect("text")),
        )
    }

    #[test]
    fn a_value_is_kept_up_to_its_limit() {
        for (text, kept) in [
            (r#"{"a": 12 ,"b":1}"#, " 12 "),
            (r#"{"a":"x,\"}"}"#, r#""x,\"}""#),
            (r#"{"a":[1,{"b":2}],"c":3}"#, r#"[1,{"b":2}]"#),
            (r#"{"a":}"#, ""),
        ] {
            assert_eq!(value(text, 20), (false, Some(kept.to_owned())), "{text}");
        }
        assert_eq!(value(r#"{"a":123,"b":1}"#, 3), (false, Some("123".to_owned())));
        assert_eq!(value(r#"{"a":123,"b":1}"#, 2), (true, None));
        assert_eq!(value(r#"{"a":[[[[]]]]}"#, 2), (true, None));
    }

    #[test]
    fn a_nul_byte_is_reported_anywhere() {
        for text in ["\0", "{\"a\0", "{\"a\":\"\0", "{\"a\":\"\\\0"] {
            let seen = tokens(Scanner::default(), text, 3);
            assert!(
                seen.last().is_some_and(|token| token.ends_with("Nul")),
                "{text:?}"
            );
        }
    }
}
