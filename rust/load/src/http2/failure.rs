//! Why a request got no answer.

use std::borrow::Cow;

/// Names of gRPC's status codes, by code.
const STATUS_NAMES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

/// Why a request got no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// A gRPC status other than OK, with its message.
    Status(u32, String),
    /// An HTTP status other than 200, without a gRPC status.
    Http(String),
    /// The answer is no gRPC: its content type.
    NotGrpc(String),
    /// The peer reset the stream, with this code of HTTP/2.
    Reset(u32),
    /// The peer closes the connection and did not look at the request.
    Refused,
    /// The answer breaks gRPC or the API.
    BadAnswer(&'static str),
    /// The connection ended before the answer came.
    Lost,
    /// No answer within the timeout.
    Timeout,
    /// The run ended before the answer came.
    Unanswered,
    /// There was no connection to send it on.
    NotConnected,
}

impl Failure {
    /// The key under which it is counted.
    pub(crate) fn label(&self) -> Cow<'static, str> {
        match self {
            Self::Status(code, _) => match STATUS_NAMES.get(*code as usize) {
                Some(name) => Cow::Borrowed(name),
                None => Cow::Owned(format!("status {code}")),
            },
            Self::Http(status) => Cow::Owned(format!("HTTP {status}")),
            Self::NotGrpc(_) => Cow::Borrowed("not gRPC"),
            Self::Reset(code) => Cow::Owned(format!("stream reset ({code})")),
            Self::Refused => Cow::Borrowed("refused by a closing connection"),
            Self::BadAnswer(_) => Cow::Borrowed("bad answer"),
            Self::Lost => Cow::Borrowed("connection lost"),
            Self::Timeout => Cow::Borrowed("timeout"),
            Self::Unanswered => Cow::Borrowed("no answer before the end"),
            Self::NotConnected => Cow::Borrowed("not connected"),
        }
    }

    /// What a reader is told besides, if anything; it may come from the peer.
    pub(crate) fn detail(&self) -> String {
        match self {
            Self::Status(_, message) => message.clone(),
            Self::NotGrpc(content_type) if content_type.is_empty() => {
                "it answers without a content type".to_owned()
            }
            Self::NotGrpc(content_type) => format!("it answers with content type `{content_type}`"),
            Self::BadAnswer(fault) => (*fault).to_owned(),
            _ => String::new(),
        }
    }
}
