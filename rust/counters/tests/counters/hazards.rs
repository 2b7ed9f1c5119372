//! The known hazards of such counters: moved counts, equal stamps, lagging clocks, caps that a single call meets.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use callgate_counters::{
    Counters, Demand, Micros, Now, Period, Refusal, ReservationId, ReservationLimits, Reservations, Window,
};

use crate::log::{Log, sliding};

const UNIT: u64 = 1_000_000;
const WINDOW_US: u64 = 60_000_000;

fn at(us: u64) -> Now {
    Now::from_unix_us(us)
}

fn demand(key: u128, max: u64, cost: u64) -> Demand {
    sliding(key, WINDOW_US, max * UNIT, cost * UNIT, true)
}

fn take(counters: &Counters, demand: Demand, us: u64) -> Result<u64, Refusal> {
    counters.take(&mut [demand], "g", at(us))
}

fn remaining(counters: &Counters, demand: Demand, us: u64) -> u64 {
    let mut demands = [demand];
    counters.look(&mut demands, at(us));
    demands[0].view.remaining.0 / UNIT
}

#[test]
fn a_cell_that_was_full_is_not_full_for_the_next_count() {
    let counters = Counters::new(10, 10, &[1; 16]);
    for _ in 0..10 {
        take(&counters, demand(1, 10, 1), 1_000).unwrap();
    }
    assert!(take(&counters, demand(1, 10, 1), 1_001).is_err());
    assert_eq!(
        remaining(&counters, demand(1, 20, 1), 1_002),
        10,
        "moved to another cell"
    );
    assert!(
        take(&counters, demand(2, 10, 1), 1_003).is_ok(),
        "which leaves its cell to this count"
    );
}

#[test]
fn a_count_that_moved_there_and_back_is_not_full_for_ever() {
    let counters = Counters::new(10, 10, &[1; 16]);
    let reservations = Reservations::new(1_000_000, ReservationLimits::in_all(100), &[1; 16]);
    let mut demands = [demand(1, 10, 10)];
    counters.take(&mut demands, "g", at(1_000)).unwrap();
    reservations.open(ReservationId::new(1), crate::PEP, "g", &demands, at(1_000));
    assert!(take(&counters, demand(1, 10, 1), 1_001).is_err());
    assert_eq!(remaining(&counters, demand(1, 20, 1), 1_002), 10);
    assert!(reservations.roll_back(ReservationId::new(1), crate::PEP, &counters, at(1_003)));
    assert!(take(&counters, demand(1, 10, 1), 1_004).is_ok());
}

#[test]
fn a_moved_count_gives_a_lagging_clock_nothing_that_had_not_expired() {
    for (before, after) in [(10, 12), (200, 300)] {
        let counters = Counters::new(10, 10, &[1; 16]);
        let mut log = Log::default();
        for _ in 0..before {
            log.entries
                .push((take(&counters, demand(1, before, 1), 1_000).unwrap(), UNIT));
        }
        // Moved by a thread for which all has expired, then used by one whose clock was read just before.
        assert_eq!(
            remaining(&counters, demand(1, after, 1), 1_000 + WINDOW_US),
            after
        );
        for _ in 0..after {
            if let Ok(stamp_us) = take(&counters, demand(1, after, 1), 999 + WINDOW_US) {
                log.entries.push((stamp_us, UNIT));
            }
        }
        assert!(
            log.worst_interval(WINDOW_US) <= after * UNIT,
            "{before} to {after}"
        );
    }
}

#[test]
fn a_cost_of_nothing_waits_for_nothing() {
    let counters = Counters::new(10, 10, &[1; 16]);
    take(&counters, demand(1, 300, 300), 1_000).unwrap();
    let mut demands = [demand(1, 280, 0)];
    counters.look(&mut demands, at(1_001));
    assert_eq!(demands[0].view.wait_us, 0);
}

#[test]
fn a_look_at_another_time_changes_nothing() {
    let day = |mut demand: Demand| {
        demand.shape.window = Window::Calendar(Period::Day);
        demand
    };
    for wanted in [
        demand(1, 1, 1),
        sliding(2, WINDOW_US, UNIT, UNIT, false),
        day(demand(3, 1, 1)),
    ] {
        let counters = Counters::new(10, 10, &[1; 16]);
        assert_eq!(take(&counters, wanted.clone(), 1_000), Ok(1_000));
        let later_us = 3 * 86_400_000_000;
        assert_eq!(remaining(&counters, wanted.clone(), later_us), 1, "free by then");
        assert!(
            take(&counters, wanted.clone(), 2_000).is_err(),
            "and not before: {wanted:?}"
        );
        assert_eq!(take(&counters, wanted, later_us), Ok(later_us));
    }
}

#[test]
fn reservations_of_a_moved_count_are_given_back_whole() {
    let counters = Counters::new(10, 10, &[1; 16]);
    let reservations = Reservations::new(1_000_000, ReservationLimits::in_all(1_000), &[1; 16]);
    for call in 0..40 {
        let mut demands = [demand(1, 100, 1)];
        counters.take(&mut demands, "g", at(1_000 + call)).unwrap();
        reservations.open(
            ReservationId::new(call.into()),
            crate::PEP,
            "g",
            &demands,
            at(1_000 + call),
        );
    }
    assert_eq!(remaining(&counters, demand(1, 300, 1), 2_000), 260);
    for call in 0..40 {
        assert!(reservations.roll_back(ReservationId::new(call), crate::PEP, &counters, at(2_000)));
    }
    assert_eq!(remaining(&counters, demand(1, 300, 1), 2_001), 300);
}

#[test]
fn a_call_whose_own_counts_do_not_fit_is_told_of_the_capacity() {
    for (capacity, per_grant) in [(100, 2), (2, 100)] {
        let counters = Counters::new(capacity, per_grant, &[1; 16]);
        take(&counters, demand(1, 5, 1), 1_000).unwrap();
        let mut demands = [demand(2, 5, 1), demand(3, 5, 1)];
        let refusal = counters.take(&mut demands, "g", at(1_001));
        assert!(matches!(refusal, Err(Refusal::Capacity { .. })), "{refusal:?}");
        assert!(
            take(&counters, demand(1, 5, 1), 1_002).is_ok(),
            "calls on counters that live go on"
        );
    }
}

/// Takes and rolls back on eight threads at one instant; nothing may be left.
fn churn(counters: &Counters, calls: u64, wanted: impl Fn(u64, u64) -> Demand + Sync) {
    let reservations = Reservations::new(1_000_000, ReservationLimits::in_all(100_000), &[1; 16]);
    let (wanted, reservations) = (&wanted, &reservations);
    thread::scope(|scope| {
        for number in 0..8_u64 {
            scope.spawn(move || {
                for call in 0..calls {
                    let mut demands = [wanted(number, call)];
                    if counters.take(&mut demands, "g", at(1_000)).is_ok() {
                        let id = u128::from(number) << 64 | u128::from(call);
                        reservations.open(ReservationId::new(id), crate::PEP, "g", &demands, at(1_000));
                        assert!(reservations.roll_back(
                            ReservationId::new(id),
                            crate::PEP,
                            counters,
                            at(1_000)
                        ));
                    }
                }
            });
        }
    });
}

#[test]
fn holds_and_roll_backs_of_one_stamp_leave_nothing_taken() {
    let counters = Counters::new(10, 10, &[1; 16]);
    churn(&counters, 20_000, |number, call| {
        demand(1, 4, 1 + (number + call) % 3)
    });
    assert_eq!(remaining(&counters, demand(1, 4, 1), 1_000), 4);
}

#[test]
fn a_count_that_moves_under_load_loses_nothing() {
    let counters = Counters::new(10, 10, &[1; 16]);
    churn(&counters, 5_000, |_, call| {
        demand(1, if call % 100 < 50 { 10 } else { 12 }, 1)
    });
    assert_eq!(remaining(&counters, demand(1, 10, 1), 1_000), 10);
}

#[test]
fn a_roll_back_finds_its_count_while_others_come_and_go() {
    let counters = &Counters::new(4_096, 4_096, &[1; 16]);
    let reservations = Reservations::new(1_000_000_000, ReservationLimits::in_all(100_000), &[1; 16]);
    // Long-lived counts whose places in the index lie among those of counts that are made and reclaimed all the time.
    let lasting = |number: u64| {
        sliding(
            u128::from(number) | 1 << 90,
            3_600_000_000,
            1_000 * UNIT,
            UNIT,
            false,
        )
    };
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut us = 1_000_000;
            while !done.load(Ordering::Relaxed) {
                for key in 0..60 {
                    let _ = counters.take(&mut [sliding(key, 10_000, UNIT, UNIT, true)], "h", at(us));
                }
                us += 20_000;
                counters.sweep(at(us), 10_000);
            }
        });
        for call in 0..40_000 {
            let mut demands = [lasting(call % 20)];
            if counters.take(&mut demands, "g", at(1_000_000)).is_ok() {
                reservations.open(
                    ReservationId::new(call.into()),
                    crate::PEP,
                    "g",
                    &demands,
                    at(1_000_000),
                );
                assert!(reservations.roll_back(
                    ReservationId::new(call.into()),
                    crate::PEP,
                    counters,
                    at(1_000_000)
                ));
            }
        }
        done.store(true, Ordering::Relaxed);
    });
    for number in 0..20 {
        assert_eq!(
            remaining(counters, lasting(number), 1_000_000),
            1_000,
            "count {number}"
        );
    }
}

#[test]
fn a_look_at_a_count_that_is_being_made_is_harmless() {
    let counters = &Counters::new(100_000, 100_000, &[1; 16]);
    let month = |number: u64| {
        let key = u128::from(number).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let mut demand = sliding(key, 1, 1_000 * UNIT, UNIT, false);
        demand.shape.window = Window::Calendar(Period::Month);
        [demand]
    };
    let now = at(1_790_000_000_000_000);
    thread::scope(|scope| {
        scope.spawn(|| {
            for number in 0..20_000 {
                assert!(counters.take(&mut month(number), "g", now).is_ok());
            }
        });
        for number in 0..20_000 {
            let mut demands = month(number);
            counters.look(&mut demands, now);
            assert!(demands[0].view.reset_after_us <= 31 * 86_400_000_000);
            assert!(demands[0].view.remaining <= Micros(1_000 * UNIT));
        }
    });
}
