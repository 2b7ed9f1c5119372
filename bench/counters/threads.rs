//! One and two threads, on one counter and on one each.

use std::sync::Barrier;
use std::time::{Duration, Instant, SystemTime};

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

impl Spread {
    const fn threads(self) -> u64 {
        match self {
            Self::Alone => 1,
            Self::TwoTogether | Self::TwoApart => 2,
        }
    }
}

/// All distributions, in the order of the table's columns.
pub(crate) const SPREADS: [Spread; 3] = [Spread::Alone, Spread::TwoTogether, Spread::TwoApart];

/// Calls between two readings of the clock: at some nanoseconds a call, time moves by a microsecond at most.
const CALLS_PER_READING: u32 = 64;

/// Calls of one thread, all answered rightly, and the Unix times between which they were made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ran {
    pub(crate) calls: u32,
    pub(crate) began: Duration,
    pub(crate) ended: Duration,
}

/// A limiter for some threads, whose counts are used up where calls are to be refused.
struct Rig<L> {
    limiter: L,
    work: Work,
    spread: Spread,
    made: Instant,
    made_unix: Duration,
}

impl<L: Limiter> Rig<L> {
    fn new(work: Work, spread: Spread) -> Self {
        let rig = Self {
            limiter: L::new(work.limit, 16),
            work,
            spread,
            made: Instant::now(),
            made_unix: SystemTime::UNIX_EPOCH.elapsed().expect("it is after 1970"),
        };
        for thread in 0..spread.threads() {
            while !work.admitted && rig.limiter.take(rig.key_of(thread), rig.now_ns()) {}
        }
        rig
    }

    fn key_of(&self, thread: u64) -> u128 {
        key(if self.spread == Spread::TwoApart {
            thread
        } else {
            0
        })
    }

    fn now_ns(&self) -> u64 {
        // Not 0, so that no stamp looks as if it had never been.
        1_000_000_000_000 + u64::try_from(self.made.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// Calls of one thread.
    fn run(&self, thread: u64, calls: u32) -> Ran {
        let key = self.key_of(thread);
        let mut admitted = 0;
        let began = self.made.elapsed();
        for _ in 0..calls / CALLS_PER_READING {
            let now_ns = self.now_ns();
            for _ in 0..CALLS_PER_READING {
                admitted += u32::from(self.limiter.take(key, now_ns));
            }
        }
        let ended = self.made.elapsed();
        let wanted = if self.work.admitted { asked(calls) } else { 0 };
        assert_eq!(
            admitted,
            wanted,
            "{} of {}, {:?}",
            L::NAME,
            self.work.name,
            self.spread
        );
        Ran {
            calls: asked(calls),
            began: self.made_unix + began,
            ended: self.made_unix + ended,
        }
    }
}

const fn asked(calls: u32) -> u32 {
    calls / CALLS_PER_READING * CALLS_PER_READING
}

/// Returns millions of calls per second, of all threads together.
pub(crate) fn round<L: Limiter>(work: Work, spread: Spread, calls: u32) -> f64 {
    let rig = Rig::<L>::new(work, spread);
    let barrier = Barrier::new(usize::try_from(spread.threads()).expect("fits"));
    let run = |thread| {
        barrier.wait();
        rig.run(thread, calls)
    };
    let ran: Vec<Ran> = std::thread::scope(|scope| {
        let run = &run;
        let running: Vec<_> = (0..spread.threads())
            .map(|thread| scope.spawn(move || run(thread)))
            .collect();
        running
            .into_iter()
            .map(|thread| thread.join().expect("its calls were answered rightly"))
            .collect()
    });
    rate(&ran)
}

/// Makes the calls of one thread once the word to begin comes, in a process of its own.
pub(crate) fn round_on_command<L: Limiter>(work: Work, calls: u32, begin: &dyn Fn()) -> Ran {
    let rig = Rig::<L>::new(work, Spread::Alone);
    begin();
    rig.run(0, calls)
}

/// Returns millions of calls per second, from the first to the last.
pub(crate) fn rate(ran: &[Ran]) -> f64 {
    let began = ran.iter().map(|ran| ran.began).min().expect("a thread ran");
    let ended = ran.iter().map(|ran| ran.ended).max().expect("a thread ran");
    let calls: u32 = ran.iter().map(|ran| ran.calls).sum();
    f64::from(calls) / ended.saturating_sub(began).as_secs_f64() / 1e6
}
