//! The counters under many threads: admissions are recorded by their stamps, and no interval of one window may hold
//! more than `max`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use callgate_counters::{
    Counters, Demand, Now, Period, ReservationId, ReservationLimits, Reservations, Window,
};

use crate::log::{Log, sliding};

const UNIT: u64 = 1_000_000;
const THREADS: u64 = 8;

/// A small generator, so that each thread's calls are its own and repeatable.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

/// Calls from many threads on a clock that all of them push forward, each reading it a little before it calls.
/// Gives the admissions that were not rolled back.
fn flood(
    calls: u64,
    roll_backs: bool,
    demands: impl Fn(&mut Random) -> Vec<Demand> + Sync,
) -> Vec<(u64, Vec<Demand>)> {
    let counters = Counters::new(100, 100, &[5; 16]);
    let reservations = Reservations::new(1_000_000, ReservationLimits::in_all(1_000_000), &[1; 16]);
    let clock = AtomicU64::new(1_000_000);
    let (counters, reservations, clock, demands) = (&counters, &reservations, &clock, &demands);
    thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|number| {
                scope.spawn(move || {
                    let mut random = Random(0x9E37_79B9_7F4A_7C15 ^ (number + 1));
                    let mut admitted = Vec::new();
                    for call in 0..calls {
                        let now = Now::from_unix_us(clock.fetch_add(random.below(40), Ordering::Relaxed));
                        if random.below(16) == 0 {
                            // A thread that is held up between reading the clock and taking.
                            thread::yield_now();
                        }
                        let mut wanted = demands(&mut random);
                        if let Ok(stamp_us) = counters.take(&mut wanted, "g", now) {
                            if roll_backs && random.below(3) == 0 {
                                let id = u128::from(number) << 64 | u128::from(call);
                                reservations.open(ReservationId::new(id), crate::PEP, "g", &wanted, now);
                                assert!(reservations.roll_back(
                                    ReservationId::new(id),
                                    crate::PEP,
                                    counters,
                                    now
                                ));
                            } else {
                                admitted.push((stamp_us, wanted));
                            }
                        }
                        if random.below(64) == 0 {
                            counters.sweep(now, 8);
                        }
                    }
                    admitted
                })
            })
            .collect();
        threads
            .into_iter()
            .flat_map(|thread| thread.join().unwrap())
            .collect()
    })
}

fn logs(admitted: &[(u64, Vec<Demand>)], counts: usize) -> Vec<Log> {
    let mut logs: Vec<Log> = (0..counts).map(|_| Log::default()).collect();
    for (stamp_us, demands) in admitted {
        for demand in demands {
            logs[usize::try_from(demand.key.0).unwrap()]
                .entries
                .push((*stamp_us, demand.cost.0));
        }
    }
    logs
}

#[test]
fn slots_never_hold_more_than_max_in_any_interval() {
    for max in [1, 3, 64, 256] {
        let admitted = flood(20_000, false, |_| {
            vec![sliding(0, 10_000, max * UNIT, UNIT, true)]
        });
        let worst = logs(&admitted, 1)[0].worst_interval(10_000);
        assert!(worst <= max * UNIT, "{worst} of {max}");
        assert!(
            admitted.len() as u64 > 10 * max,
            "only {} admissions: nothing was tested",
            admitted.len()
        );
    }
}

#[test]
fn ledgers_never_hold_more_than_max_in_any_interval() {
    for max in [1, 5, 300, 5_000] {
        let admitted = flood(20_000, false, |random| {
            vec![sliding(
                0,
                20_000,
                max * UNIT,
                1 + random.below(max * UNIT / 2),
                false,
            )]
        });
        let worst = logs(&admitted, 1)[0].worst_interval(20_000);
        assert!(worst <= max * UNIT, "{worst} of {max}");
        assert!(
            admitted.len() > 50,
            "only {} admissions: nothing was tested",
            admitted.len()
        );
    }
}

#[test]
fn several_limits_hold_together_with_roll_backs() {
    let limits = [
        (10_000, 40 * UNIT, true),
        (30_000, 90 * UNIT, true),
        (25_000, 400 * UNIT, false),
    ];
    let admitted = flood(20_000, true, |random| {
        let mut wanted = Vec::new();
        for (n, (window_us, max, whole)) in limits.into_iter().enumerate() {
            if random.below(3) > 0 {
                wanted.push(sliding(
                    n as u128,
                    window_us,
                    max,
                    UNIT * (1 + random.below(3)),
                    whole,
                ));
            }
        }
        if random.below(2) == 0 {
            wanted.reverse();
        }
        wanted
    });
    for (log, limit) in logs(&admitted, 3).iter().zip(limits) {
        assert!(log.worst_interval(limit.0) <= limit.1);
        assert!(log.entries.len() > 100, "nothing was tested");
    }
}

#[test]
fn everything_comes_back_when_the_threads_are_done() {
    // Holds and roll-backs leave nothing behind: after a window the whole of `max` is free again.
    let counters = Arc::new(Counters::new(100, 100, &[5; 16]));
    let reservations = Arc::new(Reservations::new(
        1_000_000,
        ReservationLimits::in_all(1_000_000),
        &[1; 16],
    ));
    let demands = || {
        vec![
            sliding(0, 10_000, 7 * UNIT, UNIT, true),
            sliding(1, 10_000, 9 * UNIT, UNIT, false),
        ]
    };
    thread::scope(|scope| {
        for number in 0..THREADS {
            let (counters, reservations) = (Arc::clone(&counters), Arc::clone(&reservations));
            scope.spawn(move || {
                for call in 0..20_000_u64 {
                    let now = Now::from_unix_us(50_000);
                    let mut wanted = demands();
                    if counters.take(&mut wanted, "g", now).is_ok() {
                        let id = u128::from(number) << 64 | u128::from(call);
                        reservations.open(ReservationId::new(id), crate::PEP, "g", &wanted, now);
                        assert!(reservations.roll_back(ReservationId::new(id), crate::PEP, &counters, now));
                    }
                }
            });
        }
    });
    let mut wanted = demands();
    counters.look(&mut wanted, Now::from_unix_us(50_000));
    assert_eq!(
        [wanted[0].view.remaining.0, wanted[1].view.remaining.0],
        [7 * UNIT, 9 * UNIT]
    );
    counters.sweep(Now::from_unix_us(100_000), 10);
    assert!(counters.is_empty());
}

#[test]
fn calendar_periods_never_hold_more_than_max() {
    let shape = |mut demand: Demand| {
        demand.shape.window = Window::Calendar(Period::Minute);
        demand
    };
    // The clock advances about 20 us a call, so start just before a minute turns.
    let counters = Counters::new(10, 10, &[5; 16]);
    let clock = AtomicU64::new(59_900_000);
    let admitted: Vec<u64> = thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|_| {
                scope.spawn(|| {
                    let mut stamps = Vec::new();
                    for _ in 0..2_000 {
                        let now = Now::from_unix_us(clock.fetch_add(20, Ordering::Relaxed));
                        let mut wanted = [shape(sliding(0, 1, 100 * UNIT, UNIT, true))];
                        if let Ok(stamp_us) = counters.take(&mut wanted, "g", now) {
                            stamps.push(stamp_us);
                        }
                    }
                    stamps
                })
            })
            .collect();
        threads
            .into_iter()
            .flat_map(|thread| thread.join().unwrap())
            .collect()
    });
    for minute in 0..2 {
        let in_minute = admitted
            .iter()
            .filter(|stamp| **stamp / 60_000_000 == minute)
            .count();
        assert_eq!(in_minute, 100, "minute {minute}");
    }
}

#[test]
fn cells_that_change_hands_under_load_keep_their_promise() {
    // More identities than there are counters, with windows short enough that cells go idle and are made again.
    let counters = Counters::new(8, 8, &[5; 16]);
    let clock = AtomicU64::new(1_000_000);
    let admitted: Vec<(u64, u128)> = thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|number| {
                let (counters, clock) = (&counters, &clock);
                scope.spawn(move || {
                    let mut random = Random(number + 77);
                    let mut admitted = Vec::new();
                    for _ in 0..20_000 {
                        let now = Now::from_unix_us(clock.fetch_add(random.below(2_000), Ordering::Relaxed));
                        let key = u128::from(random.below(24));
                        let whole = key.is_multiple_of(2);
                        let mut wanted = [sliding(key, 10_000, 2 * UNIT, UNIT, whole)];
                        if let Ok(stamp_us) = counters.take(&mut wanted, "g", now) {
                            admitted.push((stamp_us, key));
                        }
                        counters.sweep(now, 4);
                    }
                    admitted
                })
            })
            .collect();
        threads
            .into_iter()
            .flat_map(|thread| thread.join().unwrap())
            .collect()
    });
    assert!(counters.len() <= 8);
    for key in 0..24 {
        let entries = admitted
            .iter()
            .filter(|(_, of)| *of == key)
            .map(|(stamp, _)| (*stamp, UNIT))
            .collect();
        let worst = Log { entries }.worst_interval(10_000);
        assert!(worst <= 2 * UNIT, "count {key} holds {worst}");
    }
}
