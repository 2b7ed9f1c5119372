//! Strings: their end, and their escapes.

use super::{JsonError, JsonErrorKind};

/// Every byte of a word set to `byte`.
const fn repeat(byte: u8) -> u64 {
    u64::from_ne_bytes([byte; 8])
}

/// The offset of the first quote, backslash or control character at or after `from`; the length if there is none.
///
/// Reads eight bytes at a time. Each of the three tests sets the high bit of a matching byte. A borrow may also set it
/// wrongly, but only in bytes after a match, so the lowest one is always right.
#[inline]
pub(super) fn find_special(bytes: &[u8], from: usize) -> usize {
    let mut at = from;
    while let Some(chunk) = bytes.get(at..).and_then(<[u8]>::first_chunk::<8>) {
        let word = u64::from_le_bytes(*chunk);
        let quote = word ^ repeat(b'"');
        let backslash = word ^ repeat(b'\\');
        let hits = ((quote.wrapping_sub(repeat(1)) & !quote)
            | (backslash.wrapping_sub(repeat(1)) & !backslash)
            | (word.wrapping_sub(repeat(0x20)) & !word))
            & repeat(0x80);
        if hits != 0 {
            return at + (hits.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    while let Some(&byte) = bytes.get(at) {
        if byte < 0x20 || byte == b'"' || byte == b'\\' {
            break;
        }
        at += 1;
    }
    at
}

/// The offset of the quote that ends a string, or the reason for which the byte found by [`find_special`] is not
/// allowed in one.
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
/// that ends it.
pub(super) fn unescape(text: &str, from: usize, out: &mut String) -> Result<usize, JsonError> {
    let bytes = text.as_bytes();
    let mut at = from;
    loop {
        match bytes.get(at) {
            Some(b'"') => return Ok(at),
            Some(b'\\') => {
                let (character, after) = escape(bytes, at)?;
                out.push(character);
                at = after;
            }
            _ => return Err(unterminated(bytes, at)),
        }
        let run = find_special(bytes, at);
        out.push_str(&text[at..run]);
        at = run;
    }
}

/// The character of the escape at `at`, and the offset after it.
fn escape(bytes: &[u8], at: usize) -> Result<(char, usize), JsonError> {
    let character = match bytes.get(at + 1) {
        Some(b'"') => '"',
        Some(b'\\') => '\\',
        Some(b'/') => '/',
        Some(b'b') => '\u{8}',
        Some(b'f') => '\u{c}',
        Some(b'n') => '\n',
        Some(b'r') => '\r',
        Some(b't') => '\t',
        Some(b'u') => return unicode_escape(bytes, at),
        _ => {
            let expected = "one of `\"\\/bfnrtu` after a backslash";
            return Err(JsonError {
                offset: at,
                kind: JsonErrorKind::Syntax(expected),
            });
        }
    };
    Ok((character, at + 2))
}

/// Works as [`escape`] on `\uXXXX` and on pairs of them that form one character.
fn unicode_escape(bytes: &[u8], at: usize) -> Result<(char, usize), JsonError> {
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

    #[test]
    fn finds_each_special_byte_at_each_place() {
        for special in (0..0x20).chain([b'"', b'\\']) {
            for ordinary in [b'a', 0x20, 0x21, 0x23, 0x5b, 0x5d, 0x7f, 0x80, 0xa2, 0xdc, 0xff] {
                for place in 0..20 {
                    let mut bytes = [ordinary; 24];
                    bytes[place] = special;
                    bytes[place + 1] = b'"';
                    assert_eq!(find_special(&bytes, 0), place, "{special:#x} among {ordinary:#x}");
                    assert_eq!(find_special(&bytes, place + 1), place + 1);
                }
                assert_eq!(find_special(&[ordinary; 24], 0), 24);
                assert_eq!(find_special(&[ordinary; 21], 3), 21);
            }
        }
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
            assert_eq!(unescape(text, 0, &mut out), Ok(text.len() - 2), "{text}");
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
            let error = unescape(text, 0, &mut String::new());
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
            let error = unescape(text, 0, &mut String::new()).expect_err(text);
            assert_eq!(error.offset, offset, "{text}");
            assert!(matches!(error.kind, JsonErrorKind::Syntax(_)), "{text}: {error}");
        }
    }
}
