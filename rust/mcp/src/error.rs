//! Refusals of a message before any policy is consulted.

use std::borrow::Cow;
use std::fmt;

use crate::message::Id;

/// The rule pointer of every refusal (`docs/policy.md` section 2).
pub const RULE: &str = "(invalid request)";

/// The fault of a message or its headers. Each has a word, for tests and labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The body is empty or white space.
    EmptyBody,
    /// The body begins with a byte order mark, which some readers skip.
    ByteOrderMark,
    /// The body is not UTF-8.
    InvalidUtf8,
    /// The body is not JSON, or more than one value.
    InvalidJson,
    /// Half of a surrogate pair, which readers replace differently.
    LoneSurrogate,
    /// A number beyond the bounds of `docs/policy.md` section 3.
    Number,
    /// The nesting is too deep.
    Depth,
    /// A key occurs twice in one object, at any depth.
    DuplicateKey,
    /// A list of messages.
    Batch,
    /// Neither an object nor a list.
    NotAnObject,
    /// A key differs from a protocol key only by case.
    KeyCase,
    /// A member that JSON-RPC does not define.
    UnknownKey,
    /// A response, or a message that is both request and response.
    Response,
    /// `jsonrpc` is missing or not `"2.0"`.
    JsonRpc,
    /// `id` is neither a string nor an integer, or belongs to a notification.
    Id,
    /// A call without an id cannot be answered.
    NoId,
    /// `method` is missing, not a string, empty, or almost `tools/call`.
    Method,
    /// `params` is not an object, or holds a protocol field of the wrong type.
    Params,
    /// The tool's name is missing, not a string, empty, or holds NUL.
    Tool,
    /// `arguments` is not an object.
    Arguments,
    /// A header field that may occur once occurs twice.
    HeaderTwice,
    /// A header field that some servers take for another one (`mcp_name`).
    HeaderAlias,
    /// A header field has an invalid value.
    HeaderValue,
    /// A header field differs from the body.
    HeaderMismatch,
    /// There is no body, and a header field that the call needs is missing.
    HeaderMissing,
    /// There is no body, and the headers have an older protocol version, whose servers do not check them.
    HeaderVersion,
}

impl Reason {
    /// Every reason.
    pub const ALL: [Self; 26] = [
        Self::EmptyBody,
        Self::ByteOrderMark,
        Self::InvalidUtf8,
        Self::InvalidJson,
        Self::LoneSurrogate,
        Self::Number,
        Self::Depth,
        Self::DuplicateKey,
        Self::Batch,
        Self::NotAnObject,
        Self::KeyCase,
        Self::UnknownKey,
        Self::Response,
        Self::JsonRpc,
        Self::Id,
        Self::NoId,
        Self::Method,
        Self::Params,
        Self::Tool,
        Self::Arguments,
        Self::HeaderTwice,
        Self::HeaderAlias,
        Self::HeaderValue,
        Self::HeaderMismatch,
        Self::HeaderMissing,
        Self::HeaderVersion,
    ];

    /// The word for the reason.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::EmptyBody => "empty_body",
            Self::ByteOrderMark => "byte_order_mark",
            Self::InvalidUtf8 => "invalid_utf8",
            Self::InvalidJson => "invalid_json",
            Self::LoneSurrogate => "lone_surrogate",
            Self::Number => "number",
            Self::Depth => "depth",
            Self::DuplicateKey => "duplicate_key",
            Self::Batch => "batch",
            Self::NotAnObject => "not_an_object",
            Self::KeyCase => "key_case",
            Self::UnknownKey => "unknown_key",
            Self::Response => "response",
            Self::JsonRpc => "jsonrpc",
            Self::Id => "id",
            Self::NoId => "no_id",
            Self::Method => "method",
            Self::Params => "params",
            Self::Tool => "tool",
            Self::Arguments => "arguments",
            Self::HeaderTwice => "header_twice",
            Self::HeaderAlias => "header_alias",
            Self::HeaderValue => "header_value",
            Self::HeaderMismatch => "header_mismatch",
            Self::HeaderMissing => "header_missing",
            Self::HeaderVersion => "header_version",
        }
    }

    /// The code of the JSON-RPC error: JSON-RPC's own codes if they mean exactly this, and MCP's `HeaderMismatch`.
    ///
    /// `-32700` is for a body that is not JSON. JSON that is not a valid message is `-32600`, duplicate keys included.
    pub const fn code(self) -> i64 {
        match self {
            Self::EmptyBody
            | Self::ByteOrderMark
            | Self::InvalidUtf8
            | Self::InvalidJson
            | Self::LoneSurrogate => -32700,
            Self::Params | Self::Tool | Self::Arguments => -32602,
            Self::HeaderTwice
            | Self::HeaderAlias
            | Self::HeaderValue
            | Self::HeaderMismatch
            | Self::HeaderMissing => -32020,
            _ => -32600,
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A message that must not be forwarded, whatever the policy says; status 400 over HTTP.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct MessageError<'m> {
    /// The fault.
    pub reason: Reason,
    /// The fault as a sentence: found, expected, remedy. Contains no value of the arguments.
    pub message: Cow<'static, str>,
    /// The id to answer under, if it could be read.
    pub id: Option<Id<'m>>,
}

impl<'m> MessageError<'m> {
    pub(crate) fn new(reason: Reason, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            reason,
            message: message.into(),
            id: None,
        }
    }

    pub(crate) fn with_id(self, id: Option<Id<'m>>) -> Self {
        Self { id, ..self }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_reason_has_a_word_of_its_own() {
        let words: HashSet<_> = Reason::ALL.iter().map(|reason| reason.as_str()).collect();
        assert_eq!(words.len(), Reason::ALL.len());
    }

    #[test]
    fn codes_are_those_that_the_protocols_define() {
        for reason in Reason::ALL {
            assert!(
                [-32700, -32600, -32602, -32020].contains(&reason.code()),
                "{reason}"
            );
        }
        assert_eq!(Reason::DuplicateKey.code(), -32600);
        assert_eq!(Reason::HeaderMismatch.code(), -32020);
    }
}
