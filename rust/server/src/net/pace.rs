//! The pace at which one fault of the listener is reported: it may occur many times a second, for hours.

use std::time::{Duration, Instant};

/// The time after which a lasting fault is reported again.
const PERIOD: Duration = Duration::from_secs(10);

/// The time of the last report of a fault, and its occurrences since.
#[derive(Debug, Default)]
pub(super) struct Pace {
    told: Option<Instant>,
    times: u64,
}

impl Pace {
    /// Counts an occurrence; returns the occurrences since the last report if one is due now.
    pub(super) fn admit(&mut self, now: Instant) -> Option<u64> {
        self.times += 1;
        if self
            .told
            .is_some_and(|told| now.saturating_duration_since(told) < PERIOD)
        {
            return None;
        }
        self.told = Some(now);
        Some(std::mem::take(&mut self.times))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trouble_is_told_once_in_a_period() {
        let (begin, mut pace) = (Instant::now(), Pace::default());
        assert_eq!(pace.admit(begin), Some(1));
        for millis in 1..100 {
            assert_eq!(pace.admit(begin + Duration::from_millis(100 * millis)), None);
        }
        assert_eq!(pace.admit(begin + PERIOD), Some(100));
        assert_eq!(pace.admit(begin + PERIOD), None);
    }
}
