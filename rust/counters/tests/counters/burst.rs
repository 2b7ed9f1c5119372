//! The burst that fixed windows let through, and ours.

use callgate_counters::{Counters, Now};

use crate::log::{Log, sliding};

const UNIT: u64 = 1_000_000;
const WINDOW_US: u64 = 60_000_000;
const MAX: u64 = 30;

/// A fixed window as most rate limiters keep it: a count that starts again at each multiple of the window.
#[derive(Default)]
struct FixedWindow {
    window: u64,
    used: u64,
}

impl FixedWindow {
    fn take(&mut self, now_us: u64) -> bool {
        if now_us / WINDOW_US != self.window {
            (self.window, self.used) = (now_us / WINDOW_US, 0);
        }
        self.used += 1;
        self.used <= MAX
    }
}

#[test]
fn a_fixed_window_lets_twice_max_through_across_its_boundary_and_ours_does_not() {
    // An agent in a loop, ten calls a second, from five seconds before a minute turns to five seconds after.
    let calls = (0..100).map(|call| 10 * WINDOW_US - 5_000_000 + call * 100_000);
    let (mut fixed, mut fixed_log, mut our_log) = (FixedWindow::default(), Log::default(), Log::default());
    let counters = Counters::new(10, 10, &[1; 16]);
    for now_us in calls {
        if fixed.take(now_us) {
            fixed_log.entries.push((now_us, UNIT));
        }
        let mut demands = [sliding(1, WINDOW_US, MAX * UNIT, UNIT, true)];
        if let Ok(stamp_us) = counters.take(&mut demands, "g", Now::from_unix_us(now_us)) {
            our_log.entries.push((stamp_us, UNIT));
        }
    }
    assert_eq!(
        fixed_log.worst_interval(WINDOW_US),
        2 * MAX * UNIT,
        "within ten seconds"
    );
    assert_eq!(our_log.worst_interval(WINDOW_US), MAX * UNIT);
}
