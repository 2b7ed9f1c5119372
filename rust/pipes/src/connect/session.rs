//! The state of a session.

use bytes::Bytes;
use http::HeaderValue;

/// The state of a session. It stays empty in protocol versions from 2026-07-28 on, which have no sessions.
#[derive(Clone, Debug, Default)]
pub(super) struct Session {
    /// The id that the server gave the session.
    pub(super) id: Option<HeaderValue>,
    /// The protocol version that both have agreed on.
    pub(super) version: Option<HeaderValue>,
    /// The server's own stream was asked for.
    pub(super) is_listening: bool,
    pub(super) opening: Opening,
}

/// The lines that a client begins with, to be said again where the server ends the session.
#[derive(Clone, Debug, Default)]
pub(super) struct Opening {
    pub(super) initialize: Option<Bytes>,
    pub(super) initialized: Option<Bytes>,
}
