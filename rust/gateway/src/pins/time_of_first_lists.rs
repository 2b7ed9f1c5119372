//! The time in which further variants may have first lists of their own.

/// The time that a clock may be set back, or the clocks of two machines differ, before the time is over for good.
const TOLERANCE_S: u64 = 300;

/// The latest time that was seen is written at least this often.
const WRITTEN_EVERY_S: u64 = 3_600;

/// The time for first lists, as the file keeps it: wall time in seconds since 1970.
///
/// Once over it stays over, even if the clock is set back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct FirstLists {
    /// The time at which the server's first whole list was seen.
    pub(super) began_at_unix_s: Option<u64>,
    /// The latest time that was seen since.
    pub(super) seen_at_unix_s: u64,
    /// True if no further first list is accepted.
    pub(super) is_over: bool,
}

impl FirstLists {
    /// Starts the time when the server's first whole list was seen.
    pub(super) fn begin(&mut self, now_unix_s: u64) {
        if self.began_at_unix_s.is_none() {
            self.began_at_unix_s = Some(now_unix_s);
            self.seen_at_unix_s = now_unix_s;
        }
    }

    /// Goes on to `now`. The time is over `length_s` after it began, and where the clock was set back: nobody knows how
    /// long ago that was then.
    pub(super) fn go_on(&mut self, now_unix_s: u64, length_s: u64) {
        let Some(began) = self.began_at_unix_s else { return };
        let was_set_back = now_unix_s.saturating_add(TOLERANCE_S) < self.seen_at_unix_s;
        self.seen_at_unix_s = self.seen_at_unix_s.max(now_unix_s);
        self.is_over |= was_set_back || self.seen_at_unix_s.saturating_sub(began) >= length_s;
    }

    /// Combines what two processes know.
    pub(super) fn with(self, other: Self) -> Self {
        let began = [self.began_at_unix_s, other.began_at_unix_s];
        Self {
            began_at_unix_s: began.into_iter().flatten().min(),
            seen_at_unix_s: self.seen_at_unix_s.max(other.seen_at_unix_s),
            is_over: self.is_over || other.is_over,
        }
    }

    /// Returns true if a file with `self` needs not be written for `other`.
    pub(super) const fn is_written_like(self, other: Self) -> bool {
        let apart_s = self.seen_at_unix_s.abs_diff(other.seen_at_unix_s);
        let is_same_begin = match (self.began_at_unix_s, other.began_at_unix_s) {
            (Some(one), Some(another)) => one == another,
            (None, None) => true,
            _ => false,
        };
        is_same_begin && self.is_over == other.is_over && (self.is_over || apart_s < WRITTEN_EVERY_S)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY_S: u64 = 24 * 3600;
    const NOW: u64 = 1_800_000_000;

    fn begun() -> FirstLists {
        let mut time = FirstLists::default();
        time.begin(NOW);
        time
    }

    #[test]
    fn it_is_over_after_its_length() {
        let mut time = FirstLists::default();
        time.go_on(NOW, 0);
        assert!(!time.is_over, "it has not begun");
        time.begin(NOW);
        time.begin(NOW + 10);
        time.go_on(NOW + DAY_S - 1, DAY_S);
        assert!(!time.is_over);
        time.go_on(NOW + DAY_S, DAY_S);
        assert!(time.is_over);
        time.go_on(NOW + 10, DAY_S);
        time.go_on(NOW + 10, 100 * DAY_S);
        assert!(time.is_over, "it stays over");
        let mut none = begun();
        none.go_on(NOW, 0);
        assert!(none.is_over);
    }

    #[test]
    fn a_clock_that_is_set_back_ends_it() {
        let mut time = begun();
        time.go_on(NOW - TOLERANCE_S, DAY_S);
        assert!(!time.is_over, "clocks are corrected");
        time.go_on(NOW + 7_200, DAY_S);
        time.go_on(NOW + 7_200 - TOLERANCE_S - 1, DAY_S);
        assert!(time.is_over);
        // Small steps back do not add up: the latest time counts.
        let mut time = begun();
        for step in 1..=DAY_S {
            time.go_on(NOW + step, DAY_S);
            time.go_on(NOW + step - 1, DAY_S);
        }
        assert!(time.is_over);
    }

    #[test]
    fn two_processes_know_the_earlier_begin_and_the_later_time() {
        let mut early = begun();
        let mut late = FirstLists::default();
        late.begin(NOW + 5);
        early.go_on(NOW + 3, DAY_S);
        let both = FirstLists {
            began_at_unix_s: Some(NOW),
            seen_at_unix_s: NOW + 5,
            is_over: false,
        };
        assert_eq!((early.with(late), late.with(early)), (both, both));
        assert_eq!(FirstLists::default().with(early), early);
        late.is_over = true;
        assert!(early.with(late).is_over);
        assert!(early.is_written_like(both) && !both.is_written_like(late));
        early.seen_at_unix_s += WRITTEN_EVERY_S + 2;
        assert!(!both.is_written_like(early));
    }
}
