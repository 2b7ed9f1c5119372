//! The pace at which one kind of denial or refusal is logged.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// Denials of one rule, or refusals of one kind, that are logged within one second; the rest of the second is only counted.
const LOGGED_PER_SECOND: u32 = 10;

/// Counts within the current second.
///
/// Two threads that meet a new second at once may let a few denials more or fewer through: it is a bound for logs.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    second: AtomicU64,
    logged: AtomicU32,
    suppressed: AtomicU64,
}

impl Pace {
    /// Returns true if this denial, in this second, is logged; else it counts as suppressed.
    pub(crate) fn admits(&self, second: u64) -> bool {
        // Relaxed throughout: the fields are counts that publish nothing else, and being a little off is harmless.
        let known = self.second.load(Ordering::Relaxed);
        if known != second
            && self
                .second
                .compare_exchange(known, second, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
        {
            self.logged.store(0, Ordering::Relaxed);
        }
        // Looked at before it is added to, so that a long flood within one second cannot wrap it around.
        let admitted = self.logged.load(Ordering::Relaxed) < LOGGED_PER_SECOND
            && self.logged.fetch_add(1, Ordering::Relaxed) < LOGGED_PER_SECOND;
        if !admitted {
            self.suppressed.fetch_add(1, Ordering::Relaxed);
        }
        admitted
    }

    /// Takes the number of those suppressed since the last call.
    pub(crate) fn take_suppressed(&self) -> u64 {
        // Relaxed, as in `admits`. Most rules have none: a load leaves their cache line shared.
        if self.suppressed.load(Ordering::Relaxed) == 0 {
            0
        } else {
            self.suppressed.swap(0, Ordering::Relaxed)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_each_second() {
        let pace = Pace::default();
        let admitted = |second| (0..25).filter(|_| pace.admits(second)).count();
        assert_eq!(admitted(7), 10);
        assert_eq!(pace.take_suppressed(), 15);
        assert_eq!(admitted(8), 10);
        assert_eq!(pace.take_suppressed(), 15);
        assert_eq!(pace.take_suppressed(), 0);
    }
}
