//! Values of header fields: plain, or base64 for text that a field cannot carry.

use std::borrow::Cow;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::general_purpose::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use crate::error::{MessageError, Reason};

/// The marker before base64.
const PREFIX: &str = "=?base64?";
const SUFFIX: &str = "?=";

/// Base64 with every deviation that decoders of servers accept: no padding (Java), loose trailing bits (Go).
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A decoded value and its form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Decoded<'h> {
    pub(super) text: Cow<'h, str>,
    pub(super) form: Form,
}

/// The form of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// Unencoded.
    Plain,
    /// Unencoded, but almost base64 between markers: a lenient reader may decode it to another text.
    Lookalike,
    /// Base64 between markers.
    Base64,
}

/// A value of visible ASCII, spaces and tabs. Surrounding spaces are not part of it (RFC 9110 section 5.5).
pub(super) fn visible<'h>(field: &str, value: &'h [u8]) -> Result<&'h str, MessageError<'static>> {
    let is_allowed = |byte: &u8| matches!(byte, b'\t' | b' '..=b'~');
    str::from_utf8(value)
        .ok()
        .filter(|text| text.as_bytes().iter().all(is_allowed))
        .map(|text| text.trim_matches([' ', '\t']))
        .ok_or_else(|| {
            let message = format!(
                "the field `{field}` holds characters that no field carries; send them as `{PREFIX}...{SUFFIX}`"
            );
            MessageError::new(Reason::HeaderValue, message)
        })
}

/// The text that some server may decode from a value of base64 between markers; `None` if the value is plain or not
/// base64.
///
/// For callers that count by the values of fields that may be `Mcp-Name` and can refuse none: the markers match in any
/// case, and base64 is read as the most lenient decoder reads it (no padding, loose trailing bits, spaces, the URL
/// alphabet). A server that is stricter refuses the value, so that no call goes uncounted.
pub fn lenient_base64(value: &str) -> Option<String> {
    let inner = value
        .get(PREFIX.len()..)
        .filter(|_| begins_as_base64(value))?
        .strip_suffix(SUFFIX)?;
    let base64: String = inner
        .chars()
        .filter(|char| !char.is_ascii_whitespace())
        .map(|char| match char {
            '-' => '+',
            '_' => '/',
            other => other,
        })
        .collect();
    String::from_utf8(LENIENT.decode(base64).ok()?).ok()
}

/// A text as the value of a field that may be base64: unchanged if a field can carry it and no reader takes it for
/// base64.
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

/// Decodes a value that may be base64 between markers.
///
/// The markers are case-sensitive, and both are needed: a value with only one of them, or with markers in capitals, is
/// plain text (MCP 2026-07-28, transport page, "Value Encoding"). Refused are a value with both markers that is not
/// padded base64 of UTF-8, and `=?base64?=`, whose markers overlap: some servers take that for text, others for base64
/// of nothing.
pub(super) fn decode<'h>(field: &str, value: &'h [u8]) -> Result<Decoded<'h>, MessageError<'static>> {
    let text = visible(field, value)?;
    let literal = |form| Decoded {
        text: Cow::Borrowed(text),
        form,
    };
    if !begins_as_base64(text) {
        return Ok(literal(Form::Plain));
    }
    if !(text.starts_with(PREFIX) && text.ends_with(SUFFIX)) {
        return Ok(literal(Form::Lookalike));
    }
    text.strip_prefix(PREFIX)
        .and_then(|rest| rest.strip_suffix(SUFFIX))
        .and_then(|base64| String::from_utf8(STANDARD.decode(base64).ok()?).ok())
        .map(|text| Decoded {
            text: Cow::Owned(text),
            form: Form::Base64,
        })
        .ok_or_else(|| {
            let message = format!(
                "the field `{field}` cannot be decoded; expected `{PREFIX}`, padded base64 of UTF-8, `{SUFFIX}`"
            );
            MessageError::new(Reason::HeaderValue, message)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_read_as_any_server_might() {
        for value in [
            "=?base64?ZGVsZXRlLXg=?=",
            "=?BASE64?ZGVsZXRlLXg=?=",
            "=?base64?ZGVsZXRlLXg?=",
            "=?base64?ZGVsZXRlLXh=?=",
            "=?base64? ZGVs\tZXRl LXg= ?=",
        ] {
            assert_eq!(lenient_base64(value).as_deref(), Some("delete-x"), "{value}");
        }
        assert_eq!(
            lenient_base64("=?base64?w7_Dvg==?="),
            lenient_base64("=?base64?w7/Dvg==?=")
        );
        assert_eq!(lenient_base64("=?base64?w7_Dvg==?=").as_deref(), Some("ÿþ"));
        for value in [
            "delete-x",
            "=?base64?%?=",
            "=?base64?/w==?=",
            "=?base64?ZGVs",
            "=?base64?=",
            "=?base6é?ZGVs?=",
        ] {
            assert_eq!(lenient_base64(value), None, "{value}");
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
            assert_eq!((decoded.text.as_ref(), decoded.form), (text, Form::Plain));
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
            assert_eq!((decoded.text.as_ref(), decoded.form), (text, Form::Base64));
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
    fn without_both_markers_it_is_text() {
        for value in [
            "=?base64?SGVsbG8",
            "=?base64?SGVsbG8=",
            "=?base64?SGVsbG8=? =",
            "=?base64?",
            "=?BASE64?SGVsbG8=?=",
            "=?Base64?x",
        ] {
            let decoded = decode("mcp-name", value.as_bytes()).expect(value);
            assert_eq!((decoded.text.as_ref(), decoded.form), (value, Form::Lookalike));
        }
    }

    #[test]
    fn between_the_markers_is_base64_alone() {
        for value in [
            "=?base64?SGVsbG8sIOS4lueVjA?=",
            "=?base64?SGVsbG8sIOS4lueVjB==?=",
            "=?base64?SGVs bG8=?=",
            "=?base64?SGVsbG8_?=",
            "=?base64?/w==?=",
            "=?base64?=",
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
