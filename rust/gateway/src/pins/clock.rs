//! The wall clock, as pins read it.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A clock in milliseconds since 1970.
#[derive(Clone)]
pub(super) struct WallClock(Arc<dyn Fn() -> u64 + Send + Sync>);

impl WallClock {
    /// The system's.
    pub(super) fn system() -> Self {
        Self(Arc::new(now_unix_ms))
    }

    /// One that a test sets.
    #[cfg(test)]
    pub(super) fn manual(now_unix_s: Arc<std::sync::atomic::AtomicU64>) -> Self {
        Self(Arc::new(move || {
            now_unix_s.load(std::sync::atomic::Ordering::SeqCst) * 1_000
        }))
    }

    /// Seconds since 1970.
    pub(super) fn now_unix_s(&self) -> u64 {
        (self.0)() / 1_000
    }
}

impl fmt::Debug for WallClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WallClock(..)")
    }
}

/// Seconds since 1970.
pub(super) fn now_unix_s() -> u64 {
    since_1970().as_secs()
}

/// Milliseconds since 1970.
pub(super) fn now_unix_ms() -> u64 {
    u64::try_from(since_1970().as_millis()).unwrap_or(u64::MAX)
}

fn since_1970() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
