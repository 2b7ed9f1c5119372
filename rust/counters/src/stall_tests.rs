//! Contention of 64 threads that are held up where it hurts: between a read and the compare-and-swap that relies on it.
//!
//! Few cores let few threads meet. Here each thread gives its core away, or sleeps, at points that the atomics name
//! (`atomic::stall`), so that any number of others pass it there. Time is simulated and goes on meanwhile, so a thread
//! also comes back with a clock that is windows behind.

use std::cell::Cell;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::thread;
use std::time::Duration;

use crate::atomic::Ordering;
use crate::{CountKey, CountShape, Counters, Demand, Micros, Now, Window};

const THREADS: u64 = 64;
const CALLS: u64 = 2_000;
const WINDOW_US: u64 = 10_000;
const UNIT: u64 = Micros::ONE.0;

thread_local! {
    /// The state of this thread's generator; 0 if the thread does not stall.
    static STATE: Cell<u64> = const { Cell::new(0) };
    /// The work of others, as far as this thread sees it, at its next stall.
    static MEANWHILE: Cell<Option<Box<dyn FnOnce()>>> = const { Cell::new(None) };
}

/// A number below `bound`.
fn random(bound: u64) -> u64 {
    let mut state = STATE.get();
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    STATE.set(state);
    state % bound
}

/// Holds this thread up, if it takes part in a test of contention.
pub(crate) fn stall() {
    if let Some(meanwhile) = MEANWHILE.take() {
        meanwhile();
    }
    if STATE.get() == 0 {
        return;
    }
    match random(200) {
        0..20 => thread::yield_now(),
        20 => thread::sleep(Duration::from_micros(50)),
        _ => {}
    }
}

/// A count of the test: its number is its identity.
#[derive(Clone, Copy)]
struct Limit {
    max: u64,
    whole_units: bool,
}

impl Limit {
    fn demand(self, number: usize, cost: u64) -> Demand {
        let shape = CountShape {
            window: Window::Sliding { window_us: WINDOW_US },
            max: Micros(self.max),
            whole_units: self.whole_units,
            sharing: crate::Sharing::Local,
        };
        Demand::new(CountKey(number as u128), shape, Micros(cost))
    }
}

/// The units that one thread was admitted: count, stamp and amount.
type Admitted = Vec<(usize, u64, u64)>;

/// Calls from all threads, each for some of these limits; a fifth of what is admitted is given back. Then no interval of a
/// window may hold more than `max`, and a window later everything is free again.
fn contend(capacity: usize, limits: &[Limit], demands: impl Fn() -> Vec<(usize, u64)> + Sync) {
    let counters = Counters::new(capacity, capacity, &[5; 16]);
    let clock = AtomicU64::new(10 * WINDOW_US);
    let (of_all, clock_of_all, demands) = (&counters, &clock, &demands);
    let run = |number: u64| {
        STATE.set(0x9E37_79B9_7F4A_7C15 ^ (number + 1));
        let mut admitted = Admitted::new();
        for _ in 0..CALLS {
            let now = Now::from_unix_us(clock_of_all.fetch_add(random(40), Ordering::Relaxed));
            stall();
            let wanted = demands();
            let mut taken: Vec<Demand> = wanted
                .iter()
                .map(|&(limit, cost)| limits[limit].demand(limit, cost))
                .collect();
            if let Ok(stamp_us) = of_all.take(&mut taken, "g", now) {
                if random(5) == 0 {
                    for demand in &taken {
                        of_all.give_back(demand, now);
                    }
                } else {
                    admitted.extend(wanted.iter().map(|&(limit, cost)| (limit, stamp_us, cost)));
                }
            }
            if random(16) == 0 {
                of_all.sweep(now, 8);
                of_all.turn(2);
            }
        }
        admitted
    };
    let mut admitted: Admitted = thread::scope(|scope| {
        let run = &run;
        let threads: Vec<_> = (0..THREADS)
            .map(|number| scope.spawn(move || run(number)))
            .collect();
        threads
            .into_iter()
            .flat_map(|thread| thread.join().unwrap_or_else(|panic| resume_unwind(panic)))
            .collect()
    });
    admitted.sort_unstable();
    let end = Now::from_unix_us(clock.into_inner() + 2 * WINDOW_US);
    let in_all: u64 = admitted.iter().map(|(.., amount)| amount).sum();
    let most: u64 = limits.iter().map(|limit| limit.max).sum();
    assert!(in_all > 4 * most, "only {in_all} in all: nothing was tested");
    for (number, limit) in limits.iter().enumerate() {
        let of_limit: Vec<_> = admitted.iter().filter(|(of, ..)| *of == number).collect();
        let in_all: u64 = of_limit.iter().map(|(.., amount)| amount).sum();
        assert!(
            in_all > 3 * limit.max,
            "only {in_all} of count {number}: nothing was tested"
        );
        let (mut first, mut held) = (0, 0);
        for (_, stamp_us, amount) in &of_limit {
            held += amount;
            while stamp_us - of_limit[first].1 >= WINDOW_US {
                held -= of_limit[first].2;
                first += 1;
            }
            assert!(
                held <= limit.max,
                "{held} of {} in a window before {stamp_us}",
                limit.max
            );
        }
        let mut all = [limit.demand(number, limit.max)];
        assert!(counters.look(&mut all, end));
        assert_eq!(
            all[0].view.remaining.0, limit.max,
            "units of count {number} are lost"
        );
        assert!(counters.take(&mut all, "g", end).is_ok());
        counters.give_back(&all[0], end);
    }
    counters.sweep(end, 10_000);
    assert!(counters.is_empty(), "a counter is believed to be in use");
}

#[test]
fn a_call_is_not_refused_by_the_count_that_its_cell_serves_meanwhile() {
    for whole_units in [true, false] {
        let limit = Limit {
            max: 3 * UNIT,
            whole_units,
        };
        let counters = Arc::new(Counters::new(8, 8, &[5; 16]));
        let begin = Now::from_unix_us(10 * WINDOW_US);
        let later = Now::from_unix_us(12 * WINDOW_US);
        let mut idle = [limit.demand(0, UNIT)];
        assert!(counters.take(&mut idle, "g", begin).is_ok());
        let of_others = Arc::clone(&counters);
        MEANWHILE.set(Some(Box::new(move || {
            // Its counter is in use no more, and another one takes the cell.
            for _ in 0..2 {
                of_others.sweep(later, 1_000);
            }
            assert!(of_others.is_empty());
            assert!(
                of_others
                    .take(&mut [limit.demand(1, limit.max)], "g", later)
                    .is_ok()
            );
        })));
        let mut held_up = [limit.demand(0, UNIT)];
        assert!(
            counters.take(&mut held_up, "g", later).is_ok(),
            "whole units: {whole_units}"
        );
        assert_eq!(held_up[0].view.remaining.0, 2 * UNIT);
        assert!(MEANWHILE.take().is_none());
    }
}

#[test]
fn slots_hold_no_more_than_max_and_lose_nothing() {
    for max in [1, 3, 30] {
        let limit = Limit {
            max: max * UNIT,
            whole_units: true,
        };
        contend(8, &[limit], || vec![(0, (1 + random(max.min(3))) * UNIT)]);
    }
}

#[test]
fn ledgers_hold_no_more_than_max_and_lose_nothing() {
    for max in [UNIT, 300 * UNIT] {
        let limit = Limit {
            max,
            whole_units: false,
        };
        contend(8, &[limit], || vec![(0, 1 + random(max / 2))]);
    }
}

#[test]
fn several_counts_of_one_call_hold_no_more_than_max_and_lose_nothing() {
    let [slots, ledger] = [true, false].map(|whole_units| Limit {
        max: 20 * UNIT,
        whole_units,
    });
    contend(8, &[slots, ledger], || vec![(0, UNIT), (1, 1 + random(2 * UNIT))]);
}

#[test]
fn counters_that_come_and_go_hold_no_more_than_max_and_lose_nothing() {
    // Ten counts in room for six, half of them of another layout: cells and blocks change hands under the threads.
    let limits: Vec<Limit> = (0..10)
        .map(|number| Limit {
            max: (1 + number % 3) * UNIT,
            whole_units: number < 5,
        })
        .collect();
    contend(6, &limits, || vec![(usize::try_from(random(10)).unwrap(), UNIT)]);
}
