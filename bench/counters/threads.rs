//! One and two threads, on one counter and on one each.

use std::sync::Barrier;
use std::time::Instant;

use crate::limiters::{Limit, Limiter, key};

/// The work of the threads.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Work {
    pub(crate) name: &'static str,
    pub(crate) limit: Limit,
    pub(crate) admitted: bool,
}

/// The works of the threads. Threads run on the real clock, because each must see the stamps of the others. The
/// admitted limit is out of reach for any of them, and its window is short, so that a log stays small.
pub(crate) const WORKS: [Work; 2] = [
    Work {
        name: "admitted, a billion per 100 ms",
        limit: Limit {
            max: 1_000_000_000,
            window_us: 100_000,
        },
        admitted: true,
    },
    Work {
        name: "refused, 30 per hour",
        limit: Limit {
            max: 30,
            window_us: 3_600_000_000,
        },
        admitted: false,
    },
];

/// The distribution of the calls over threads and counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Spread {
    Alone,
    TwoTogether,
    TwoApart,
}

/// All distributions, in the order of the table's columns.
pub(crate) const SPREADS: [Spread; 3] = [Spread::Alone, Spread::TwoTogether, Spread::TwoApart];

/// Calls between two readings of the clock: at some nanoseconds a call, time moves by a microsecond at most.
const CALLS_PER_READING: u32 = 64;

/// Returns millions of calls per second, of all threads together.
pub(crate) fn round<L: Limiter>(work: Work, spread: Spread, calls: u32) -> f64 {
    let limiter = L::new(work.limit, 16);
    let began = Instant::now();
    // Not 0, so that no stamp looks as if it had never been.
    let now_ns = || 1_000_000_000_000 + u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX);
    let threads: u64 = if spread == Spread::Alone { 1 } else { 2 };
    let of_thread = |thread: u64| key(if spread == Spread::TwoApart { thread } else { 0 });
    for thread in 0..threads {
        while !work.admitted && limiter.take(of_thread(thread), now_ns()) {}
    }

    let barrier = Barrier::new(usize::try_from(threads).expect("fits"));
    let run = |thread: u64| {
        let key = of_thread(thread);
        barrier.wait();
        let start = Instant::now();
        let mut admitted = 0;
        for _ in 0..calls / CALLS_PER_READING {
            let now_ns = now_ns();
            for _ in 0..CALLS_PER_READING {
                admitted += u32::from(limiter.take(key, now_ns));
            }
        }
        (admitted, start, Instant::now())
    };
    let done: Vec<(u32, Instant, Instant)> = std::thread::scope(|scope| {
        let running: Vec<_> = (0..threads)
            .map(|thread| scope.spawn(move || run(thread)))
            .collect();
        running
            .into_iter()
            .map(|thread| thread.join().expect("the assertion is below"))
            .collect()
    });
    let asked = calls / CALLS_PER_READING * CALLS_PER_READING;
    for (admitted, ..) in &done {
        let wanted = if work.admitted { asked } else { 0 };
        assert_eq!(*admitted, wanted, "{} of {}, {spread:?}", L::NAME, work.name);
    }
    let start = done
        .iter()
        .map(|(_, start, _)| *start)
        .min()
        .expect("a thread ran");
    let end = done.iter().map(|(.., end)| *end).max().expect("a thread ran");
    f64::from(asked) * done.len() as f64 / (end - start).as_secs_f64() / 1e6
}
