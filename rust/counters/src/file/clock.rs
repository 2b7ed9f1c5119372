//! The clock that goes on: from the clocks of this boot to the one on which stamps are.

/// The clocks of the machine at one moment, read by whoever owns clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockReading {
    /// The kernel's id of this boot (`/proc/sys/kernel/random/boot_id`), other in a time namespace with another boot clock.
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

    /// The engine's time at `reading`: never later than time has really passed, where the clocks are right.
    ///
    /// Within a boot its clock alone decides, so a step of the wall clock while nobody looked refills nothing.
    ///
    /// Another id says that the machine was rebooted, or that it is another one, or that a container runtime gives each
    /// start an id of its own on the boot clock of a host that went on. Of a boot clock that shows less than it did
    /// nothing is known, and the wall clock decides. One that shows more may have gone on, or be of a boot that was
    /// longer ago than its difference: that difference has passed, unless the machine is another one. So the wall
    /// clock has a say there as well.
    pub(crate) fn resume_us(&self, reading: &ClockReading) -> u64 {
        let on_the_wall_us = reading.unix_us.saturating_sub(self.reading.unix_us);
        let passed_us = match reading.boot_us.checked_sub(self.reading.boot_us) {
            Some(went_on_us) if self.is_of_boot(reading) => went_on_us,
            Some(went_on_us) => went_on_us.min(on_the_wall_us),
            None => on_the_wall_us,
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
    fn after_a_reboot_the_wall_clock_decides() {
        for (boot_us, unix_us, passed_us) in [
            (HOUR_US, 1_004 * HOUR_US, 4 * HOUR_US),
            (9 * HOUR_US, 1_004 * HOUR_US, 4 * HOUR_US),
            (HOUR_US, 900 * HOUR_US, 0),
            (0, 0, 0),
        ] {
            let later = reading(2, boot_us, unix_us);
            assert_eq!(RECORD.resume_us(&later), RECORD.engine_us + passed_us);
        }
    }

    #[test]
    fn another_id_on_a_boot_clock_that_went_on_adds_no_uptime() {
        for (boot_us, unix_us, passed_us) in [
            // A container that was started again, also while the wall clock was set.
            (10 * HOUR_US + 5, 1_000 * HOUR_US + 5, 5),
            (10 * HOUR_US + 5, 9_000 * HOUR_US, 5),
            (10 * HOUR_US + 5, 900 * HOUR_US, 0),
            // Another machine, or a reboot so long ago that this boot is older than the last one was.
            (50 * HOUR_US, 1_001 * HOUR_US, HOUR_US),
            (12 * HOUR_US, 1_100 * HOUR_US, 2 * HOUR_US),
        ] {
            let later = reading(2, boot_us, unix_us);
            assert_eq!(RECORD.resume_us(&later), RECORD.engine_us + passed_us);
        }
    }

    #[test]
    fn a_boot_clock_that_shows_less_is_another_one() {
        let namespace = reading(1, HOUR_US, 1_002 * HOUR_US);
        assert!(!RECORD.is_of_boot(&namespace));
        assert_eq!(RECORD.resume_us(&namespace), 72 * HOUR_US);
    }
}
