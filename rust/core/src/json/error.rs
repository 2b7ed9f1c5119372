//! Errors of documents and numbers.

use std::fmt::{self, Write as _};

use super::number::{MAX_CHARACTERS, MAX_EXPONENT};

/// The characters of a duplicate key that a message shows; the rest of a hostile key is left out.
const SHOWN_KEY_CHARACTERS: usize = 64;

/// The reason for which a document is refused, and the place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{kind} (byte {offset})")]
pub struct JsonError {
    /// Byte offset of the fault; for a duplicate key, of the second one.
    pub offset: usize,
    /// The fault.
    pub kind: JsonErrorKind,
}

/// The kind of a fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JsonErrorKind {
    /// Not JSON; contains what was expected.
    #[error("expected {0}")]
    Syntax(&'static str),
    /// An object contains this key twice.
    #[error("key `{}` appears twice in one object", ShownKey(.0))]
    DuplicateKey(String),
    /// The nesting exceeds the limit.
    #[error("nested deeper than the {max_depth} levels allowed")]
    TooDeep {
        /// The limit: levels of lists and objects, including the root.
        max_depth: usize,
    },
    /// Bytes that are not UTF-8.
    #[error("expected valid UTF-8")]
    InvalidUtf8,
    /// `\ud800` without its other half.
    #[error("expected both halves of a surrogate pair, found one alone")]
    LoneSurrogate,
    /// A number out of bounds.
    #[error(transparent)]
    Number(#[from] NumberError),
}

/// The reason for which a number is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NumberError {
    /// More than 1,000 characters.
    #[error("expected a number of at most {MAX_CHARACTERS} characters")]
    TooLong,
    /// The written exponent is below -10,000 or above 10,000.
    #[error("expected an exponent between -{MAX_EXPONENT} and {MAX_EXPONENT}")]
    ExponentTooLarge,
    /// Not a JSON number.
    #[error("expected a JSON number")]
    Syntax,
}

/// Displays a caller's key in a message: shortened, with control characters escaped so that a log line stays one line.
struct ShownKey<'a>(&'a str);

impl fmt::Display for ShownKey<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut characters = self.0.chars();
        for character in characters.by_ref().take(SHOWN_KEY_CHARACTERS) {
            if character.is_control() {
                write!(f, "{}", character.escape_default())?;
            } else {
                f.write_char(character)?;
            }
        }
        if characters.next().is_some() {
            f.write_char('…')
        } else {
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_say_what_was_expected() {
        let message = |kind: JsonErrorKind| kind.to_string();
        assert_eq!(message(JsonErrorKind::Syntax("a value")), "expected a value");
        assert_eq!(
            message(JsonErrorKind::TooDeep { max_depth: 64 }),
            "nested deeper than the 64 levels allowed"
        );
        assert_eq!(
            message(NumberError::ExponentTooLarge.into()),
            "expected an exponent between -10000 and 10000"
        );
        assert_eq!(
            JsonError {
                offset: 7,
                kind: JsonErrorKind::InvalidUtf8
            }
            .to_string(),
            "expected valid UTF-8 (byte 7)"
        );
    }

    #[test]
    fn a_hostile_key_stays_short_and_on_one_line() {
        let message = |key: &str| JsonErrorKind::DuplicateKey(key.to_owned()).to_string();
        assert_eq!(message("a"), "key `a` appears twice in one object");
        assert_eq!(
            message("a\nb\u{7f}"),
            "key `a\\nb\\u{7f}` appears twice in one object"
        );
        assert_eq!(
            message(&"é".repeat(65)),
            format!("key `{}…` appears twice in one object", "é".repeat(64))
        );
    }
}
