//! Until when a caller waits: the `grpc-timeout` of a request.

use std::time::{Duration, Instant};

use http::HeaderMap;
use tonic::Status;

const GRPC_TIMEOUT: &str = "grpc-timeout";
/// Digits that the gRPC protocol allows.
const MAX_DIGITS: usize = 8;

/// A moment after which nobody waits for the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Deadline(Instant);

impl Deadline {
    /// The deadline of a request that has just come, if it has one.
    pub(crate) fn of(headers: &HeaderMap) -> Result<Option<Self>, Status> {
        let Some(value) = headers.get(GRPC_TIMEOUT) else {
            return Ok(None);
        };
        let timeout = parse(value.as_bytes()).ok_or_else(|| {
            Status::invalid_argument(
                "expected `grpc-timeout` as at most 8 digits and one of H, M, S, m, u, n",
            )
        })?;
        // A deadline that no clock can show is none.
        Ok(Instant::now().checked_add(timeout).map(Self))
    }

    pub(crate) const fn at(self) -> Instant {
        self.0
    }

    pub(crate) fn is_over(self) -> bool {
        Instant::now() >= self.0
    }

    pub(crate) fn left(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }
}

/// The status of a call whose deadline is over: it was not decided, so nothing was taken.
pub(crate) fn over() -> Status {
    Status::deadline_exceeded("the deadline was over before the call was decided")
}

fn parse(value: &[u8]) -> Option<Duration> {
    let (unit, digits) = value.split_last()?;
    if digits.is_empty() || digits.len() > MAX_DIGITS || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let amount: u64 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    match unit {
        b'H' => Some(Duration::from_secs(amount * 3_600)),
        b'M' => Some(Duration::from_secs(amount * 60)),
        b'S' => Some(Duration::from_secs(amount)),
        b'm' => Some(Duration::from_millis(amount)),
        b'u' => Some(Duration::from_micros(amount)),
        b'n' => Some(Duration::from_nanos(amount)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_are_read_as_the_protocol_says() {
        assert_eq!(parse(b"1H"), Some(Duration::from_secs(3_600)));
        assert_eq!(parse(b"2M"), Some(Duration::from_secs(120)));
        assert_eq!(parse(b"3S"), Some(Duration::from_secs(3)));
        assert_eq!(parse(b"4m"), Some(Duration::from_millis(4)));
        assert_eq!(parse(b"5u"), Some(Duration::from_micros(5)));
        assert_eq!(parse(b"0n"), Some(Duration::ZERO));
        assert_eq!(parse(b"99999999H"), Some(Duration::from_secs(99_999_999 * 3_600)));
        for wrong in [
            &b""[..],
            b"H",
            b"1",
            b"100000000m",
            b"+1S",
            b"-1S",
            b"1.5S",
            b"1s",
            b"1 S",
            b"\xff1S",
        ] {
            assert_eq!(parse(wrong), None, "{wrong:?}");
        }
    }
}
