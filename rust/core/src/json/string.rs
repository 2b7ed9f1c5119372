//! Strings: their end, and their escapes.

use super::special::Specials;
use super::{JsonError, JsonErrorKind};

/// The reason for which a special byte, found at `at`, is not allowed in a string.
pub(super) fn unterminated(bytes: &[u8], at: usize) -> JsonError {
    let expected = if at < bytes.len() {
        "control characters in a string to be escaped"
    } else {
        "a quote that ends the string"
    };
    JsonError {
        offset: at,
        kind: JsonErrorKind::Syntax(expected),
    }
}

/// Appends to `out` the unescaped rest of a string, from its first backslash at `from`; returns the offset of the quote
/// that ends it. `specials` are those of `text`.
pub(super) fn unescape(
    text: &str,
    specials: &Specials,
    from: usize,
    out: &mut String,
) -> Result<usize, JsonError> {
    let bytes = text.as_bytes();
    let mut at = from;
    loop {
        match bytes.get(at) {
            Some(b'"') => return Ok(at),
            Some(b'\\') => {
                let (character, after) = match bytes.get(at + 1).copied().and_then(short_escape) {
                    Some(character) => (character, at + 2),
                    None => long_escape(bytes, at)?,
                };
                out.push(character);
                at = after;
            }
            _ => return Err(unterminated(bytes, at)),
        }
        let run = specials.next(bytes, at);
        if run > at {
            out.push_str(&text[at..run]);
            at = run;
        }
    }
}

/// The character of the escape that has this letter after its backslash, if it has no digits.
const fn short_escape(letter: u8) -> Option<char> {
    Some(match letter {
        b'"' => '"',
        b'\\' => '\\',
        b'/' => '/',
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        _ => return None,
    })
}

/// The character of the `\uXXXX` at `at`, or of the pair of them that forms one character, and the offset after it. No other
/// escape is left.
#[inline(never)]
fn long_escape(bytes: &[u8], at: usize) -> Result<(char, usize), JsonError> {
    if bytes.get(at + 1) != Some(&b'u') {
        let expected = "one of `\"\\/bfnrtu` after a backslash";
        return Err(JsonError {
            offset: at,
            kind: JsonErrorKind::Syntax(expected),
        });
    }
    let lone = || JsonError {
        offset: at,
        kind: JsonErrorKind::LoneSurrogate,
    };
    let first = code_unit(bytes, at)?;
    if let Some(character) = char::from_u32(first) {
        return Ok((character, at + 6));
    }
    if first >= 0xdc00 || bytes.get(at + 6..at + 8) != Some(b"\\u".as_slice()) {
        return Err(lone());
    }
    let second = code_unit(bytes, at + 6)?;
    if !(0xdc00..0xe000).contains(&second) {
        return Err(lone());
    }
    let code_point = 0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00);
    char::from_u32(code_point)
        .map(|character| (character, at + 12))
        .ok_or_else(lone)
}

/// The four hexadecimal digits of the `\uXXXX` at `at`.
fn code_unit(bytes: &[u8], at: usize) -> Result<u32, JsonError> {
    let digits = bytes.get(at + 2..at + 6).unwrap_or_default();
    let unit = digits.iter().try_fold(0, |unit, &digit| {
        char::from(digit).to_digit(16).map(|value| unit << 4 | value)
    });
    match unit {
        Some(unit) if digits.len() == 4 => Ok(unit),
        _ => {
            let expected = "four hexadecimal digits after `\\u`";
            Err(JsonError {
                offset: at,
                kind: JsonErrorKind::Syntax(expected),
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unescaped(text: &str, out: &mut String) -> Result<usize, JsonError> {
        let mut specials = Specials::default();
        specials.find(text.as_bytes());
        unescape(text, &specials, 0, out)
    }

    #[test]
    fn escapes_become_characters() {
        let cases = [
            (r#"\"\\\/\b\f\n\r\t" "#, "\"\\/\u{8}\u{c}\n\r\t"),
            (r#"\u0041\u00e9\u20AC\ud83d\uDE00" "#, "Aé€😀"),
            (r#"\u0000\uffff\uD7FF\ue000" "#, "\0\u{ffff}\u{d7ff}\u{e000}"),
            (r#"\udbff\udfffé" "#, "\u{10ffff}é"),
        ];
        for (text, expected) in cases {
            let mut out = String::new();
            assert_eq!(unescaped(text, &mut out), Ok(text.len() - 2), "{text}");
            assert_eq!(out, expected, "{text}");
        }
    }

    #[test]
    fn broken_escapes_are_refused_where_they_stand() {
        let lone = [
            r#"\ud800""#,
            r#"\udc00""#,
            r#"\ud800\u0041""#,
            r#"\ud800\ud800""#,
            r#"\udfff\ud800""#,
            r#"\ud83dx""#,
        ];
        for text in lone {
            let error = unescaped(text, &mut String::new());
            assert_eq!(
                error,
                Err(JsonError {
                    offset: 0,
                    kind: JsonErrorKind::LoneSurrogate
                }),
                "{text}"
            );
        }
        for (text, offset) in [
            (r"\", 0),
            (r#"\x""#, 0),
            (r#"\n\u12""#, 2),
            (r#"\u12g4""#, 0),
            (r#"\u+123""#, 0),
            (r"\u", 0),
            (r"\na", 3),
            ("\\na\n\"", 3),
        ] {
            let error = unescaped(text, &mut String::new()).expect_err(text);
            assert_eq!(error.offset, offset, "{text}");
            assert!(matches!(error.kind, JsonErrorKind::Syntax(_)), "{text}: {error}");
        }
    }
}
