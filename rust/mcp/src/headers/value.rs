//! Values of header fields: plain, or text that no field can carry as base64.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::refusal::{Reason, Refusal};

/// What stands around base64.
const PREFIX: &str = "=?base64?";
const SUFFIX: &str = "?=";

/// A value, and how it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Decoded<'h> {
    pub(super) text: Cow<'h, str>,
    /// It came as it is, and not as base64.
    pub(super) is_plain: bool,
}

/// A value of visible ASCII, spaces and tabs; spaces around it are no part of it (RFC 9110 section 5.5).
pub(super) fn visible<'h>(field: &str, value: &'h [u8]) -> Result<&'h str, Refusal<'static>> {
    let is_allowed = |byte: &u8| matches!(byte, b'\t' | b' '..=b'~');
    str::from_utf8(value)
        .ok()
        .filter(|text| text.as_bytes().iter().all(is_allowed))
        .map(|text| text.trim_matches([' ', '\t']))
        .ok_or_else(|| {
            let message = format!(
                "the field `{field}` holds characters that no field carries; send them as `{PREFIX}...{SUFFIX}`"
            );
            Refusal::new(Reason::HeaderValue, message)
        })
}

/// The text of a value that came as base64 between markers; `None` where it is plain or no such base64.
///
/// For whoever compares values of fields that may be `Mcp-Name` and has no message beside them.
pub fn from_base64(value: &str) -> Option<String> {
    let base64 = value.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?;
    String::from_utf8(STANDARD.decode(base64).ok()?).ok()
}

/// A text as the value of a field that may be base64: as it is where a field can carry it, and cannot be taken for
/// something else.
///
/// ```
/// use callgate_mcp::headers::field_value;
///
/// assert_eq!(field_value("drop table"), "drop table");
/// assert_eq!(field_value("dröp"), "=?base64?ZHLDtnA=?=");
/// assert_eq!(field_value(" "), "=?base64?IA==?=");
/// ```
pub fn field_value(text: &str) -> Cow<'_, str> {
    let is_carried = visible("", text.as_bytes()).is_ok_and(|carried| carried == text);
    if is_carried && !begins_as_base64(text) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(format!("{PREFIX}{}{SUFFIX}", STANDARD.encode(text)))
}

fn begins_as_base64(text: &str) -> bool {
    text.get(..PREFIX.len())
        .is_some_and(|prefix| prefix.eq_ignore_ascii_case(PREFIX))
}

/// A value that may be base64 between markers.
///
/// The markers are case-sensitive, and both are needed; what only nearly has them is refused rather than taken as it
/// is, since a more lenient reader would see another text.
pub(super) fn decode<'h>(field: &str, value: &'h [u8]) -> Result<Decoded<'h>, Refusal<'static>> {
    let text = visible(field, value)?;
    if !begins_as_base64(text) {
        return Ok(Decoded {
            text: Cow::Borrowed(text),
            is_plain: true,
        });
    }
    from_base64(text)
        .map(|text| Decoded {
            text: Cow::Owned(text),
            is_plain: false,
        })
        .ok_or_else(|| {
            let message = format!(
                "the field `{field}` cannot be decoded; expected `{PREFIX}`, padded base64 of UTF-8, `{SUFFIX}`"
            );
            Refusal::new(Reason::HeaderValue, message)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_alone_is_decoded() {
        assert_eq!(
            from_base64("=?base64?ZGVsZXRlLXg=?=").as_deref(),
            Some("delete-x")
        );
        for value in ["delete-x", "=?base64?%?=", "=?base64?/w==?=", "=?base64?ZGVs"] {
            assert_eq!(from_base64(value), None, "{value}");
        }
    }

    #[test]
    fn plain_values_are_what_they_are() {
        for (value, text) in [
            ("drop_table", "drop_table"),
            (" drop table\t", "drop table"),
            ("", ""),
            ("file:///a,b", "file:///a,b"),
            ("=?base6", "=?base6"),
            ("?=", "?="),
        ] {
            let decoded = decode("mcp-name", value.as_bytes()).expect(value);
            assert_eq!((decoded.text.as_ref(), decoded.is_plain), (text, true));
        }
    }

    #[test]
    fn base64_is_decoded() {
        for (value, text) in [
            ("=?base64?SGVsbG8sIOS4lueVjA==?=", "Hello, 世界"),
            ("=?base64?IHBhZGRlZCA=?=", " padded "),
            ("=?base64?PT9iYXNlNjQ/bGl0ZXJhbD89?=", "=?base64?literal?="),
            ("=?base64??=", ""),
        ] {
            let decoded = decode("mcp-name", value.as_bytes()).expect(value);
            assert_eq!((decoded.text.as_ref(), decoded.is_plain), (text, false));
        }
    }

    #[test]
    fn what_is_written_is_read() {
        for text in [
            "",
            "a",
            " a",
            "a\t",
            "é",
            "=?base64?x?=",
            "=?BASE64?",
            "a\nb",
            "a b",
        ] {
            let value = field_value(text);
            assert_eq!(decode("mcp-name", value.as_bytes()).expect(text).text, text);
        }
    }

    #[test]
    fn what_is_nearly_base64_is_refused() {
        for value in [
            "=?base64?SGVsbG8",
            "=?base64?SGVsbG8sIOS4lueVjA?=",
            "=?base64?SGVsbG8sIOS4lueVjB==?=",
            "=?base64?SGVs bG8=?=",
            "=?base64?SGVsbG8_?=",
            "=?base64?/w==?=",
            "=?base64?=",
            "=?BASE64?SGVsbG8=?=",
            "=?Base64?x",
        ] {
            let refusal = decode("mcp-name", value.as_bytes()).expect_err(value);
            assert_eq!(refusal.reason, Reason::HeaderValue, "{value}");
        }
    }

    #[test]
    fn other_characters_need_base64() {
        for value in ["caf\u{e9}".as_bytes(), b"a\nb", b"a\0", b"\xff", b"\x7f"] {
            let refusal = decode("mcp-name", value).expect_err("refused");
            assert_eq!(refusal.reason, Reason::HeaderValue);
        }
    }
}
