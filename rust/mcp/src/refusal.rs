//! Why a message is refused, before any policy is asked.

use std::borrow::Cow;
use std::fmt;

use crate::message::Id;

/// The rule of every refusal (`docs/policy.md` section 2).
pub const RULE: &str = "(invalid request)";

/// What is wrong with a message or its headers. There is a word for each, for tests and labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// Nothing but white space.
    EmptyBody,
    /// The body begins with a byte order mark, which some readers skip.
    ByteOrderMark,
    /// Bytes that are not UTF-8.
    InvalidUtf8,
    /// No JSON, or more than one value.
    InvalidJson,
    /// Half of a surrogate pair, which every reader takes for something else.
    LoneSurrogate,
    /// A number beyond the bounds of `docs/policy.md` section 3.
    Number,
    /// Nested too deep.
    Depth,
    /// A key stands twice in one object, at any depth.
    DuplicateKey,
    /// A list of messages.
    Batch,
    /// Neither an object nor a list.
    NotAnObject,
    /// A key that differs from a protocol key by case alone.
    KeyCase,
    /// A member that JSON-RPC does not define.
    UnknownKey,
    /// A response, or a message that is one as well.
    Response,
    /// `jsonrpc` is missing or not `"2.0"`.
    JsonRpc,
    /// `id` is neither a string nor an integer, or stands in a notification.
    Id,
    /// A call without an id: nobody could be answered.
    NoId,
    /// `method` is missing, not a string, empty, or nearly `tools/call`.
    Method,
    /// `params` is not an object, or holds a protocol field of another type.
    Params,
    /// The tool's name is missing, not a string, empty, or holds NUL.
    Tool,
    /// `arguments` is not an object.
    Arguments,
    /// A header field that may stand once stands twice.
    HeaderTwice,
    /// A header field that some servers take for another one (`mcp_name`).
    HeaderAlias,
    /// A header field's value cannot be read.
    HeaderValue,
    /// A header field says something else than the body.
    HeaderMismatch,
    /// Without a body, a header field that the call needs is missing.
    HeaderMissing,
    /// Without a body, headers of an older protocol version, whose servers do not check them.
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

    /// The word for it.
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

    /// The code of its JSON-RPC error: JSON-RPC's own where they mean just this, and MCP's `HeaderMismatch`.
    ///
    /// `-32700` is for what is no JSON; what is JSON and yet no message is `-32600`, duplicate keys included.
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

/// A message that must not be forwarded, whatever the policy says; over HTTP, status 400.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refusal<'m> {
    /// What is wrong.
    pub reason: Reason,
    /// The same as a sentence: what was found, what was expected, what to do. Never a value of the arguments.
    pub message: Cow<'static, str>,
    /// The id to answer under, where it could be read.
    pub id: Option<Id<'m>>,
}

impl<'m> Refusal<'m> {
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
