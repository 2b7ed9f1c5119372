//! Failures of requests.

use std::borrow::Cow;

use h2::Reason;

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

/// The reason for which a request has no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// A gRPC status other than OK, with its message.
    Status(u32, String),
    /// An HTTP status other than 200, without a gRPC status.
    Http(String),
    /// The answer's content type is not gRPC's.
    NotGrpc(String),
    /// The peer reset the stream with this HTTP/2 error code.
    Reset(u32),
    /// The peer closes the connection and has not processed the request.
    Refused,
    /// The answer violates gRPC or the API.
    BadAnswer(&'static str),
    /// The connection ended before the answer arrived.
    Lost,
    /// No answer within the timeout.
    Timeout,
    /// The run ended before the answer arrived.
    Unanswered,
    /// There was no connection.
    NotConnected,
}

impl Failure {
    /// The failure of a request whose stream ended early.
    pub(super) fn of_stream(error: &h2::Error) -> Self {
        match error.reason() {
            Some(Reason::REFUSED_STREAM) if error.is_reset() => Self::Refused,
            Some(_) if error.is_go_away() && error.is_remote() => Self::Refused,
            Some(reason) if error.is_reset() && error.is_remote() => Self::Reset(reason.into()),
            Some(_) if error.is_reset() => Self::BadAnswer("it breaks the rules of HTTP/2"),
            _ => Self::Lost,
        }
    }

    /// The key under which the failure is counted.
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

    /// Additional information for a reader, maybe empty; it may come from the peer.
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
