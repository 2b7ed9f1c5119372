//! Memory of counters that are gone: given to counts of other layouts, and to the system.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use callgate_counters::{ClockReading, Counters, Demand, Micros, Now};
use proptest::prelude::*;

use crate::log::{Log, sliding};

const UNIT: u64 = 1_000_000;
const WINDOW_US: u64 = 10_000;

fn at(us: u64) -> Now {
    Now::from_unix_us(us)
}

fn take(counters: &Counters, demand: Demand, us: u64) -> bool {
    counters.take(&mut [demand], "g", at(us)).is_ok()
}

/// Sweeps everything, and lets what is left be used again.
fn free(counters: &Counters, us: u64) {
    // From wherever the last sweep ended, over every cell and to the end of every block.
    counters.sweep(at(us), 2 * (counters.len() + counters.blocks() + 64));
    while counters.turn(1_000_000) {}
}

#[test]
fn a_layout_whose_counters_are_idle_takes_no_room() {
    let counters = Counters::new(1_000, 1_000, &[1; 16]);
    for layout in 0..10_000_u64 {
        let us = layout * 2 * WINDOW_US;
        let (window_us, max) = (WINDOW_US - layout % 100, (1 + layout / 100 % 300) * UNIT);
        assert!(
            take(&counters, sliding(1, window_us, max, UNIT, true), us),
            "{layout}"
        );
        free(&counters, us + WINDOW_US);
        assert_eq!((counters.len(), counters.blocks()), (0, 0), "{layout}");
    }
    assert_eq!(counters.growth_failures().0, 0);
}

#[test]
fn a_block_with_a_counter_in_use_stays() {
    let counters = Counters::new(10_000, 10_000, &[1; 16]);
    let demand = |key| sliding(key, WINDOW_US, 30 * UNIT, UNIT, true);
    for key in 0..2_000 {
        assert!(take(&counters, demand(key), 1));
    }
    let most = counters.blocks();
    assert!(take(&counters, demand(0), WINDOW_US) && take(&counters, demand(1_999), WINDOW_US));
    free(&counters, WINDOW_US + 1);
    assert_eq!((counters.len(), counters.blocks()), (2, 2), "of {most} blocks");
    let look = |key| {
        let mut demands = [demand(key)];
        counters.look(&mut demands, at(WINDOW_US + 1));
        demands[0].view.remaining
    };
    assert_eq!(
        [0, 1_999, 5].map(look),
        [29, 29, 30].map(|units| Micros(units * UNIT))
    );
}

#[test]
fn memory_goes_back_to_the_system() {
    let resident = || -> u64 {
        let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
        let pages: u64 = statm.split(' ').nth(1).unwrap().parse().unwrap();
        pages * 4_096
    };
    let counters = Counters::new(1_000_000, 1_000_000, &[1; 16]);
    let before = resident();
    for number in 1..130_000 {
        // A well-mixed identity, as hashing gives it; and every unit at once, so that each word is written to.
        let key = (number * 0x9E37_79B9_7F4A_7C15_F39C_u128) ^ number;
        assert!(take(
            &counters,
            sliding(key, WINDOW_US, 120 * UNIT, 120 * UNIT, true),
            1
        ));
    }
    let full = resident();
    free(&counters, 3 * WINDOW_US);
    let after = resident();
    // Other tests run beside this one, so there is room for theirs.
    assert!(full > before + (100 << 20), "{before} {full}");
    assert!(after < full - (90 << 20), "{before} {full} {after}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// One thread, random limits and times: every answer for `max` up to 256 is that of an exact log.
    #[test]
    fn blocks_that_change_their_layout_keep_exact_counts(
        steps in prop::collection::vec((0..6_u64, 1..4_u64, 0..WINDOW_US / 2, 0..6_u8), 1..400)
    ) {
        let counters = Counters::new(1_000, 1_000, &[3; 16]);
        let mut logs: Vec<Log> = (0..24).map(|_| Log::default()).collect();
        let mut us = 0;
        for (key, max, after_us, event) in steps {
            us += after_us;
            match event {
                0 => counters.sweep(at(us), 100),
                1 => {
                    counters.turn(100);
                }
                _ => {}
            }
            // A count for each window and `max`: of as many layouts.
            let (window_us, count) = (WINDOW_US + key, usize::try_from(key * 4 + max).unwrap());
            let log = &mut logs[count];
            let fits = log.live(us, window_us) + UNIT <= max * UNIT;
            let taken = take(&counters, sliding(count as u128, window_us, max * UNIT, UNIT, true), us);
            prop_assert_eq!(taken, fits, "at {} of {}", us, count);
            if taken {
                log.entries.push((us, UNIT));
            }
        }
        free(&counters, us + 2 * WINDOW_US);
        prop_assert_eq!((counters.len(), counters.blocks()), (0, 0));
    }
}

#[test]
fn blocks_that_change_their_layout_under_load_keep_their_promise() {
    const THREADS: u64 = 6;
    const ENOUGH_TURNS: u64 = 50;
    let counters = &Counters::new(64, 64, &[5; 16]);
    let (clock, turns) = (&AtomicU64::new(1_000_000), &AtomicU64::new(0));
    let admitted = Mutex::new(Vec::new());
    thread::scope(|scope| {
        let callers: Vec<_> = (0..THREADS)
            .map(|number| {
                scope.spawn(move || {
                    let (mut random, mut admitted) = (number + 0x9E37_79B9, Vec::new());
                    let mut below = |bound: u64| {
                        random ^= random << 13;
                        random ^= random >> 7;
                        random ^= random << 17;
                        random % bound
                    };
                    // A thread that is interrupted in a call keeps blocks from turning: a busy machine needs more calls.
                    for call in 0..400_000 {
                        if call >= 20_000 && turns.load(Ordering::Relaxed) > ENOUGH_TURNS {
                            break;
                        }
                        let now = at(clock.fetch_add(below(3_000), Ordering::Relaxed));
                        if below(16) == 0 {
                            counters.sweep(now, 8);
                            turns.fetch_add(counters.turn(4).into(), Ordering::Relaxed);
                        }
                        // Each window is a layout of its own, and so is each `max` of slots.
                        let key = below(40);
                        let (window_us, max) = (WINDOW_US + key, 1 + key % 4);
                        let mut wanted = [sliding(key.into(), window_us, max * UNIT, UNIT, key % 3 > 0)];
                        if let Ok(stamp_us) = counters.take(&mut wanted, "g", now) {
                            admitted.push((key, stamp_us));
                        }
                    }
                    admitted
                })
            })
            .collect();
        for caller in callers {
            admitted.lock().unwrap().extend(caller.join().unwrap());
        }
    });
    let admitted = admitted.into_inner().unwrap();
    for key in 0..40 {
        let mut log = Log::default();
        let of_key = admitted.iter().filter(|(of, _)| *of == key);
        log.entries.extend(of_key.map(|(_, stamp)| (*stamp, UNIT)));
        let worst = log.worst_interval(WINDOW_US + key);
        assert!(worst <= (1 + key % 4) * UNIT, "{worst} of key {key}");
    }
    let turns = turns.load(Ordering::Relaxed);
    assert!(
        turns > ENOUGH_TURNS && admitted.len() > 5_000,
        "{turns} turns, {} calls",
        admitted.len()
    );
}

/// A file that nobody flushes, as an embedded engine may have it.
#[test]
fn a_limit_that_is_idle_now_and_then_needs_no_more_of_a_file_that_is_not_flushed() {
    let folder = tempfile::tempdir_in("/dev/shm")
        .or_else(|_| tempfile::tempdir())
        .unwrap();
    let path = folder.path().join("counters");
    let reading = ClockReading {
        boot_id: [1; 16],
        boot_us: 1,
        unix_us: 1,
    };
    let counters = Counters::open(&path, 1_000, 1_000, &[1; 16], || Ok(reading)).unwrap();
    let length = || std::fs::metadata(&path).unwrap().len();
    let before = length();
    for round in 1..200 {
        let us = round * 2 * WINDOW_US;
        assert!(take(&counters, sliding(1, WINDOW_US, 5 * UNIT, UNIT, true), us));
        counters.sweep(at(us + WINDOW_US), 1_000);
        counters.turn(16);
    }
    assert_eq!(length(), before, "no block was appended");
}
