//! The bounds of what callers may use up: sizes, numbers and times.

use crate::error::StartError;

/// Longest time to live of a quota, and longest margin: so that stamps are at most `MOST_AHEAD_US` ahead.
const LONGEST_QUOTA_TTL_S: u64 = 60;
const LONGEST_QUOTA_MARGIN_US: u64 = 10_000_000;

/// Time between two reports of Envoy about quotas.
const QUOTA_REPORT_US: u64 = 5_000_000;

/// The flow-control window of one HTTP/2 stream: the most that a client may send before it is read. A stream whose
/// answers are not taken is not read either.
pub(crate) const STREAM_WINDOW_BYTES: u32 = 256 * 1024;

/// Declares the bounds, each once with its type and its default.
macro_rules! limits {
    ($($(#[$meaning:meta])* $key:ident: $type:ty = $default:expr,)+) => {
        /// The bounds of what callers may use up. The defaults are those of `callgate serve`; every value is at least 1.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct Limits {
            $($(#[$meaning])* pub $key: $type,)+
        }

        impl Default for Limits {
            fn default() -> Self {
                Self { $($key: $default,)+ }
            }
        }

        impl Limits {
            /// The bound of this name, if there is one.
            pub fn get_mut(&mut self, name: &str) -> Option<LimitMut<'_>> {
                match name {
                    $(stringify!($key) => Some((&mut self.$key).into()),)+
                    _ => None,
                }
            }

            /// Refuses a limit of 0: such a server would serve nobody.
            pub(crate) fn check(&self) -> Result<(), StartError> {
                $(
                    if self.$key == 0 {
                        return Err(StartError::Limit { name: stringify!($key) });
                    }
                )+
                Ok(())
            }
        }
    };
}

/// One bound, to be changed.
#[derive(Debug)]
pub enum LimitMut<'a> {
    /// A size or a number in memory.
    Usize(&'a mut usize),
    /// A size or a number of a protocol.
    U32(&'a mut u32),
    /// A time.
    U64(&'a mut u64),
}

impl<'a> From<&'a mut usize> for LimitMut<'a> {
    fn from(limit: &'a mut usize) -> Self {
        Self::Usize(limit)
    }
}

impl<'a> From<&'a mut u32> for LimitMut<'a> {
    fn from(limit: &'a mut u32) -> Self {
        Self::U32(limit)
    }
}

impl<'a> From<&'a mut u64> for LimitMut<'a> {
    fn from(limit: &'a mut u64) -> Self {
        Self::U64(limit)
    }
}

limits! {
    /// Largest gRPC message and HTTP body, in bytes.
    body_limit_bytes: usize = 4 * 1024 * 1024,
    /// Largest header of one HTTP/2 request, in bytes of its fields.
    header_limit_bytes: u32 = 16 * 1024,
    /// Bytes held at once, over every connection: unfinished messages and bodies, lists of tools until they are
    /// complete, large answers that wait for their clients, and requests whose calls wait for people's answers. A
    /// quarter of it is for the first 16 KiB of each message. One connection gets an eighth of it, or one body if that
    /// is more, and half of that quarter.
    unfinished_limit_bytes: usize = 256 * 1024 * 1024,
    /// Connections open at once, over TCP and the socket together; more wait to be accepted.
    max_connections: usize = 10_000,
    /// Streams open at once on one HTTP/2 connection; more are refused.
    max_streams: u32 = 1_024,
    /// Calls of one `CheckBatch`.
    max_batch_calls: usize = 1_000,
    /// Longest time of one message or body from its begin to its end, in milliseconds.
    message_timeout_ms: u64 = 30_000,
    /// Longest time of a new connection to say which HTTP it speaks, in milliseconds.
    opening_timeout_ms: u64 = 10_000,
    /// Longest wait for a whole header over HTTP/1.1 from its first byte on, in milliseconds.
    header_timeout_ms: u64 = 20_000,
    /// The time for which a connection over HTTP/1.1 is kept between two requests, in milliseconds. Clients are told
    /// five seconds less. Longer than the usual time of proxies and HTTP libraries, so that the client closes the
    /// connection: Go's clients, and so Traefik, keep theirs for 90 s; nginx does for 60 s.
    idle_timeout_ms: u64 = 100_000,
    /// Time between two pings of an HTTP/2 client, in milliseconds.
    keepalive_interval_ms: u64 = 30_000,
    /// Longest time for its answer to a ping, in milliseconds.
    keepalive_timeout_ms: u64 = 20_000,
    /// Time for which an Envoy may use a quota before it has to be renewed, in milliseconds; whole seconds of it count.
    quota_ttl_ms: u64 = 15_000,
    /// Longest time that a message about quotas may take, in milliseconds: a quota is counted for so much longer.
    quota_margin_ms: u64 = 2_000,
}

impl Limits {
    /// Time to live of a quota in seconds: Envoy reads whole ones.
    pub(crate) fn quota_ttl_s(&self) -> u64 {
        (self.quota_ttl_ms / 1_000).clamp(1, LONGEST_QUOTA_TTL_S)
    }

    /// The margin of quotas in microseconds.
    pub(crate) fn quota_margin_us(&self) -> u64 {
        self.quota_margin_ms
            .saturating_mul(1_000)
            .min(LONGEST_QUOTA_MARGIN_US)
    }

    /// The time after which a quota that is lent now has ended, and every report about it has come, in microseconds.
    pub(crate) fn quota_ahead_us(&self) -> u64 {
        self.quota_ttl_s() * 1_000_000 + 2 * self.quota_margin_us() + QUOTA_REPORT_US
    }
}
