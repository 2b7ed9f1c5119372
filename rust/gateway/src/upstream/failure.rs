//! The reasons why a request has no reply.

use std::error::Error;
use std::io;

use rustls::CertificateError;

use crate::pool::SendError;

/// The reason why there is no reply that could be forwarded.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// No connection to the server. No byte of the request was sent.
    #[error("the server cannot be reached: {0}")]
    Unreachable(String),
    /// A certificate that is not trusted: another server may be answering. No byte of the request was sent.
    #[error("the server's certificate is not trusted: {0}")]
    Untrusted(String),
    /// The server has the greatest number of open requests already. No byte of this request was sent.
    #[error("the server has {0} requests open, as many as are allowed at once")]
    Busy(usize),
    /// The grant has the greatest number of open requests already. No byte of this request was sent.
    #[error("one grant has {0} requests open at the server, as many as one is allowed at once")]
    GrantBusy(usize),
    /// The connection broke before there was a reply.
    #[error("the connection to the server broke before it answered: {0}")]
    Broken(String),
    /// No reply in time.
    #[error("the server did not answer within {0} ms")]
    TooSlow(u64),
    /// The reply leads elsewhere.
    #[error(
        "the server answers with a redirect, which is not followed to another host, nor for a call; configure the URL that it leads to"
    )]
    Redirected,
    /// The server does not believe the gateway.
    #[error(
        "the server refuses the gateway's own credentials (status {0}); check the headers configured for it"
    )]
    Unauthorized(u16),
    /// The server speaks HTTP+SSE, as MCP had it until 2024-11-05.
    #[error(
        "the server speaks the HTTP+SSE transport of MCP 2024-11-05, which callgate does not; configure the URL of its \
         streamable HTTP endpoint, often `/mcp` in place of `/sse`, or start it with that transport"
    )]
    OldTransport,
    /// The reply cannot be checked, so it is not forwarded.
    #[error("the server's reply cannot be passed on: {0}")]
    Unreadable(&'static str),
}

impl Failure {
    /// Of a request that was sent, or was to be, over HTTP.
    pub(crate) fn of_http(error: &SendError) -> Self {
        match error {
            SendError::Broken(_) => Self::Broken(chain(error)),
            SendError::Unsent(_) => Self::Unreachable(chain(error)),
            SendError::Connect(error) => match rejected(&**error) {
                Some(reason) => Self::Untrusted(told(reason)),
                None => Self::Unreachable(chain(&**error)),
            },
        }
    }

    /// Returns true if nothing of the request can have reached the server.
    pub const fn never_reached(&self) -> bool {
        matches!(
            self,
            Self::Unreachable(_) | Self::Untrusted(_) | Self::Busy(_) | Self::GrantBusy(_)
        )
    }

    /// The kind under which it is counted.
    pub const fn kind(&self) -> FailureKind {
        match self {
            Self::Unreachable(_) => FailureKind::Unreachable,
            Self::Untrusted(_) => FailureKind::Untrusted,
            Self::Busy(_) => FailureKind::Busy,
            Self::GrantBusy(_) => FailureKind::GrantBusy,
            Self::Broken(_) => FailureKind::Broken,
            Self::TooSlow(_) => FailureKind::TooSlow,
            Self::Redirected => FailureKind::Redirected,
            Self::Unauthorized(_) => FailureKind::Unauthorized,
            Self::OldTransport => FailureKind::OldTransport,
            Self::Unreadable(_) => FailureKind::Unreadable,
        }
    }
}

/// The kinds of failures: those of [`Failure`], and replies that broke off after they had begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "see `Failure`")]
pub enum FailureKind {
    Unreachable,
    Untrusted,
    Busy,
    GrantBusy,
    Broken,
    /// The connection broke within a reply.
    CutShort,
    TooSlow,
    Redirected,
    Unauthorized,
    OldTransport,
    /// A reply that cannot be passed on, or that shows a list of tools without a request for one.
    Unreadable,
}

impl FailureKind {
    /// Every kind.
    pub const ALL: [Self; 11] = [
        Self::Unreachable,
        Self::Untrusted,
        Self::Busy,
        Self::GrantBusy,
        Self::Broken,
        Self::CutShort,
        Self::TooSlow,
        Self::Redirected,
        Self::Unauthorized,
        Self::OldTransport,
        Self::Unreadable,
    ];

    /// The word that metrics use.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::Untrusted => "untrusted",
            Self::Busy => "busy",
            Self::GrantBusy => "grant_busy",
            Self::Broken => "broken",
            Self::CutShort => "cut_short",
            Self::TooSlow => "too_slow",
            Self::Redirected => "redirected",
            Self::Unauthorized => "unauthorized",
            Self::OldTransport => "old_transport",
            Self::Unreadable => "unreadable",
        }
    }
}

/// The error of a server's certificate, if that is the cause.
fn rejected<'e>(error: &'e (dyn Error + 'static)) -> Option<&'e CertificateError> {
    let mut cause: Option<&'e (dyn Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(rustls::Error::InvalidCertificate(reason)) = error.downcast_ref() {
            return Some(reason);
        }
        // An error of I/O names as its cause not what it wraps, but the cause of that.
        cause = match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(wrapped) => Some(wrapped),
            None => error.source(),
        };
    }
    None
}

/// Advice about a certificate that is not trusted. Short, because a line of the log has to end.
fn told(reason: &CertificateError) -> String {
    match reason {
        CertificateError::UnknownIssuer => "it is of no authority that is trusted; check `ca`".to_owned(),
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "it is for another host than that of `url`".to_owned()
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "it has expired; let the server renew it".to_owned()
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "it is not valid yet; check the clocks".to_owned()
        }
        other => other.to_string(),
    }
}

/// An error with what caused it, for an operator: libraries keep the reason in the cause.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.contains(&next) {
            text.push_str(": ");
            text.push_str(&next);
        }
        cause = error.source();
    }
    without_numbers(&text)
}

/// A text of the system without ` (os error 111)`, which says the same once more.
fn without_numbers(text: &str) -> String {
    let mut parts = text.split(" (os error ");
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        plain.push_str(part.split_once(')').map_or("", |(_, rest)| rest));
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_has_no_number_of_the_system() {
        let refused = io::Error::from_raw_os_error(111);
        assert!(refused.to_string().contains("os error"));
        let text = chain(&io::Error::other(refused));
        assert_eq!(text, "Connection refused");
    }

    #[test]
    fn a_certificate_is_found_however_deep_it_is_wrapped() {
        let refused = rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer);
        let wrapped = io::Error::other(io::Error::new(io::ErrorKind::InvalidData, refused));
        assert_eq!(rejected(&wrapped), Some(&CertificateError::UnknownIssuer));
        for other in [
            io::Error::other("x"),
            io::Error::from(io::ErrorKind::TimedOut),
            io::Error::other(rustls::Error::DecryptError),
        ] {
            assert_eq!(rejected(&other), None, "{other}");
        }
    }

    #[test]
    fn every_kind_has_a_word_of_its_own() {
        let words: std::collections::HashSet<_> =
            FailureKind::ALL.into_iter().map(FailureKind::as_str).collect();
        assert_eq!(words.len(), FailureKind::ALL.len());
        assert!(FailureKind::ALL.contains(&Failure::Busy(1).kind()));
    }
}
