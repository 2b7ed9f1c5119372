//! The allowance of frames of one kind that a client may send.

use std::time::Instant;

/// So many at once, so many a second, and more that the client has earned.
#[derive(Debug)]
pub(super) struct Allowance {
    most: u64,
    per_second: u64,
    most_earned: u64,
    left: u64,
    earned: u64,
    /// Until when `left` was filled up.
    filled_at: Instant,
}

impl Allowance {
    pub(super) const fn new(most: u64, per_second: u64, most_earned: u64, now: Instant) -> Self {
        Self {
            most,
            per_second,
            most_earned,
            left: most,
            earned: 0,
            filled_at: now,
        }
    }

    /// Adds frames to the allowance, which are used once the rest of it is used up.
    pub(super) fn earn(&mut self, frames: u64) {
        self.earned = self.earned.saturating_add(frames).min(self.most_earned);
    }

    /// Takes so many; `false` if they are more than the client may send.
    pub(super) fn spend(&mut self, frames: u64, now: Instant) -> bool {
        self.fill(now);
        let beyond = frames.saturating_sub(self.left);
        self.left = self.left.saturating_sub(frames);
        match self.earned.checked_sub(beyond) {
            Some(earned) => {
                self.earned = earned;
                true
            }
            None => false,
        }
    }

    fn fill(&mut self, now: Instant) {
        let elapsed = now.saturating_duration_since(self.filled_at).as_micros();
        let due = elapsed.saturating_mul(self.per_second.into()) / 1_000_000;
        // Not moved before a whole one is due, or short steps would come to nothing.
        if due > 0 {
            let due = u64::try_from(due).unwrap_or(u64::MAX);
            self.left = self.left.saturating_add(due).min(self.most);
            self.filled_at = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const MOST: u64 = 100;
    const PER_SECOND: u64 = 10;
    const MOST_EARNED: u64 = 1_000;

    fn allowance() -> (Allowance, Instant) {
        let begin = Instant::now();
        (Allowance::new(MOST, PER_SECOND, MOST_EARNED, begin), begin)
    }

    #[test]
    fn so_many_at_once_and_a_second() {
        let (mut allowance, begin) = allowance();
        assert!(allowance.spend(MOST, begin));
        assert!(!allowance.spend(1, begin));
        // In steps that are shorter than one frame takes.
        for millis in (50..=1_000).step_by(50) {
            allowance.fill(begin + Duration::from_millis(millis));
        }
        let later = begin + Duration::from_secs(1);
        assert!(allowance.spend(PER_SECOND, later));
        assert!(!allowance.spend(1, later));
        // A long silence is worth no more than the beginning.
        let much_later = begin + Duration::from_secs(1_000_000);
        assert!(allowance.spend(MOST, much_later));
        assert!(!allowance.spend(1, much_later));
    }

    #[test]
    fn what_is_earned_comes_on_top_and_is_bounded() {
        let (mut allowance, begin) = allowance();
        allowance.earn(5);
        assert!(allowance.spend(MOST + 5, begin));
        assert!(!allowance.spend(1, begin));
        allowance.earn(u64::MAX);
        allowance.earn(u64::MAX);
        assert!(allowance.spend(MOST_EARNED, begin));
        assert!(!allowance.spend(1, begin));
    }

    #[test]
    fn a_clock_that_goes_back_gives_nothing() {
        let (mut allowance, begin) = allowance();
        let later = begin + Duration::from_secs(5);
        assert!(allowance.spend(MOST, later));
        assert!(!allowance.spend(1, begin));
    }
}
