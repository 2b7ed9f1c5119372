//! Copies of the file while threads work: each is the file that a kill at that moment would leave.

use std::collections::HashMap;
use std::fs;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use callgate_counters::{
    CountKey, Demand, Micros, Now, PepId, Period, Repaired, ReservationId, ReservationLimits, Reservations,
    Window,
};

use crate::support::{BLOCK_BYTES, Machine, UNIT, WINDOW_US, calendar, ledger, slots};

/// The unit in which a disk writes.
const PAGE: usize = 4_096;
/// The enforcement point that reserves.
const PEP: PepId = PepId(0);

/// Admissions of each count that were answered, by stamp and millionths.
type Log = HashMap<CountKey, Vec<(u64, u64)>>;

/// Runs a function when it is dropped.
struct Finally<F: Fn()>(F);

impl<F: Fn()> Drop for Finally<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// Copies the file while `work` runs on four threads, and compares each copy with the answers before the copy was
/// begun: none of those units may be missing. `work` gets a number and the log, and logs after each answer.
fn killed_at_any_moment(
    rounds: usize,
    work: impl Fn(&Machine, &callgate_counters::Counters, u64, &Mutex<Log>) + Sync,
) {
    let machine = Machine::new();
    let counters = machine.open();
    let (log, done) = (Mutex::new(Log::new()), AtomicBool::new(false));
    let number = AtomicU64::new(0);
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    work(&machine, &counters, number.fetch_add(1, Ordering::Relaxed), &log);
                }
            });
        }
        // Also when a check fails: a test that fails must end.
        let _done = Finally(|| done.store(true, Ordering::Relaxed));
        for round in 0..rounds {
            let answered = log.lock().unwrap().clone();
            let copy = machine.copy(&format!("killed-{round}"));
            let found = machine.open_at(&copy).unwrap();
            for (key, admissions) in answered {
                check(&machine, &found, key, &admissions);
            }
            drop(found);
            // A copy that was closed opens as well, with the same counts.
            assert!(machine.open_at(&copy).is_ok());
            fs::remove_file(copy).unwrap();
        }
    });
    let sum: usize = log.lock().unwrap().values().map(Vec::len).sum();
    assert!(sum > rounds, "only {sum} admissions: nothing was tested");
}

fn check(machine: &Machine, found: &callgate_counters::Counters, key: CountKey, admissions: &[(u64, u64)]) {
    let taken: u64 = admissions.iter().map(|(_, amount)| amount).sum();
    let max = 100_000 * UNIT;
    // As a limit of another `max` on the same count sees it, whichever kind of cell it is in.
    for whole_units in [true, false] {
        let mut demand = ledger(0, 100_000);
        demand.key = key;
        demand.shape.whole_units = whole_units;
        if key.0 & 1 == 1 {
            demand.shape.window = calendar(0, Period::Day, 1).shape.window;
        }
        let mut demands = [demand];
        found.look(&mut demands, machine.now(found));
        let known = max - demands[0].view.remaining.0;
        assert!(known >= taken, "{known} of {taken} are known");
    }
}

fn log_of(log: &Mutex<Log>, demand: &Demand, stamp_us: u64) {
    let mut log = log.lock().unwrap();
    log.entry(demand.key).or_default().push((stamp_us, demand.cost.0));
}

fn keyed(mut demand: Demand, odd: bool) -> Demand {
    demand.key = CountKey(demand.key.0 << 1 | u128::from(odd));
    demand
}

#[test]
fn nothing_that_was_admitted_is_forgotten() {
    killed_at_any_moment(25, |machine, counters, number, log| {
        // All at one instant of the clock, so that nothing expires and all of it must be found.
        let key = u128::from(number % 50);
        let wanted = match number % 4 {
            0 => keyed(slots(key, 200), false),
            1 => keyed(ledger(key, 50_000), false),
            2 => keyed(calendar(key, Period::Day, 50_000), true),
            _ => keyed(slots(1_000 + u128::from(number / 64 % 2_000), 3), false),
        };
        let mut demands = [wanted];
        if let Ok(stamp_us) = counters.take(&mut demands, "g", machine.now(counters)) {
            log_of(log, &demands[0], stamp_us);
        }
    });
}

#[test]
fn nothing_is_forgotten_while_counts_move() {
    killed_at_any_moment(25, |machine, counters, number, log| {
        let max = [10, 20, 30, 250][usize::try_from(number / 16 % 4).unwrap()];
        let mut demands = [keyed(
            slots(u128::from(number % 3) + u128::from(number / 4_000) * 10, max),
            false,
        )];
        if let Ok(stamp_us) = counters.take(&mut demands, "g", machine.now(counters)) {
            log_of(log, &demands[0], stamp_us);
        }
        if number % 128 == 0 {
            machine.flush(counters);
        }
    });
}

#[test]
fn calls_with_several_counts_and_roll_backs_are_found_or_never_answered() {
    let reservations = Reservations::new(1_000_000_000, ReservationLimits::in_all(1_000_000), &[1; 16]);
    killed_at_any_moment(25, |machine, counters, number, log| {
        let mut demands = [
            keyed(slots(u128::from(number % 7), 250), false),
            keyed(ledger(100 + u128::from(number % 5), 40_000), false),
        ];
        demands[1].cost = Micros(UNIT / 2 + number % 1_000);
        let now = machine.now(counters);
        let Ok(stamp_us) = counters.take(&mut demands, "g", now) else {
            return;
        };
        if number.is_multiple_of(3) {
            reservations.open(ReservationId::new(number.into()), PEP, "g", &demands, now);
            assert!(reservations.roll_back(ReservationId::new(number.into()), PEP, counters, now));
        } else {
            for demand in &demands {
                log_of(log, demand, stamp_us);
            }
        }
    });
}

#[test]
fn cells_that_change_hands_while_the_process_is_killed_are_found_whole() {
    // Short windows on a clock that runs: counts come, expire and leave their cells to others.
    let clock = AtomicU64::new(0);
    let machine = Machine::new();
    let counters = machine.open();
    let done = AtomicBool::new(false);
    let start_us = machine.now(&counters).look_us();
    thread::scope(|scope| {
        for thread in 0..3_u128 {
            let (machine, counters, clock, done) = (&machine, &counters, &clock, &done);
            scope.spawn(move || {
                let mut call = 0_u128;
                while !done.load(Ordering::Relaxed) {
                    call += 1;
                    let now = Now {
                        boot_ns: (start_us + clock.fetch_add(300, Ordering::Relaxed)) * 1_000,
                        unix_offset_us: 0,
                    };
                    // Of many layouts, so that blocks change hands as well.
                    let mut demand = if call.is_multiple_of(2) {
                        slots(call % 97 + thread, 1 + u64::try_from(call / 64 % 40).unwrap())
                    } else {
                        ledger(call % 89 + thread * 1_000, 3)
                    };
                    let window_us = 10_000 + u64::try_from(call / 512 % 16).unwrap();
                    demand.shape.window = callgate_counters::Window::Sliding { window_us };
                    let _ = counters.take(&mut [demand], "g", now);
                    counters.sweep(now, 16);
                    counters.turn(4);
                    if call.is_multiple_of(256) {
                        machine.flush(counters);
                    }
                }
            });
        }
        let _done = Finally(|| done.store(true, Ordering::Relaxed));
        for round in 0..60 {
            let copy = machine.copy(&format!("killed-{round}"));
            let mut later = Machine::new();
            later.boot_us = machine.boot_us + clock.load(Ordering::Relaxed);
            let found = later.open_at(&copy).unwrap();
            // Everything is gone in time, so no cell is stuck and none is lost.
            later.pass(WINDOW_US);
            found.sweep(later.now(&found), 1_000_000);
            assert!(found.is_empty(), "{} are left", found.len());
            drop(found);
            fs::remove_file(copy).unwrap();
        }
    });
}

/// After a power failure the pages of the file are of different moments.
#[test]
fn pages_of_different_moments_lose_nothing_that_was_flushed() {
    let mut random = 0x9E37_79B9_u64;
    let mut below = |bound: u64| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random % bound
    };
    for round in 0..40 {
        let mut machine = Machine::new();
        let counters = machine.open();
        let mut flushed = Vec::new();
        for key in 0..200 {
            for demand in [keyed(slots(key, 10), false), keyed(ledger(500 + key, 400), false)] {
                let units = 1 + below(9);
                for _ in 0..units {
                    machine.take(&counters, &demand).unwrap();
                }
                flushed.push((demand, units));
            }
        }
        counters.flush(&machine.reading()).unwrap();
        let before = fs::read(machine.path()).unwrap();
        // After the flush: more calls, counts that move, new ones in new blocks.
        for key in 0..200 {
            let _ = machine.take(&counters, &keyed(slots(key, 10 + below(3) * 145), false));
            let _ = machine.take(&counters, &keyed(slots(10_000 + key, 64), false));
        }
        let after = fs::read(machine.path()).unwrap();
        drop(counters);
        let pages: Vec<u8> = (0..before.len().div_ceil(PAGE))
            .flat_map(|page| {
                let from = if below(2) == 0 { &before } else { &after };
                from[page * PAGE..before.len().min((page + 1) * PAGE)].to_vec()
            })
            .collect();
        let torn = machine.path().with_extension("torn");
        fs::write(&torn, pages).unwrap();
        machine.pass(1_000_000);
        (machine.boot, machine.boot_us) = (2, 500_000);
        let found = machine.open_at(&torn).unwrap();
        for (demand, units) in flushed {
            let max = 100_000;
            let mut wide = [demand];
            wide[0].shape.max = Micros(max * UNIT);
            found.look(&mut wide, machine.now(&found));
            let known = max - wide[0].view.remaining.0 / UNIT;
            assert!(
                known >= units,
                "round {round}: {known} of {units} units are known of {:?}",
                wide[0].key
            );
        }
    }
    assert_eq!(BLOCK_BYTES % PAGE, 0);
}

/// A block whose counters are gone is zeroed, and the zeros are on disk before it serves another layout.
#[test]
fn a_block_of_another_layout_is_whole_whatever_pages_a_power_failure_leaves() {
    let mut random = 0x1234_5678_9ABC_u64;
    let mut below = |bound: u64| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random % bound
    };
    let (mut taken_back, mut given_out) = (0, 0);
    for round in 0..60 {
        let mut machine = Machine::new();
        let counters = machine.open();
        let mut layout = 0;
        let mut next = |machine: &Machine, keys: u128| {
            layout += 1;
            for key in 0..keys {
                machine
                    .take(
                        &counters,
                        &slots(1_000 * layout + key, 5 + u64::try_from(layout).unwrap()),
                    )
                    .unwrap();
            }
        };
        for _ in 0..=below(6) {
            next(&machine, 100);
            machine.pass(WINDOW_US);
            counters.sweep(machine.now(&counters), 100_000);
            while counters.turn(100) {}
            if below(2) == 0 {
                machine.flush(&counters);
            }
        }
        let mut kept = [slots(1, 3), ledger(2, 3)];
        for demand in &mut kept {
            demand.shape.window = Window::Sliding {
                window_us: 10 * WINDOW_US,
            };
            machine.take(&counters, demand).unwrap();
        }
        // Counters that are on disk, and idle afterwards.
        next(&machine, 300);
        machine.flush(&counters);
        let before = fs::read(machine.path()).unwrap();
        for _ in 0..=below(3) {
            machine.pass(WINDOW_US);
            counters.sweep(machine.now(&counters), 100_000);
            while counters.turn(100) {}
            next(&machine, 300);
        }
        let after = fs::read(machine.path()).unwrap();
        // The line before the cells says the layout, and is zero in a block without one.
        let has_layout = |file: &[u8], block: usize| file[block * BLOCK_BYTES..][..64] != [0; 64];
        for block in 1..before.len() / BLOCK_BYTES {
            match (has_layout(&before, block), has_layout(&after, block)) {
                (true, false) => taken_back += 1,
                (false, true) => given_out += 1,
                _ => {}
            }
        }
        drop(counters);
        let pages: Vec<u8> = (0..before.len().div_ceil(PAGE))
            .flat_map(|page| {
                let from = if below(2) == 0 { &before } else { &after };
                from[page * PAGE..before.len().min((page + 1) * PAGE)].to_vec()
            })
            .collect();
        let torn = machine.path().with_extension("torn");
        fs::write(&torn, pages).unwrap();
        machine.pass(1_000_000);
        (machine.boot, machine.boot_us) = (2, 500_000);
        let found = machine
            .open_at(&torn)
            .unwrap_or_else(|error| panic!("round {round}: {error}"));
        for demand in &kept {
            assert_eq!(
                machine.remaining(&found, demand),
                2,
                "round {round}: what was flushed is there"
            );
        }
    }
    assert!(
        taken_back > 30 && given_out > 30,
        "after a flush {taken_back} blocks lost their layout and {given_out} got one"
    );
}

/// The header says which period the calendars of a block had reached, before the block is zeroed on disk.
#[test]
fn a_wall_clock_set_back_reopens_no_budget_of_a_block_taken_back_before_a_power_failure() {
    const DAY_US: u64 = 86_400_000_000;
    let mut machine = Machine::new();
    let counters = machine.open();
    let count = calendar(1, Period::Day, 5);
    assert_eq!(machine.exhaust(&counters, &count), 5);
    machine.flush(&counters);
    let flushed = fs::read(machine.path()).unwrap();
    machine.pass(2 * DAY_US);
    counters.sweep(machine.now(&counters), 100_000);
    assert!(counters.is_empty());
    while counters.turn(100) {}
    let mut torn = fs::read(machine.path()).unwrap();
    drop(counters);
    // Of all pages written since the flush, those of the header did not reach the disk.
    torn[..BLOCK_BYTES].copy_from_slice(&flushed[..BLOCK_BYTES]);
    let path = machine.path().with_extension("torn");
    fs::write(&path, torn).unwrap();
    // Back to the day of the first calls, and forward again.
    (machine.boot, machine.boot_us) = (2, 500_000);
    machine.unix_us -= 2 * DAY_US;
    let found = machine.open_at(&path).unwrap();
    let before = machine.exhaust(&found, &count);
    machine.pass(2 * DAY_US);
    let after = machine.exhaust(&found, &count);
    assert_eq!(before + after, 5, "of two days, one is used up");
}

/// Makes the file that a power failure leaves if, of all pages written since `flushed`, only the one at `page` reached
/// the disk.
fn torn(flushed: &[u8], later: &[u8], page: usize) -> Vec<u8> {
    let mut torn = flushed.to_vec();
    assert_ne!(torn[page..page + PAGE], later[page..page + PAGE]);
    torn[page..page + PAGE].copy_from_slice(&later[page..page + PAGE]);
    torn
}

/// An older page of the header beside a newer one of the payload: the header then knows of no unit as new as the
/// entry's, and the entry's units must survive.
#[test]
fn flushed_units_that_a_later_one_joined_survive_a_page_of_before() {
    let mut machine = Machine::new();
    let counters = machine.open();
    let count = ledger(1, 300);
    // As many as have entries of their own, which outlive their window; then some that share one.
    for number in 0..213 {
        machine.take(&counters, &count).unwrap();
        machine.pass(if number == 12 { WINDOW_US - 1_000_000 } else { 100 });
    }
    machine.flush(&counters);
    let flushed = fs::read(machine.path()).unwrap();
    machine.pass(1_000);
    machine.take(&counters, &count).unwrap();
    let later = fs::read(machine.path()).unwrap();
    drop(counters);
    // Headers of ledgers fill the first page of the block, payloads begin in the next.
    let copy = machine.path().with_extension("torn");
    fs::write(&copy, torn(&flushed, &later, BLOCK_BYTES + PAGE)).unwrap();
    machine.pass(1_500_000);
    (machine.boot, machine.boot_us) = (2, 500);
    let damaged = machine.path().with_extension("damaged");
    let mut bytes = fs::read(&copy).unwrap();
    bytes[BLOCK_BYTES - 8] ^= 1; // of the second copy of what never changes
    fs::write(&damaged, bytes).unwrap();
    Repaired::at(&damaged, &machine.reading()).unwrap();
    for path in [copy, damaged] {
        let counters = machine.open_at(&path).unwrap();
        let remaining = machine.remaining(&counters, &count);
        assert!(remaining <= 300 - 200, "{remaining}: flushed units are forgotten");
    }
}

/// The moment between the closing of one cell and the opening of the next, while an earlier cell of the count still
/// exists.
#[test]
fn a_count_that_was_moving_again_is_whole_when_opened_and_when_repaired() {
    let machine = Machine::new();
    let (count, moved, other) = (slots(1, 5), slots(1, 7), slots(9, 3));
    let counters = machine.open();
    assert_eq!(machine.exhaust(&counters, &count), 5);
    assert_eq!(machine.exhaust(&counters, &moved), 2);
    machine.take(&counters, &other).unwrap();
    let mut bytes = fs::read(machine.path()).unwrap();
    drop(counters);
    // The counts are in a block each. The generation of a cell is the third word of its header; odd is closed.
    let generation = 2 * BLOCK_BYTES + 64 + 2 * 8;
    assert_eq!(bytes[2 * BLOCK_BYTES + 24], 7, "slots of its layout");
    assert_ne!(bytes[generation], 0, "a generation of a cell in use");
    bytes[generation] |= 1;
    let killed = machine.path().with_extension("killed");
    fs::write(&killed, &bytes).unwrap();
    let damaged = machine.path().with_extension("damaged");
    bytes[3 * BLOCK_BYTES + 64] ^= 1; // of the other count's identity
    fs::write(&damaged, bytes).unwrap();
    let repaired = Repaired::at(&damaged, &machine.reading()).unwrap();
    assert_eq!((repaired.kept, repaired.dropped), (1, 1));
    for path in [killed, damaged] {
        let counters = machine.open_at(&path).unwrap();
        assert_eq!(machine.remaining(&counters, &slots(1, 250)), 250 - 7, "{path:?}");
    }
}

#[test]
fn a_count_that_moved_before_a_power_failure_is_whole_when_opened_and_when_repaired() {
    let mut machine = Machine::new();
    let (count, moved, other) = (slots(1, 5), slots(1, 7), slots(9, 3));
    let counters = machine.open();
    assert_eq!(machine.exhaust(&counters, &count), 5);
    machine.take(&counters, &other).unwrap();
    machine.flush(&counters);
    machine.take(&counters, &moved).unwrap();
    let mut bytes = fs::read(machine.path()).unwrap();
    drop(counters);
    // The counts are in a block each. Of that to which the first moved, the pages with headers reached the disk alone.
    let (blocks, cells) = (3 * BLOCK_BYTES, (BLOCK_BYTES / 8 - 8) / (8 + 7));
    let payloads = blocks + (8 + cells * 8) * 8;
    assert_eq!(bytes[blocks + 24], 7, "slots of its layout");
    bytes[payloads..blocks + BLOCK_BYTES].fill(0);
    let copy = machine.path().with_extension("torn");
    fs::write(&copy, &bytes).unwrap();
    let damaged = machine.path().with_extension("damaged");
    bytes[2 * BLOCK_BYTES + 64] ^= 1; // of the other count's identity
    fs::write(&damaged, bytes).unwrap();
    machine.pass(1_000);
    (machine.boot, machine.boot_us) = (2, 500);
    assert!(machine.open_at(&damaged).is_err());
    let repaired = Repaired::at(&damaged, &machine.reading()).unwrap();
    assert_eq!((repaired.kept, repaired.dropped), (1, 1));
    for path in [copy, damaged] {
        let counters = machine.open_at(&path).unwrap();
        assert_eq!(machine.remaining(&counters, &moved), 2, "{}", path.display());
    }
}
