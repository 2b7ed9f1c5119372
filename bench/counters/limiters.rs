//! The timed limiters: callgate's counters, and their alternatives.

use std::cell::Cell;
use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::sync::Mutex;
use std::time::Duration;

use callgate_counters::{ClockReading, CountKey, CountShape, Counters, Demand, Micros, Now, Window};
use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::state::keyed::DashMapStateStore;
use governor::{Quota, RateLimiter};
use hashbrown::HashMap;
use tempfile::TempDir;

/// At most `max` calls in any `window_us`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limit {
    pub(crate) max: u32,
    pub(crate) window_us: u64,
}

/// Counts calls by key and refuses those above the limit; time is an argument for every limiter.
pub(crate) trait Limiter: Send + Sync {
    const NAME: &'static str;

    fn new(limit: Limit, capacity: usize) -> Self;

    /// Takes one unit at this instant; false if it is refused.
    fn take(&self, key: u128, now_ns: u64) -> bool;
}

/// callgate's counters, in memory.
pub(crate) struct Memory {
    counters: Counters,
    shape: CountShape,
}

impl Limiter for Memory {
    const NAME: &'static str = "callgate";

    fn new(limit: Limit, capacity: usize) -> Self {
        Self {
            counters: Counters::new(capacity, capacity, &[9; 16]),
            shape: shape(limit),
        }
    }

    fn take(&self, key: u128, now_ns: u64) -> bool {
        let mut demand = [Demand::new(CountKey(key), self.shape, Micros::ONE)];
        self.counters.take(&mut demand, "grant", instant(now_ns)).is_ok()
    }
}

/// callgate's counters, in a file.
pub(crate) struct InFile {
    counters: Counters,
    shape: CountShape,
    _folder: TempDir,
}

impl Limiter for InFile {
    const NAME: &'static str = "callgate, counters in a file";

    fn new(limit: Limit, capacity: usize) -> Self {
        // The working directory is on a disk; the system's temporary folder may itself be memory.
        let folder = TempDir::with_prefix_in(".bench-", ".").expect("there is room for a folder");
        let reading = ClockReading {
            boot_id: [1; 16],
            boot_us: 1,
            unix_us: 1,
        };
        let path = folder.path().join("counters");
        Self {
            counters: Counters::open(&path, capacity, capacity, &[9; 16], || Ok(reading))
                .expect("the file opens"),
            shape: shape(limit),
            _folder: folder,
        }
    }

    fn take(&self, key: u128, now_ns: u64) -> bool {
        let mut demand = [Demand::new(CountKey(key), self.shape, Micros::ONE)];
        self.counters.take(&mut demand, "grant", instant(now_ns)).is_ok()
    }
}

fn shape(limit: Limit) -> CountShape {
    CountShape {
        window: Window::Sliding {
            window_us: limit.window_us,
        },
        max: Micros(u64::from(limit.max) * Micros::ONE.0),
        whole_units: true,
        sharing: callgate_counters::Sharing::Local,
    }
}

const fn instant(now_ns: u64) -> Now {
    Now {
        boot_ns: now_ns,
        unix_offset_us: 0,
    }
}

/// The simplest limiter of the same exactness: a map of logs behind one mutex, with the fastest hash available.
pub(crate) struct MutexMap {
    logs: Mutex<HashMap<u128, VecDeque<u64>>>,
    limit: Limit,
}

impl Limiter for MutexMap {
    const NAME: &'static str = "Mutex<HashMap<_, VecDeque<_>>>";

    fn new(limit: Limit, capacity: usize) -> Self {
        Self {
            logs: Mutex::new(HashMap::with_capacity(capacity)),
            limit,
        }
    }

    fn take(&self, key: u128, now_ns: u64) -> bool {
        let stamp_us = now_ns.div_ceil(1_000);
        let mut logs = self.logs.lock().expect("no holder panics");
        let log = logs.entry(key).or_default();
        while log
            .front()
            .is_some_and(|oldest_us| stamp_us.saturating_sub(*oldest_us) >= self.limit.window_us)
        {
            log.pop_front();
        }
        let free = log.len() < self.limit.max as usize;
        if free {
            log.push_back(stamp_us);
        }
        free
    }
}

/// The `governor` crate, by key. It does something else: GCRA admits a burst of `max`, then one call per `window/max`,
/// so up to twice `max` within one window, and keeps one word per key instead of `max` stamps.
pub(crate) struct Governor {
    limiter: RateLimiter<u128, DashMapStateStore<u128>, GivenTime, NoOpMiddleware<Duration>>,
}

impl Limiter for Governor {
    const NAME: &'static str = "governor (GCRA)";

    fn new(limit: Limit, _capacity: usize) -> Self {
        // It counts from the time at which it is made, and an earlier subject's may lie far ahead.
        GIVEN_NS.set(0);
        let max = NonZeroU32::new(limit.max).expect("no limit here is 0");
        let period = Duration::from_nanos((limit.window_us * 1_000 / u64::from(limit.max)).max(1));
        let quota = Quota::with_period(period)
            .expect("the period is not 0")
            .allow_burst(max);
        Self {
            limiter: RateLimiter::dashmap_with_clock(quota, GivenTime),
        }
    }

    fn take(&self, key: u128, now_ns: u64) -> bool {
        GIVEN_NS.set(now_ns);
        self.limiter.check_key(&key).is_ok()
    }
}

thread_local! {
    static GIVEN_NS: Cell<u64> = const { Cell::new(0) };
}

/// A clock that returns the time given to its thread, so that no limiter is charged for reading a clock.
#[derive(Clone)]
pub(crate) struct GivenTime;

impl Clock for GivenTime {
    type Instant = Duration;

    fn now(&self) -> Duration {
        Duration::from_nanos(GIVEN_NS.get())
    }
}

/// Makes well-mixed identities, like those of a hash.
pub(crate) const fn key(number: u64) -> u128 {
    (number as u128 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835)
}

/// Checks each limiter before it is timed.
pub(crate) fn check<L: Limiter>() {
    const WINDOW_US: u64 = 60_000_000;
    const START_NS: u64 = 1_000_000_000_000;
    let limit = Limit {
        max: 3,
        window_us: WINDOW_US,
    };
    let limiter = L::new(limit, 100);
    for _ in 0..3 {
        assert!(limiter.take(key(1), START_NS), "{}: within the limit", L::NAME);
    }
    assert!(!limiter.take(key(1), START_NS), "{}: the fourth call", L::NAME);
    assert!(limiter.take(key(2), START_NS), "{}: another key", L::NAME);
    // Where GCRA is another thing: a third of the window later one more call passes, the fourth within one window.
    let gives_early = limiter.take(key(1), START_NS + WINDOW_US * 1_000 / 3 + 1);
    assert_eq!(gives_early, L::NAME == Governor::NAME, "{}", L::NAME);
    assert!(
        limiter.take(key(1), START_NS + WINDOW_US * 1_001),
        "{}: a window later",
        L::NAME
    );
}
