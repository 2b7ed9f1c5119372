//! The bounds of what callers may use up: sizes, numbers and times.

use crate::error::StartError;

/// The flow-control window of one HTTP/2 stream: the most that a client may send before it is read. A stream whose
/// answers are not taken is not read either.
pub(crate) const STREAM_WINDOW_BYTES: u32 = 256 * 1024;

/// The bounds of what callers may use up. The defaults are those of `callgate serve`; every value is at least 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Largest gRPC message and HTTP body, in bytes.
    pub body_limit_bytes: usize,
    /// Largest header of one HTTP/2 request, in bytes of its fields.
    pub header_limit_bytes: u32,
    /// Bytes held at once, over every connection: unfinished messages and bodies, lists of tools until they are
    /// complete, and large answers that wait for their clients. A quarter of it is for the first 16 KiB of each
    /// message. One connection gets an eighth of it, or one body if that is more, and half of that quarter.
    pub unfinished_limit_bytes: usize,
    /// Connections open at once, over TCP and the socket together; more wait to be accepted.
    pub max_connections: usize,
    /// Streams open at once on one HTTP/2 connection; more are refused.
    pub max_streams: u32,
    /// Calls of one `CheckBatch`.
    pub max_batch_calls: usize,
    /// Longest time of one message or body from its begin to its end, in milliseconds.
    pub message_timeout_ms: u64,
    /// Longest time of a new connection to say which HTTP it speaks, in milliseconds.
    pub opening_timeout_ms: u64,
    /// Longest wait for a whole header over HTTP/1.1 from its first byte on, in milliseconds.
    pub header_timeout_ms: u64,
    /// The time for which a connection over HTTP/1.1 is kept between two requests, in milliseconds. Clients are told
    /// five seconds less. Longer than the usual time of proxies and HTTP libraries, so that the client closes the
    /// connection.
    pub idle_timeout_ms: u64,
    /// Time between two pings of an HTTP/2 client, in milliseconds.
    pub keepalive_interval_ms: u64,
    /// Longest time for its answer to a ping, in milliseconds.
    pub keepalive_timeout_ms: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_limit_bytes: 4 * 1024 * 1024,
            header_limit_bytes: 16 * 1024,
            unfinished_limit_bytes: 256 * 1024 * 1024,
            max_connections: 10_000,
            max_streams: 1_024,
            max_batch_calls: 1_000,
            message_timeout_ms: 30_000,
            opening_timeout_ms: 10_000,
            header_timeout_ms: 20_000,
            // Go's clients, and so Traefik, keep theirs for 90 s; nginx does for 60 s.
            idle_timeout_ms: 100_000,
            keepalive_interval_ms: 30_000,
            keepalive_timeout_ms: 20_000,
        }
    }
}

impl Limits {
    /// Refuses a limit of 0: such a server would serve nobody.
    pub(crate) fn check(&self) -> Result<(), StartError> {
        let values = [
            ("body_limit_bytes", self.body_limit_bytes == 0),
            ("header_limit_bytes", self.header_limit_bytes == 0),
            ("unfinished_limit_bytes", self.unfinished_limit_bytes == 0),
            ("max_connections", self.max_connections == 0),
            ("max_streams", self.max_streams == 0),
            ("max_batch_calls", self.max_batch_calls == 0),
            ("message_timeout_ms", self.message_timeout_ms == 0),
            ("opening_timeout_ms", self.opening_timeout_ms == 0),
            ("header_timeout_ms", self.header_timeout_ms == 0),
            ("idle_timeout_ms", self.idle_timeout_ms == 0),
            ("keepalive_interval_ms", self.keepalive_interval_ms == 0),
            ("keepalive_timeout_ms", self.keepalive_timeout_ms == 0),
        ];
        match values.into_iter().find(|&(_, is_zero)| is_zero) {
            Some((name, _)) => Err(StartError::Limit { name }),
            None => Ok(()),
        }
    }
}
