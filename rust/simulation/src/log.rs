//! Exact logs of admissions: what a single counter without any delay would know.

use std::collections::VecDeque;

/// Stamps of the units in one window, all of one unit.
#[derive(Clone, Debug)]
pub struct ExactLog {
    stamps: VecDeque<u64>,
    window_us: u64,
    max: usize,
}

impl ExactLog {
    /// No units yet.
    pub const fn new(window_us: u64, max: usize) -> Self {
        Self {
            stamps: VecDeque::new(),
            window_us,
            max,
        }
    }

    /// True if one more unit fits at this time, which is not before that of an earlier call.
    pub fn has_room(&mut self, now_us: u64) -> bool {
        // A unit of time `s` counts while `now - s < window` (docs/policy.md section 4).
        while self
            .stamps
            .front()
            .is_some_and(|stamp| stamp + self.window_us <= now_us)
        {
            self.stamps.pop_front();
        }
        self.stamps.len() < self.max
    }

    /// Adds a unit. False if the window that ends now holds more than `max` units with it.
    pub fn add(&mut self, now_us: u64) -> bool {
        let has_room = self.has_room(now_us);
        self.stamps.push_back(now_us);
        has_room
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_counts_for_one_window() {
        let mut log = ExactLog::new(10, 2);
        assert!(log.add(0) && log.add(5));
        assert!(!log.has_room(9));
        assert!(log.has_room(10), "the first has ended");
        assert!(log.add(10));
        assert!(!log.add(14), "three within ten");
    }
}
