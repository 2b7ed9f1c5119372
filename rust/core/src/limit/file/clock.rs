//! The clock that goes on: from the clocks of this boot to the one on which stamps are.

/// The clocks of the machine at one moment, read by whoever owns clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockReading {
    /// The kernel's id of this boot (`/proc/sys/kernel/random/boot_id`).
    pub boot_id: [u8; 16],
    /// `CLOCK_BOOTTIME` in microseconds.
    pub boot_us: u64,
    /// Unix time in microseconds.
    pub unix_us: u64,
}

/// A reading, and the engine's time at that moment: that on which stamps are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ClockRecord {
    /// The engine's microseconds.
    pub(crate) engine_us: u64,
    /// The machine's clocks.
    pub(crate) reading: ClockReading,
}

impl ClockRecord {
    /// True when `reading` is of the boot in which this was recorded.
    ///
    /// A boot clock that shows less than it did is another one, whatever the id says (a time namespace).
    pub(crate) fn is_of_boot(&self, reading: &ClockReading) -> bool {
        self.reading.boot_id == reading.boot_id && self.reading.boot_us <= reading.boot_us
    }

    /// The engine's time at `reading`.
    ///
    /// Within a boot its clock alone decides, so a step of the wall clock while nobody looked refills nothing. From
    /// another boot at least the time since this one began has passed, and what the wall clock says where that is more.
    pub(crate) fn resume_us(&self, reading: &ClockReading) -> u64 {
        let passed_us = if self.is_of_boot(reading) {
            reading.boot_us - self.reading.boot_us
        } else {
            let on_the_wall_us = reading.unix_us.saturating_sub(self.reading.unix_us);
            on_the_wall_us.max(reading.boot_us)
        };
        self.engine_us.saturating_add(passed_us)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR_US: u64 = 3_600_000_000;

    fn reading(boot: u8, boot_us: u64, unix_us: u64) -> ClockReading {
        ClockReading {
            boot_id: [boot; 16],
            boot_us,
            unix_us,
        }
    }

    const RECORD: ClockRecord = ClockRecord {
        engine_us: 70 * HOUR_US,
        reading: ClockReading {
            boot_id: [1; 16],
            boot_us: 10 * HOUR_US,
            unix_us: 1_000 * HOUR_US,
        },
    };

    #[test]
    fn within_a_boot_the_wall_clock_says_nothing() {
        for unix_us in [0, 999 * HOUR_US, 1_000 * HOUR_US, 9_000 * HOUR_US] {
            let later = reading(1, 10 * HOUR_US + 5, unix_us);
            assert_eq!(RECORD.resume_us(&later), 70 * HOUR_US + 5);
        }
    }

    #[test]
    fn after_a_reboot_the_larger_of_wall_time_and_uptime_has_passed() {
        assert_eq!(
            RECORD.resume_us(&reading(2, HOUR_US, 1_004 * HOUR_US)),
            74 * HOUR_US
        );
        assert_eq!(
            RECORD.resume_us(&reading(2, HOUR_US, 900 * HOUR_US)),
            71 * HOUR_US,
            "set back while down"
        );
        assert_eq!(
            RECORD.resume_us(&reading(2, 0, 0)),
            70 * HOUR_US,
            "never backwards"
        );
    }

    #[test]
    fn a_boot_clock_that_shows_less_is_another_one() {
        let namespace = reading(1, HOUR_US, 1_002 * HOUR_US);
        assert!(!RECORD.is_of_boot(&namespace));
        assert_eq!(RECORD.resume_us(&namespace), 72 * HOUR_US);
    }
}
