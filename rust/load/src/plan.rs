//! The state that all connections of a run share.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use crate::error::LoadError;
use crate::http2::{Failure, Head};
use crate::message::Requests;
use crate::options::{Options, Token};
use crate::stats::Stats;

const NS_PER_MS: u64 = 1_000_000;

/// The load and the progress of the run.
pub(crate) struct Plan {
    pub(crate) options: Options,
    pub(crate) head: Head,
    pub(crate) tls: Option<Arc<rustls::ClientConfig>>,
    pub(crate) requests: Requests,
    epoch: Instant,
    timeline: OnceLock<Timeline>,
    /// The time at which the run was stopped early; `u64::MAX` if it was not.
    stopped_ns: AtomicU64,
    has_answer: AtomicBool,
    /// The first request that failed.
    first_failure: Mutex<Option<Failure>>,
    down: AtomicUsize,
    last_loss: Mutex<String>,
}

/// The times of the run's phases, in nanoseconds since the plan was made.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::struct_field_names, reason = "names carry their unit")]
pub(crate) struct Timeline {
    pub(crate) start_ns: u64,
    pub(crate) measure_ns: u64,
    pub(crate) end_ns: u64,
}

impl Plan {
    pub(crate) fn new(options: Options, requests: Requests) -> Result<Self, LoadError> {
        let tls = options.tls.config(options.target.is_tls())?;
        let head = Head {
            is_tls: options.target.is_tls(),
            authority: options.target.authority(),
            path: options.method.path().to_owned(),
            token: options.token.as_ref().map(Token::reveal).map(str::to_owned),
        };
        Ok(Self {
            options,
            head,
            tls,
            requests,
            epoch: Instant::now(),
            timeline: OnceLock::new(),
            stopped_ns: AtomicU64::new(u64::MAX),
            has_answer: AtomicBool::new(false),
            first_failure: Mutex::default(),
            down: AtomicUsize::new(0),
            last_loss: Mutex::default(),
        })
    }

    /// The run's clock.
    pub(crate) fn now_ns(&self) -> u64 {
        // u64 holds 584 years of nanoseconds.
        u64::try_from(self.epoch.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// A time of the run's clock as one that threads can sleep until.
    pub(crate) fn instant(&self, at_ns: u64) -> Instant {
        self.epoch + Duration::from_nanos(at_ns)
    }

    /// Begins the load, after all connections are open.
    pub(crate) fn begin(&self) -> Timeline {
        *self.timeline.get_or_init(|| {
            let start_ns = self.now_ns();
            let measure_ns = start_ns + self.options.warmup_ms * NS_PER_MS;
            Timeline {
                start_ns,
                measure_ns,
                end_ns: measure_ns + self.options.duration_ms * NS_PER_MS,
            }
        })
    }

    pub(crate) fn timeline(&self) -> Option<Timeline> {
        self.timeline.get().copied()
    }

    /// Ends the run early.
    pub(crate) fn stop(&self) {
        // Relaxed: it publishes nothing but itself, and connections read it every few milliseconds.
        self.stopped_ns.fetch_min(self.now_ns(), Ordering::Relaxed);
    }

    /// The due time of the last request.
    pub(crate) fn end_ns(&self) -> u64 {
        let end_ns = self.timeline().map_or(u64::MAX, |timeline| timeline.end_ns);
        // Relaxed, as in `stop`.
        end_ns.min(self.stopped_ns.load(Ordering::Relaxed))
    }

    pub(crate) fn is_over(&self, now_ns: u64) -> bool {
        now_ns >= self.end_ns()
    }

    /// The end of the time in which answers are waited for.
    pub(crate) fn drain_ends_ns(&self) -> u64 {
        self.end_ns().saturating_add(self.timeout_ns())
    }

    pub(crate) const fn timeout_ns(&self) -> u64 {
        self.options.timeout_ms * NS_PER_MS
    }

    /// Returns whether a request with this due time is measured.
    pub(crate) fn is_measured(&self, due_ns: u64) -> bool {
        self.timeline()
            .is_some_and(|timeline| due_ns >= timeline.measure_ns)
    }

    /// Notes that a request was answered.
    pub(crate) fn answered(&self) {
        // Relaxed: it publishes nothing else. Read first, so that threads share the cache line instead of contending
        // for it.
        if !self.has_answer.load(Ordering::Relaxed) {
            self.has_answer.store(true, Ordering::Relaxed);
        }
    }

    pub(crate) fn has_answer(&self) -> bool {
        // Relaxed, as in `answered`.
        self.has_answer.load(Ordering::Relaxed)
    }

    /// Notes that a request failed.
    pub(crate) fn failed(&self, failure: &Failure) {
        if !self.has_answer() {
            locked(&self.first_failure).get_or_insert_with(|| failure.clone());
        }
    }

    pub(crate) fn first_failure(&self) -> Option<Failure> {
        locked(&self.first_failure).clone()
    }

    /// Notes that a connection broke.
    pub(crate) fn connection_lost(&self, why: String) {
        *locked(&self.last_loss) = why;
        // Relaxed: the reason has its own lock, and the count alone is compared.
        self.down.fetch_add(1, Ordering::Relaxed);
    }

    /// Notes that a broken connection could not be reopened.
    pub(crate) fn reopen_failed(&self, why: String) {
        *locked(&self.last_loss) = why;
    }

    /// Notes that a broken connection is open again.
    pub(crate) fn connection_reopened(&self) {
        // Relaxed, as in `lost`.
        self.down.fetch_sub(1, Ordering::Relaxed);
    }

    /// The reason if no connection is open.
    pub(crate) fn loss_of_all(&self) -> Option<String> {
        // Relaxed, as in `lost`.
        (self.down.load(Ordering::Relaxed) >= self.options.connections)
            .then(|| locked(&self.last_loss).clone())
    }
}

/// The counts of one thread.
pub(crate) struct SharedStats(Mutex<Stats>);

impl SharedStats {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(Stats::new()))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Stats> {
        locked(&self.0)
    }
}

/// Locks a mutex, poisoned or not: it guards counts and texts, which a panic cannot leave in a harmful state.
pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
