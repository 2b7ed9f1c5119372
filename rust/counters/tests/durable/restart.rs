//! The counts after a restart: after a close, after a kill, after many of them.

use std::sync::Barrier;
use std::thread;

use callgate_counters::{Facts, Period, Refusal, StoreError};

use crate::support::{HOUR_US, Machine, UNIT, WINDOW_US, calendar, ledger, slots};

#[test]
fn counts_go_on_where_they_were() {
    for kill in [false, true] {
        let mut machine = Machine::new();
        let counts = [
            slots(1, 10),
            ledger(2, 1_000),
            calendar(3, Period::Day, 10),
            slots(4, 256),
        ];
        let counters = machine.open();
        for count in &counts {
            for _ in 0..4 {
                machine.take(&counters, count).unwrap();
                machine.pass(1_000);
            }
        }
        // A kill leaves the mapping's words; a close seals them as well.
        let path = if kill {
            machine.copy("killed")
        } else {
            machine.path()
        };
        drop(counters);
        assert_eq!(Facts::read(&path).unwrap().clean, !kill);
        machine.pass(1_000_000);

        let counters = machine.open_at(&path).unwrap();
        assert_eq!(counters.len(), 4);
        for count in &counts {
            let max = count.shape.max.0 / UNIT;
            assert_eq!(machine.remaining(&counters, count), max - 4, "{count:?}");
            assert_eq!(machine.exhaust(&counters, count), max - 4);
        }
        machine.pass(WINDOW_US);
        for count in &counts[..2] {
            let max = count.shape.max.0 / UNIT;
            assert_eq!(
                machine.exhaust(&counters, count),
                max,
                "a window later all is free"
            );
        }
        assert_eq!(
            machine.exhaust(&counters, &counts[2]),
            0,
            "and the day is used up"
        );
    }
}

#[test]
fn the_identities_keep_their_key() {
    let machine = Machine::new();
    assert_eq!(machine.open().hash_key(), Some(&[7; 16]));
    let other_key =
        callgate_counters::Counters::open(&machine.path(), 10, 10, &[8; 16], || Ok(machine.reading()));
    assert_eq!(other_key.unwrap().hash_key(), Some(&[7; 16]));
}

/// A reading from before the last process's own would look like one of another boot, whose windows are shorter.
#[test]
fn the_clocks_are_read_once_the_file_is_locked() {
    let machine = Machine::new();
    for _ in 0..2 {
        let opened = callgate_counters::Counters::open(&machine.path(), 10, 10, &[7; 16], || {
            if machine.path().exists() {
                assert!(matches!(machine.try_open(), Err(StoreError::InUse { .. })));
            }
            Ok(machine.reading())
        });
        opened.unwrap();
    }
}

#[test]
fn a_second_opening_is_refused_with_the_holder() {
    let machine = Machine::new();
    let counters = machine.open();
    let error = machine.try_open().unwrap_err();
    assert!(matches!(error, StoreError::InUse { pid: Some(pid), .. } if pid == std::process::id()));
    assert!(error.to_string().contains(&machine.path().display().to_string()));
    drop(counters);
    machine.open();
}

#[test]
fn of_those_that_start_at_once_one_has_the_new_file() {
    for round in 0..200 {
        let machine = Machine::new();
        let start = Barrier::new(3);
        let open = || {
            start.wait();
            machine.try_open()
        };
        let found: Vec<_> = thread::scope(|scope| {
            let starters: Vec<_> = (0..3).map(|_| scope.spawn(open)).collect();
            starters
                .into_iter()
                .map(|starter| starter.join().unwrap())
                .collect()
        });
        let refused = |found: &Result<_, StoreError>| matches!(found, Err(StoreError::InUse { .. }));
        let fine = found.iter().filter(|found| found.is_ok()).count() == 1;
        let refused = found.iter().filter(|found| refused(found)).count();
        assert!(fine && refused == 2, "round {round}: {found:?}");
        assert_eq!(
            std::fs::read_dir(machine.path().parent().unwrap())
                .unwrap()
                .count(),
            1
        );
    }
}

#[test]
fn a_closed_store_takes_nothing_and_another_may_open_it() {
    let machine = Machine::new();
    let (old, count) = (machine.open(), slots(1, 10));
    machine.take(&old, &count).unwrap();
    old.close(&machine.reading()).unwrap();
    old.close(&machine.reading()).unwrap();
    assert_eq!(machine.take(&old, &count), Err(Refusal::Unavailable));
    let new = machine.open();
    assert_eq!(machine.exhaust(&new, &count), 9);
    // The old one is no danger to the new one's file.
    assert!(machine.take(&old, &ledger(5, 300)).is_err());
    old.sweep(machine.now(&old), 1_000);
    old.flush(&machine.reading()).unwrap();
    drop(old);
    assert_eq!(machine.remaining(&new, &count), 0);
}

#[test]
fn a_count_that_moves_survives_with_all_of_its_units() {
    for after in [12, 300] {
        for kill in [false, true] {
            let machine = Machine::new();
            let counters = machine.open();
            for _ in 0..10 {
                machine.take(&counters, &slots(1, 10)).unwrap();
            }
            assert_eq!(machine.remaining(&counters, &slots(1, after)), after - 10);
            let path = if kill {
                machine.copy("killed")
            } else {
                machine.path()
            };
            drop(counters);
            let counters = machine.open_at(&path).unwrap();
            assert_eq!(counters.len(), 1);
            assert_eq!(
                machine.exhaust(&counters, &slots(1, after)),
                after - 10,
                "to {after}"
            );
        }
    }
}

#[test]
fn a_moved_count_leaves_its_cell_to_others_once_it_is_on_disk() {
    let machine = Machine::new();
    let counters = machine.open();
    let bytes = |machine: &Machine| Facts::read(&machine.path()).unwrap().blocks_used;
    for key in 0..2_000 {
        machine.take(&counters, &slots(key, 10)).unwrap();
        assert_eq!(machine.remaining(&counters, &slots(key, 11)), 10);
        counters.flush(&machine.reading()).unwrap();
    }
    // Cells of ten slots are reused again and again; those of eleven hold the live counts.
    assert_eq!(counters.len(), 2_000);
    let (one_block, alive) = (1, 2_000 * (64 + 8 * 11) / (64 * 1024) + 1);
    assert!(bytes(&machine) <= one_block + alive, "{}", bytes(&machine));
}

#[test]
fn blocks_of_idle_counts_serve_other_layouts_and_the_file_shrinks() {
    let mut machine = Machine::new();
    let counters = machine.open();
    for key in 0..20_000 {
        machine.take(&counters, &slots(key, 30)).unwrap();
    }
    machine
        .take(&counters, &calendar(1 << 64, Period::Month, 5))
        .unwrap();
    drop(counters);
    let large = Facts::read(&machine.path()).unwrap();
    assert_eq!((large.counters, large.layouts), (20_001, 2));
    machine.pass(2 * WINDOW_US);

    let counters = machine.open();
    assert_eq!(counters.len(), 1);
    let small = Facts::read(&machine.path()).unwrap();
    assert_eq!((small.counters, small.layouts, small.blocks_used), (1, 1, 1));
    for key in 0..2_000 {
        machine.take(&counters, &ledger(key, 5_000)).unwrap();
    }
    assert_eq!(
        machine.remaining(&counters, &calendar(1 << 64, Period::Month, 5)),
        4
    );
    drop(counters);
    let other = Facts::read(&machine.path()).unwrap();
    assert_eq!((other.counters, other.layouts), (2_001, 2));
    assert!(other.bytes <= large.bytes, "{other:?}");
    assert_eq!(machine.open().len(), 2_001);
    machine.pass(2 * WINDOW_US);
    drop(machine.open());
    // The free end of the file behind the last block in use is cut off: the block of the month may be anywhere in it.
    assert!(Facts::read(&machine.path()).unwrap().bytes <= large.bytes);
}

#[test]
fn an_empty_file_is_small_again() {
    let mut machine = Machine::new();
    let counters = machine.open();
    for key in 0..20_000 {
        machine.take(&counters, &slots(key, 30)).unwrap();
    }
    drop(counters);
    machine.pass(HOUR_US);
    drop(machine.open());
    assert_eq!(Facts::read(&machine.path()).unwrap().bytes, 17 * 64 * 1024);
}

#[test]
fn hundreds_of_restarts_leave_everything_in_its_place() {
    let mut machine = Machine::new();
    let (minute, day) = (slots(1, 40), calendar(2, Period::Day, 100_000));
    let mut taken = Vec::new();
    for round in 0..300_u64 {
        let counters = machine.open();
        for _ in 0..3 {
            if let Ok(stamp_us) = machine.take(&counters, &minute) {
                taken.push(stamp_us);
            }
            machine.take(&counters, &day).unwrap();
            machine.pass(300_000 + round * 7);
        }
        if round % 2 == 0 {
            // The next opening finds what a kill leaves.
            std::fs::rename(machine.copy("killed"), machine.path()).unwrap();
        }
    }
    for (index, stamp) in taken.iter().enumerate() {
        let within = taken[index..]
            .iter()
            .filter(|later| *later - stamp < WINDOW_US)
            .count();
        assert!(within <= 40, "{within} in one window");
    }
    assert!(taken.len() > 100, "{}", taken.len());
    let counters = machine.open();
    assert_eq!(machine.remaining(&counters, &day), 100_000 - 900);
}
