//! The instant of a decision, as an argument: the core never reads a clock.

/// One instant on the boot clock, with the fixed distance from there to Unix time.
///
/// Sliding windows run on the boot clock, so that steps of the wall clock neither refill nor freeze them;
/// calendar windows, `time.*` paths and `decided_at_us` use Unix time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Nanoseconds on a clock that never steps back (`CLOCK_BOOTTIME`).
    pub boot_ns: u64,
    /// Unix time minus boot time, in microseconds.
    pub unix_offset_us: i64,
}

impl Now {
    /// A clock whose boot time is Unix time itself, for tests and simulation: `unix_us` microseconds since 1970.
    pub const fn from_unix_us(unix_us: u64) -> Self {
        Self {
            boot_ns: unix_us * 1_000,
            unix_offset_us: 0,
        }
    }

    /// The boot time at which counters are looked at: rounded down, so nothing is free too early.
    pub const fn look_us(self) -> u64 {
        self.boot_ns / 1_000
    }

    /// The boot time with which an admission is stamped: rounded up, so it is never free too early.
    pub const fn stamp_us(self) -> u64 {
        self.boot_ns.div_ceil(1_000)
    }

    /// Unix microseconds of a boot-clock instant given in microseconds; 1970 for anything before it.
    pub const fn unix_us_of(self, boot_us: u64) -> u64 {
        boot_us.saturating_add_signed(self.unix_offset_us)
    }

    /// Unix microseconds of this instant, rounded down.
    pub const fn unix_us(self) -> u64 {
        self.unix_us_of(self.look_us())
    }
}
