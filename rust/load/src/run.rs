//! A run from its start to its report.

use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};
use serde::Serialize;
use tokio::sync::watch;

use crate::calls::Calls;
use crate::error::{LoadError, reason};
use crate::message::Requests;
use crate::options::Options;
use crate::plan::{Plan, Seat, Timeline, locked};
use crate::report::{Interval, Report, per_second, percentile_us, round};
use crate::stats::Stats;
use crate::summary::{Summary, summarise};
use crate::worker;

/// How often the run is looked at.
const TICK: Duration = Duration::from_millis(100);

/// How long the load goes on although nothing has been answered yet.
const PATIENCE_NS: u64 = 1_000_000_000;

/// How long no connection may be open before the target counts as gone.
const GONE_NS: u64 = 3_000_000_000;

/// Length of a sample, and how many there are at least.
const INTERVAL_NS: u64 = 1_000_000_000;
const MIN_INTERVALS: u64 = 5;

/// Shortest sample.
const MIN_INTERVAL_NS: u64 = 50_000_000;

const NS_PER_S: f64 = 1e9;

/// How far a run is.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Progress {
    /// `connect`, `warmup`, `measure` or `drain`.
    pub phase: &'static str,
    /// Since the load began.
    pub elapsed_s: f64,
    /// Warm-up and measured time together.
    pub total_s: f64,
    /// Answers per second, lately.
    pub requests_per_second: f64,
    /// Of the answers that came lately.
    pub p50_us: f64,
    /// Of the answers that came lately.
    pub p99_us: f64,
    /// Requests that failed in the measured time so far.
    pub errors: u64,
}

impl Progress {
    /// As a JSON object.
    pub fn to_json(&self) -> String {
        // Numbers and texts: nothing here fails.
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// A run that goes on in threads of its own.
pub struct Run {
    plan: Arc<Plan>,
    progress: Arc<Mutex<Progress>>,
    conductor: JoinHandle<Result<Report, LoadError>>,
}

impl Run {
    /// Starts a run; whether the target is there is known when it ends.
    pub fn start(options: Options, calls: &Calls) -> Result<Self, LoadError> {
        options.check()?;
        let requests = Requests::encode(calls.requests(), options.method, options.batch_size);
        let plan = Arc::new(Plan::new(options, requests)?);
        let progress = Arc::new(Mutex::new(Progress {
            phase: "connect",
            ..Progress::default()
        }));
        let (shared, shown) = (Arc::clone(&plan), Arc::clone(&progress));
        let conductor = Builder::new()
            .name("callgate-load".to_owned())
            .spawn(move || conduct(&shared, &shown))
            .map_err(|error| LoadError::Machine(reason(&error)))?;
        Ok(Self {
            plan,
            progress,
            conductor,
        })
    }

    /// How far it is.
    pub fn progress(&self) -> Progress {
        locked(&self.progress).clone()
    }

    /// Whether the report is there.
    pub fn is_finished(&self) -> bool {
        self.conductor.is_finished()
    }

    /// Sends nothing more; what was measured so far is reported.
    pub fn stop(&self) {
        self.plan.stop();
    }

    /// Waits for the report.
    pub fn finish(self) -> Result<Report, LoadError> {
        match self.conductor.join() {
            Ok(report) => report,
            Err(_panic) => Err(LoadError::Machine(
                "a thread of the generator panicked".to_owned(),
            )),
        }
    }
}

fn conduct(plan: &Arc<Plan>, progress: &Mutex<Progress>) -> Result<Report, LoadError> {
    let threads = plan.options.real_threads();
    let seats: Vec<_> = (0..threads).map(|_| Arc::new(Seat::new())).collect();
    let (opened, news) = mpsc::channel();
    let (begin, begins) = watch::channel(false);
    let mut workers = Vec::with_capacity(threads);
    for (number, seat) in seats.iter().enumerate() {
        let share = (number..plan.options.connections).step_by(threads).collect();
        workers.push(worker::start(plan, seat, share, opened.clone(), begins.clone())?);
    }
    drop(opened);
    let room = match wait_until_open(plan, &news) {
        Ok(room) => room,
        Err(error) => {
            plan.stop();
            // Those that are open wait to begin: without a sender they end.
            drop(begin);
            return Err(error);
        }
    };
    let timeline = plan.begin();
    // Somebody listens: the tasks that said they are open.
    let _ = begin.send(true);
    let watch = Watch::new(plan, &seats, progress, timeline);
    let watched = watch.until_the_end();
    locked(progress).phase = "drain";
    plan.stop();
    let panicked = workers.into_iter().any(|worker| worker.join().is_err());
    if panicked {
        return Err(LoadError::Machine(
            "a thread of the generator panicked".to_owned(),
        ));
    }
    let mut watched = watched?;
    for seat in &seats {
        // Answers of the drain belong to requests of the measured time, not to its throughput.
        let rest = seat.stats();
        let (answered, decided) = (watched.total.answered, watched.total.decided);
        watched.total.merge(&rest);
        (watched.total.answered, watched.total.decided) = (answered, decided);
    }
    nothing_succeeded(plan)?;
    summarise(plan, threads, room, watched)
}

/// Waits until every connection is open; gives the least room that one of them has.
fn wait_until_open(plan: &Plan, news: &mpsc::Receiver<worker::Opened>) -> Result<usize, LoadError> {
    let failed = |reason: String| LoadError::Target {
        target: plan.options.target.as_str().to_owned(),
        reason,
    };
    let mut room = usize::MAX;
    for _ in 0..plan.options.connections {
        loop {
            match news.recv_timeout(TICK) {
                Ok(Ok(of_this)) => {
                    room = room.min(of_this);
                    break;
                }
                Ok(Err(why)) => return Err(failed(format!("cannot connect: {why}"))),
                Err(RecvTimeoutError::Timeout) if plan.is_over(plan.now_ns()) => {
                    return Err(failed("stopped before it was connected".to_owned()));
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(LoadError::Machine(
                        "a thread of the generator panicked".to_owned(),
                    ));
                }
            }
        }
    }
    if room == 0 {
        return Err(failed("it allows no requests on a connection".to_owned()));
    }
    Ok(room)
}

fn nothing_succeeded(plan: &Plan) -> Result<(), LoadError> {
    if plan.has_answer() {
        return Ok(());
    }
    let Some(failure) = plan.first_failure() else {
        return Ok(());
    };
    let (label, detail) = (failure.label(), failure.detail());
    let colon = if detail.is_empty() { "" } else { ": " };
    Err(LoadError::Target {
        target: plan.options.target.as_str().to_owned(),
        reason: format!(
            "no request of `{}` succeeded: {label}{colon}{detail}",
            plan.options.method.as_str()
        ),
    })
}

/// What was seen while the load was on.
pub(crate) struct Watched {
    pub(crate) total: Stats,
    pub(crate) intervals: Vec<Interval>,
    pub(crate) elapsed_s: f64,
    pub(crate) cpu_s: f64,
    pub(crate) summary: Summary,
}

struct Watch<'r> {
    plan: &'r Plan,
    seats: &'r [Arc<Seat>],
    progress: &'r Mutex<Progress>,
    timeline: Timeline,
    interval_ns: u64,
    /// All of the measured time, in whole intervals.
    total: Stats,
    /// The interval that goes on.
    interval: Stats,
    /// Empty counts to be swapped with those of a thread.
    spare: Stats,
    intervals: Vec<Interval>,
}

impl<'r> Watch<'r> {
    fn new(
        plan: &'r Plan,
        seats: &'r [Arc<Seat>],
        progress: &'r Mutex<Progress>,
        timeline: Timeline,
    ) -> Self {
        let length_ns = timeline.end_ns - timeline.measure_ns;
        Self {
            plan,
            seats,
            progress,
            timeline,
            interval_ns: (length_ns / MIN_INTERVALS).clamp(MIN_INTERVAL_NS, INTERVAL_NS),
            total: Stats::new(),
            interval: Stats::new(),
            spare: Stats::new(),
            intervals: Vec::new(),
        }
    }

    fn until_the_end(mut self) -> Result<Watched, LoadError> {
        let Timeline { measure_ns, .. } = self.timeline;
        let mut gone_since_ns = None;
        let mut vanished = None;
        let mut began_ns = measure_ns;
        let mut cpu_start_s = None;
        let mut last_ns = self.plan.now_ns();
        loop {
            let boundary_ns = if cpu_start_s.is_none() {
                measure_ns
            } else {
                began_ns + self.interval_ns
            };
            let tick_ns = last_ns + u64::try_from(TICK.as_nanos()).unwrap_or(u64::MAX);
            let wake = self
                .plan
                .instant(boundary_ns.min(tick_ns).min(self.plan.end_ns()));
            std::thread::sleep(wake.saturating_duration_since(Instant::now()));
            let now_ns = self.plan.now_ns();
            let mut lately = self.collect(now_ns, last_ns);
            last_ns = now_ns;
            if cpu_start_s.is_none() {
                // What came until now came in the warm-up; latencies and errors know by themselves what they belong to.
                lately.forget_throughput();
                if now_ns >= measure_ns {
                    (cpu_start_s, began_ns) = (Some(cpu_s()), now_ns);
                }
            }
            self.interval.merge(&lately);
            if cpu_start_s.is_some() && now_ns >= began_ns + self.interval_ns {
                self.close_interval(began_ns, now_ns);
                began_ns = now_ns;
            }
            if self.plan.is_over(now_ns) {
                break;
            }
            self.give_up_if_nothing_succeeds(now_ns)?;
            match self.plan.loss_of_all() {
                None => gone_since_ns = None,
                Some(why) => {
                    let since_ns = *gone_since_ns.get_or_insert(now_ns);
                    if now_ns - since_ns >= GONE_NS {
                        vanished = Some((since_ns, why));
                        break;
                    }
                }
            }
        }
        let end_ns = self.plan.now_ns();
        let cpu_s = cpu_start_s.map_or(0.0, |start_s| cpu_s() - start_s);
        let was_interrupted = vanished.is_none() && self.plan.end_ns() < self.timeline.end_ns;
        // Gone at the very end is gone, too.
        let vanished = vanished.or_else(|| Some((gone_since_ns?, self.plan.loss_of_all()?)));
        // A last piece that is too short to be a sample counts in the total alone.
        if end_ns.saturating_sub(began_ns) >= self.interval_ns / 2 {
            self.close_interval(began_ns, end_ns);
        } else {
            self.total.merge(&self.interval);
        }
        Ok(Watched {
            total: self.total,
            intervals: self.intervals,
            elapsed_s: seconds(end_ns.saturating_sub(measure_ns)),
            cpu_s,
            summary: Summary {
                was_interrupted,
                vanished: vanished.map(|(since_ns, why)| (seconds(since_ns - self.timeline.start_ns), why)),
            },
        })
    }

    /// Takes what the threads have counted since last time, and shows it.
    fn collect(&mut self, now_ns: u64, last_ns: u64) -> Stats {
        let mut lately = Stats::new();
        for seat in self.seats {
            // Swapped, not read in place: a thread that waits for its counts is late for its requests.
            std::mem::swap(&mut *seat.stats(), &mut self.spare);
            lately.merge(&self.spare);
            self.spare.clear();
        }
        let elapsed_s = seconds(now_ns - last_ns);
        let Timeline {
            start_ns,
            measure_ns,
            end_ns,
        } = self.timeline;
        let mut progress = locked(self.progress);
        *progress = Progress {
            phase: if now_ns < measure_ns { "warmup" } else { "measure" },
            elapsed_s: round(seconds(now_ns - start_ns)),
            total_s: round(seconds(end_ns - start_ns)),
            requests_per_second: per_second(lately.answered, elapsed_s),
            p50_us: percentile_us(&lately.latency, 50.0),
            p99_us: percentile_us(&lately.latency, 99.0),
            errors: self.total.error_count() + self.interval.error_count() + lately.error_count(),
        };
        lately
    }

    fn close_interval(&mut self, began_ns: u64, now_ns: u64) {
        let at_s = seconds(began_ns.saturating_sub(self.timeline.measure_ns));
        let sample = Interval::of(&self.interval, at_s, seconds(now_ns - began_ns));
        self.intervals.push(sample);
        self.total.merge(&self.interval);
        self.interval.clear();
    }

    fn give_up_if_nothing_succeeds(&self, now_ns: u64) -> Result<(), LoadError> {
        if now_ns < self.timeline.start_ns + PATIENCE_NS {
            return Ok(());
        }
        nothing_succeeded(self.plan)
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "exact below 2^53 nanoseconds, which is months"
)]
fn seconds(ns: u64) -> f64 {
    ns as f64 / NS_PER_S
}

/// CPU time that this process has used so far.
#[expect(clippy::cast_precision_loss, reason = "exact below 2^53")]
fn cpu_s() -> f64 {
    let used = clock_gettime(ClockId::ProcessCPUTime);
    used.tv_sec as f64 + used.tv_nsec as f64 / NS_PER_S
}
