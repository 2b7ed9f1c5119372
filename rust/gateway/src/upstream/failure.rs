//! Why there is no reply.

use std::error::Error;

/// Why there is no reply of a server that could be passed on.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Nothing of the request has left: there is no connection.
    #[error("the server cannot be reached: {0}")]
    Unreachable(String),
    /// As many requests are open as the configuration allows; nothing of this one has left.
    #[error("the server has {0} requests open, as many as are allowed at once")]
    Busy(usize),
    /// The connection broke before there was a reply.
    #[error("the connection to the server broke before it answered: {0}")]
    Broken(String),
    /// No reply in time.
    #[error("the server did not answer within {0} ms")]
    TooSlow(u64),
    /// The reply leads elsewhere.
    #[error(
        "the server answers with a redirect, which is not followed to another host; configure the URL that it leads to"
    )]
    Redirected,
    /// The server does not believe the gateway.
    #[error(
        "the server refuses the gateway's own credentials (status {0}); check the headers configured for it"
    )]
    Unauthorized(u16),
}

impl Failure {
    /// Whether nothing of the request can have reached the server.
    pub const fn never_reached(&self) -> bool {
        matches!(self, Self::Unreachable(_) | Self::Busy(_))
    }
}

/// An error with what caused it, for an operator: libraries keep the reason in the cause.
pub(super) fn chain(error: &dyn Error) -> String {
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
    text
}
