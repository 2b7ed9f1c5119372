//! One thread: an admitted call, a refused one, and a million counters at random.

use std::time::Instant;

use crate::limiters::{Limit, Limiter, key};

/// The work of one block of calls.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Work {
    pub(crate) name: &'static str,
    pub(crate) limit: Limit,
    /// Keys that are used at random; each is made before anything is timed.
    pub(crate) keys: u64,
    /// Units taken of each key beforehand, all at one instant.
    pub(crate) taken_before: u32,
    /// Simulated time between calls.
    pub(crate) step_ns: u64,
    /// The expected answer to every call: true if it is admitted.
    pub(crate) admitted: bool,
}

const MINUTE_US: u64 = 60_000_000;
const HOUR_US: u64 = 60 * MINUTE_US;
const SECOND_NS: u64 = 1_000_000_000;

/// The works that one thread is timed at. Admitted calls come at two thirds of the pace that the limit would allow, so
/// that each finds units to expire and a count that is neither empty nor full.
pub(crate) const WORKS: [Work; 5] = [
    Work {
        name: "admitted, 30 per minute",
        limit: Limit {
            max: 30,
            window_us: MINUTE_US,
        },
        keys: 1,
        taken_before: 1,
        step_ns: 3 * SECOND_NS,
        admitted: true,
    },
    Work {
        name: "admitted, 10,000 per minute",
        limit: Limit {
            max: 10_000,
            window_us: MINUTE_US,
        },
        keys: 1,
        taken_before: 1,
        step_ns: SECOND_NS / 100,
        admitted: true,
    },
    Work {
        name: "refused, 30 per hour",
        limit: Limit {
            max: 30,
            window_us: HOUR_US,
        },
        keys: 1,
        taken_before: 30,
        // In all less than it takes GCRA to let one more through.
        step_ns: 10,
        admitted: false,
    },
    Work {
        name: "refused, 10,000 per hour",
        limit: Limit {
            max: 10_000,
            window_us: HOUR_US,
        },
        keys: 1,
        taken_before: 10_000,
        step_ns: 10,
        admitted: false,
    },
    Work {
        name: "admitted, a million counters at random",
        limit: Limit {
            max: 30,
            window_us: MINUTE_US,
        },
        keys: 1_000_000,
        taken_before: 1,
        // Each key is asked about once a minute.
        step_ns: 60_000,
        admitted: true,
    },
];

/// One limiter with one work.
pub(crate) struct Subject {
    pub(crate) limiter: &'static str,
    /// Nanoseconds per call of each round.
    pub(crate) rounds_ns: Vec<f64>,
    block: Box<dyn FnMut(u32) -> f64>,
}

impl Subject {
    /// Makes a limiter with its counters.
    pub(crate) fn new<L: Limiter + 'static>(work: Work) -> Self {
        let limiter = L::new(work.limit, usize::try_from(work.keys).expect("fits") + 1);
        let mut now_ns = 1_000_000 * SECOND_NS;
        for number in 0..work.keys {
            for _ in 0..work.taken_before {
                assert!(limiter.take(key(number), now_ns), "{} of {}", L::NAME, work.name);
            }
        }
        let mut random = 0x2545_F491_4F6C_DD1D_u64;
        let block = move |calls: u32| {
            let mut admitted = 0;
            let start = Instant::now();
            for _ in 0..calls {
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                now_ns += work.step_ns;
                admitted += u32::from(limiter.take(key(random % work.keys), now_ns));
            }
            let elapsed = start.elapsed();
            let wanted = if work.admitted { calls } else { 0 };
            assert_eq!(admitted, wanted, "{} of {}", L::NAME, work.name);
            elapsed.as_secs_f64() * 1e9 / f64::from(calls)
        };
        Self {
            limiter: L::NAME,
            rounds_ns: Vec::new(),
            block: Box::new(block),
        }
    }

    /// Times one block of calls.
    pub(crate) fn round(&mut self, calls: u32) {
        let ns = (self.block)(calls);
        self.rounds_ns.push(ns);
    }

    /// Runs one block without keeping its time.
    pub(crate) fn warm(&mut self, calls: u32) {
        (self.block)(calls);
    }
}
