use proptest::prelude::*;

use super::*;

const WINDOW_US: u64 = 1_000;

/// A cell of slots on its own.
struct Cell {
    header: [AtomicU64; 4],
    stamps: Vec<AtomicU64>,
}

impl Cell {
    fn new(count: usize) -> Self {
        Self {
            header: Default::default(),
            stamps: (0..count).map(|_| AtomicU64::new(0)).collect(),
        }
    }

    fn slots(&self) -> Slots<'_> {
        let [given_back, full_until, reset_at, ring] = &self.header;
        Slots {
            given_back,
            full_until,
            reset_at,
            ring,
            stamps: &self.stamps,
            window_us: WINDOW_US,
        }
    }

    /// The view by a plain count.
    fn counted(&self, at_us: u64) -> SlotsView {
        let live = |slot: &&AtomicU64| slot.load(Ordering::Relaxed) + WINDOW_US > at_us + 1;
        let taken = || {
            self.stamps
                .iter()
                .filter(|slot| slot.load(Ordering::Relaxed) != 0)
        };
        let latest = taken()
            .filter(live)
            .map(|slot| slot.load(Ordering::Relaxed))
            .max();
        SlotsView {
            free: self.stamps.len() - taken().filter(live).count(),
            wait_us: 0,
            reset_after_us: latest.map_or(0, |latest| latest + WINDOW_US - (at_us + 1)),
        }
    }
}

proptest! {
    /// However units were taken and given back before, and if the clock is set back: a free unit is refused to nobody, and
    /// the view of a take is the one by a plain count.
    #[test]
    fn a_take_finds_what_is_free_and_tells_what_is_left(
        count in prop::sample::select(vec![1_usize, 2, 3, 30, 256]),
        steps in prop::collection::vec((0..8_u8, 0..400_u64, 1..4_usize, 0..2_u64), 1..300),
    ) {
        let cell = Cell::new(count);
        let (mut at_us, mut stamps) = (10 * WINDOW_US, Vec::new());
        for (event, by_us, units, rounding_us) in steps {
            match event {
                0 => at_us = (at_us - by_us).max(10 * WINDOW_US),
                1 => if let Some(stamp_us) = stamps.pop() {
                    cell.slots().give_back_stamp(units, stamp_us, stamp_us);
                },
                2 => {
                    cell.slots().look(units, at_us);
                }
                _ => at_us += if event == 3 { by_us * 10 } else { by_us / 16 },
            }
            let units = if event < 6 { 1 } else { units };
            let stamp_us = at_us + rounding_us;
            let free = cell.counted(at_us).free;
            match cell.slots().take(units, at_us, stamp_us) {
                Ok((_, seen)) => {
                    prop_assert!(free >= units);
                    prop_assert_eq!(seen, cell.counted(stamp_us));
                    stamps.push(stamp_us);
                }
                Err(missing) => {
                    prop_assert_eq!(missing, 0);
                    prop_assert!(free < units, "{} are free", free);
                }
            }
        }
    }

    /// Whatever a damaged file says of the order, no unit is taken twice and none is refused that is free.
    #[test]
    fn a_wrong_ring_admits_and_refuses_nothing(
        words in prop::collection::vec((any::<u64>(), 0..300_u64), 1..200)
    ) {
        let cell = Cell::new(7);
        let mut at_us = 10 * WINDOW_US;
        for (word, by_us) in words {
            at_us += by_us;
            // Of the version in force and with known order, or anything.
            let word = if by_us % 2 == 0 { word } else { word & 0x3_ffff | 1 };
            cell.slots().ring.store(word, Ordering::Relaxed);
            let free = cell.counted(at_us).free;
            let is_taken = cell.slots().take(1, at_us, at_us).is_ok();
            prop_assert_eq!(is_taken, free > 0);
            prop_assert_eq!(cell.counted(at_us).free, free - usize::from(is_taken));
        }
    }
}
