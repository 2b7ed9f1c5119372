//! Errors of the JSON reader as refusals of a message.

use callgate_core::json::{JsonError, JsonErrorKind, Kind, Value};
use callgate_core::request::MAX_ARGS_DEPTH;

use super::MAX_MESSAGE_DEPTH;
use crate::error::{MessageError, Reason};

/// Refuses a body that need not be parsed for it.
pub(super) fn check_bytes(body: &[u8]) -> Result<(), MessageError<'static>> {
    if body.trim_ascii().is_empty() {
        let message = "the body is empty; expected one JSON-RPC message";
        return Err(MessageError::new(Reason::EmptyBody, message));
    }
    if body.starts_with(b"\xef\xbb\xbf") {
        let message = "the body begins with a byte order mark; send UTF-8 without one";
        return Err(MessageError::new(Reason::ByteOrderMark, message));
    }
    Ok(())
}

/// The refusal for an error of the JSON reader.
pub(super) fn from_json_error(error: &JsonError) -> MessageError<'static> {
    let reason = match &error.kind {
        JsonErrorKind::Syntax(_) => Reason::InvalidJson,
        JsonErrorKind::DuplicateKey(_) => Reason::DuplicateKey,
        JsonErrorKind::TooDeep { .. } => Reason::Depth,
        JsonErrorKind::InvalidUtf8 => Reason::InvalidUtf8,
        JsonErrorKind::LoneSurrogate => Reason::LoneSurrogate,
        JsonErrorKind::Number(_) => Reason::Number,
    };
    let message = match &error.kind {
        JsonErrorKind::TooDeep { .. } => format!(
            "the body is nested deeper than {MAX_MESSAGE_DEPTH} levels, of which arguments may have {MAX_ARGS_DEPTH} (byte {})",
            error.offset
        ),
        kind => format!(
            "the body is not one well-formed JSON-RPC message: {kind} (byte {})",
            error.offset
        ),
    };
    MessageError::new(reason, message)
}

/// The refusal for a member of the wrong type. `expected` begins with an article.
pub(super) fn wrong_type(
    reason: Reason,
    member: &str,
    expected: &str,
    value: Value<'_>,
) -> MessageError<'static> {
    let got = value.kind().as_str();
    MessageError::new(
        reason,
        format!("`{member}` has the wrong type: expected {expected}, got {got}"),
    )
}

/// A member that must be a string.
pub(super) fn string<'m>(
    reason: Reason,
    member: &str,
    value: Value<'m>,
) -> Result<&'m str, MessageError<'static>> {
    value
        .as_str()
        .ok_or_else(|| wrong_type(reason, member, "a string", value))
}

/// A member that must be an object.
pub(super) fn object<'m>(
    reason: Reason,
    member: &str,
    value: Value<'m>,
) -> Result<Value<'m>, MessageError<'static>> {
    if value.kind() == Kind::Object {
        Ok(value)
    } else {
        Err(wrong_type(reason, member, "an object", value))
    }
}

#[cfg(test)]
mod tests {
    use callgate_core::json::{NumberError, Tape};

    use super::*;

    #[test]
    fn every_fault_of_json_has_its_reason() {
        for (body, reason) in [
            ("{", Reason::InvalidJson),
            (r#"{"a":1,"a":2}"#, Reason::DuplicateKey),
            (r#""\ud800""#, Reason::LoneSurrogate),
            ("1e99999", Reason::Number),
        ] {
            let error = Tape::new()
                .parse(body.as_bytes(), MAX_MESSAGE_DEPTH)
                .map(|_| ())
                .expect_err(body);
            assert_eq!(from_json_error(&error).reason, reason, "{body}");
        }
        let error = JsonError {
            offset: 3,
            kind: JsonErrorKind::Number(NumberError::TooLong),
        };
        assert_eq!(
            from_json_error(&error).message,
            "the body is not one well-formed JSON-RPC message: expected a number of at most 1000 characters (byte 3)"
        );
    }
}
