//! The units in use of counts, and when they expire: for a store that goes on counting them.

use crate::cell::{Cell, Count, Layout};
use crate::cells::{Cells, is_idle, key_of_cell};
use crate::spaces::Hand;
use crate::{CountKey, Micros, Now};

/// Cells that are looked at while calls with new counts wait.
const AT_ONCE: usize = 64;

impl Cells {
    /// The counts of this node alone that have units in use, in no order. Calls go on meanwhile.
    pub(crate) fn in_use(&self, now: Now) -> Vec<CountKey> {
        let mut found = Vec::new();
        let mut hand = Hand::default();
        let mut left = self.lock().spaces.round();
        while left > 0 {
            let writer = self.lock();
            for _ in 0..AT_ONCE.min(left) {
                left -= 1;
                let cell = writer.spaces.next_used(&mut hand);
                let Some(cell) = cell.and_then(|at| self.blocks.cell(at)) else {
                    continue;
                };
                let is_leased = matches!(cell.layout(), Layout::Leased { .. });
                if !is_leased && !is_idle(cell, now) {
                    found.push(key_of_cell(cell));
                }
            }
        }
        found
    }

    /// The units of a count of this node alone that are in use, each with the microseconds until they expire; of a calendar
    /// window those of the present period, with 0.
    pub(crate) fn units_in_use(&self, key: CountKey, now: Now) -> Vec<(u64, Micros)> {
        let mut found = Vec::new();
        self.with(key, |cell| found = units_of(cell, now));
        found
    }
}

fn units_of(cell: Cell<'_>, now: Now) -> Vec<(u64, Micros)> {
    match (cell.layout(), cell.count()) {
        (Layout::Leased { .. }, _) => Vec::new(),
        (Layout::Slots { window_us, .. }, Count::Slots(slots)) => {
            let stamps = slots.live_stamps(now.look_us());
            stamps
                .map(|stamp_us| {
                    let until_us = stamp_us.saturating_add(window_us);
                    (until_us.saturating_sub(now.look_us()), Micros::ONE)
                })
                .collect()
        }
        (Layout::Calendar(_), Count::Ledger(ledger)) => {
            let units = ledger.live_entries(now).map(|(_, amount)| amount).sum();
            if units == 0 {
                Vec::new()
            } else {
                vec![(0, Micros(units))]
            }
        }
        (_, Count::Ledger(ledger)) => ledger.times_left(now),
        (_, Count::Slots(_)) => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use crate::{CountKey, CountShape, Counters, Demand, Micros, Now, Period, Sharing, Window};

    fn demand(key: u128, window: Window, max: u64, cost: Micros, sharing: Sharing) -> Demand {
        let shape = CountShape {
            window,
            max: Micros(max * Micros::ONE.0),
            whole_units: cost.0.is_multiple_of(Micros::ONE.0),
            sharing,
        };
        Demand::new(CountKey(key), shape, cost)
    }

    const SECOND: Window = Window::Sliding { window_us: 1_000_000 };

    #[test]
    fn units_in_use_expire_a_window_after_they_were_taken() {
        let counters = Counters::new(100, 100, &[1; 16]);
        let half = Micros(500_000);
        let slots = demand(1, SECOND, 5, Micros::ONE, Sharing::Local);
        let ledger = demand(2, SECOND, 5, half, Sharing::Local);
        let calendar = demand(3, Window::Calendar(Period::Day), 5, half, Sharing::Local);
        let start_us = 40 * 86_400_000_000;
        for at_us in [0, 300_000] {
            let mut all = [slots.clone(), ledger.clone(), calendar.clone()];
            let now = Now::from_unix_us(start_us + at_us);
            assert!(counters.take(&mut all, "g", now).is_ok());
        }
        let at = |at_us| Now::from_unix_us(start_us + at_us);
        let used = |key, at_us| {
            let mut units = counters.units_in_use(CountKey(key), at(at_us));
            units.sort_unstable();
            units
        };
        assert_eq!(used(1, 400_000), [(600_000, Micros::ONE), (900_000, Micros::ONE)]);
        assert_eq!(used(1, 1_000_001), [(299_999, Micros::ONE)]);
        assert_eq!(used(1, 2_000_000), []);
        // Those of a ledger expire with their quanta, never before the units.
        let units = used(2, 400_000);
        assert_eq!(units.iter().map(|(_, units)| units.0).sum::<u64>(), 1_000_000);
        assert!(units.iter().all(|(left_us, _)| *left_us >= 600_000), "{units:?}");
        assert_eq!(used(2, 2_500_000), []);
        assert_eq!(used(3, 400_000), [(0, Micros::ONE)]);
        assert_eq!(used(4, 400_000), [], "unknown");
        let keys = |at_us| {
            let mut keys: Vec<u128> = counters.in_use(at(at_us)).iter().map(|key| key.0).collect();
            keys.sort_unstable();
            keys
        };
        assert_eq!(keys(400_000), [1, 2, 3]);
        assert_eq!(keys(2_500_000), [3]);
        assert_eq!(keys(86_400_000_001), [0_u128; 0]);
        assert_eq!(used(3, 86_400_000_001), []);
    }

    #[test]
    fn all_cells_are_looked_through_and_shares_are_none_of_them() {
        let counters = Counters::new(10_000, 10_000, &[1; 16]);
        let now = Now::from_unix_us(50_000_000);
        for key in 0..1_000 {
            let mut one = [demand(
                key,
                SECOND,
                1 + (key % 7) as u64,
                Micros::ONE,
                Sharing::Local,
            )];
            assert!(counters.take(&mut one, "g", now).is_ok());
        }
        let leased = demand(5_000, SECOND, 9, Micros::ONE, Sharing::Leased);
        assert!(
            counters
                .lend(&leased, "g", Micros(3 * Micros::ONE.0), now)
                .is_ok()
        );
        let mut found: Vec<u128> = counters.in_use(now).iter().map(|key| key.0).collect();
        found.sort_unstable();
        assert_eq!(found, (0..1_000).collect::<Vec<_>>());
        assert_eq!(counters.units_in_use(CountKey(5_000), now), []);
    }
}
