//! Counts that change their `max` keep what was taken, also across 256, and what was reserved can still be given back.

use callgate_counters::{Counters, Demand, Micros, Now, ReservationId, ReservationLimits, Reservations};

use crate::log::sliding;

const UNIT: u64 = 1_000_000;
const WINDOW_US: u64 = 60_000_000;

fn demand(max: u64) -> [Demand; 1] {
    [sliding(1, WINDOW_US, max * UNIT, UNIT, true)]
}

fn take(counters: &Counters, max: u64, now_us: u64) -> bool {
    counters
        .take(&mut demand(max), "g", Now::from_unix_us(now_us))
        .is_ok()
}

/// Units left of a count and the wait for one more, for a `max`.
fn look(counters: &Counters, max: u64, now_us: u64) -> (Micros, u64) {
    let mut demands = demand(max);
    counters.look(&mut demands, Now::from_unix_us(now_us));
    (demands[0].view.remaining, demands[0].view.wait_us)
}

#[test]
fn a_larger_max_adds_room() {
    for larger in [20, 300] {
        let counters = Counters::new(10, 10, &[1; 16]);
        for call in 0..10 {
            assert!(take(&counters, 10, call * 1_000_000));
        }
        assert!(!take(&counters, 10, 10_000_000));
        assert_eq!(
            look(&counters, larger, 10_000_000),
            (Micros((larger - 10) * UNIT), 0)
        );
        for call in 0..larger - 10 {
            assert!(take(&counters, larger, 11_000_000 + call), "{larger}: {call}");
        }
        assert!(!take(&counters, larger, 12_000_000));
        assert_eq!(
            look(&counters, larger, 12_000_000).1,
            48_000_000,
            "the first unit was taken at 0"
        );
        assert_eq!(counters.len(), 1);
    }
}

#[test]
fn a_smaller_max_waits_until_enough_has_expired() {
    for (before, smaller) in [(10, 4), (300, 4), (300, 280)] {
        let counters = Counters::new(10, 10, &[1; 16]);
        for call in 0..before {
            assert!(take(&counters, before, call * 100_000));
        }
        let now_us = before * 100_000;
        assert!(!take(&counters, smaller, now_us));
        let (remaining, wait_us) = look(&counters, smaller, now_us);
        assert_eq!(remaining, Micros(0));
        // Free when all but `smaller - 1` of the units have expired; above 256 late by a sixty-fourth of the window.
        let exact = (before - smaller) * 100_000 + WINDOW_US - now_us;
        let slack = if before > 256 { WINDOW_US / 64 } else { 0 };
        assert!(
            (exact..=exact + slack).contains(&wait_us),
            "{before} to {smaller}: {wait_us}, exact {exact}"
        );
        assert!(!take(&counters, smaller, now_us + exact - 1));
        assert!(take(&counters, smaller, now_us + exact + slack));
    }
}

#[test]
fn a_reservation_outlives_a_change_of_max() {
    for larger in [20, 300] {
        let counters = Counters::new(10, 10, &[1; 16]);
        let reservations = Reservations::new(30_000, ReservationLimits::in_all(10), &[1; 16]);
        let mut demands = demand(2);
        let now = Now::from_unix_us(1_000_000);
        assert!(counters.take(&mut demands, "g", now).is_ok());
        reservations.open(ReservationId::new(7), crate::PEP, "g", &demands, now);
        assert_eq!(look(&counters, larger, 1_000_001).0, Micros((larger - 1) * UNIT));
        assert!(reservations.roll_back(
            ReservationId::new(7),
            crate::PEP,
            &counters,
            Now::from_unix_us(1_000_002)
        ));
        assert_eq!(
            look(&counters, larger, 1_000_003).0,
            Micros(larger * UNIT),
            "to {larger}"
        );
    }
}

#[test]
fn reservations_expire_and_are_committed_oldest_first() {
    let counters = Counters::new(10, 10, &[1; 16]);
    let reservations = Reservations::new(30_000, ReservationLimits::in_all(2), &[1; 16]);
    for id in 0..3 {
        let mut demands = demand(10);
        let now = Now::from_unix_us(1_000_000);
        assert!(counters.take(&mut demands, "g", now).is_ok());
        reservations.open(ReservationId::new(id), crate::PEP, "g", &demands, now);
    }
    let later = Now::from_unix_us(1_000_000 + 29_999_999);
    assert!(
        !reservations.roll_back(ReservationId::new(0), crate::PEP, &counters, later),
        "the oldest gave way to the third"
    );
    assert!(reservations.roll_back(ReservationId::new(1), crate::PEP, &counters, later));
    assert!(
        !reservations.roll_back(
            ReservationId::new(2),
            crate::PEP,
            &counters,
            Now::from_unix_us(31_000_000)
        ),
        "expired after 30 s"
    );
    assert!(
        !reservations.commit(ReservationId::new(1), crate::PEP, later),
        "settled already"
    );
    assert_eq!(look(&counters, 10, 30_999_999).0, Micros(8 * UNIT));
}
