//! The instant of a decision, which is an argument: the core never reads a clock.

use serde::{Deserialize, Serialize};

/// One instant on the boot clock, with the fixed distance to Unix time.
///
/// Sliding windows run on the boot clock, so that steps of the wall clock neither refill nor freeze them; calendar
/// windows, `time.*` paths and `decided_at_us` use Unix time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Now {
    /// Nanoseconds on a clock that never steps back (`CLOCK_BOOTTIME`).
    pub boot_ns: u64,
    /// Unix time minus boot time, in microseconds.
    pub unix_offset_us: i64,
}

impl Now {
    /// A clock whose boot time equals Unix time, for tests and simulation: `unix_us` microseconds since 1970.
    pub const fn from_unix_us(unix_us: u64) -> Self {
        Self {
            boot_ns: unix_us * 1_000,
            unix_offset_us: 0,
        }
    }

    /// This instant, or the one at `boot_us` if that is later.
    #[cfg(not(loom))]
    pub(crate) fn not_before_us(self, boot_us: u64) -> Self {
        Self {
            boot_ns: self.boot_ns.max(boot_us.saturating_mul(1_000)),
            ..self
        }
    }

    /// The boot time for looking at counters: rounded down, so that nothing is free too early.
    pub const fn look_us(self) -> u64 {
        self.boot_ns / 1_000
    }

    /// The boot time for the stamp of an admission: rounded up, so that it is never free too early.
    pub const fn stamp_us(self) -> u64 {
        self.boot_ns.div_ceil(1_000)
    }

    /// The Unix time in microseconds of an instant on the boot clock in microseconds; 1970 for earlier instants.
    pub const fn unix_us_of(self, boot_us: u64) -> u64 {
        boot_us.saturating_add_signed(self.unix_offset_us)
    }

    /// The Unix time of this instant in microseconds, rounded down.
    pub const fn unix_us(self) -> u64 {
        self.unix_us_of(self.look_us())
    }
}
