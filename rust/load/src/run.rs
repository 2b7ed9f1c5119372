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
use crate::plan::{Plan, SharedStats, Timeline, locked};
use crate::report::{Interval, Report, per_second, percentile_us, round};
use crate::stats::Stats;
use crate::summary::{Summary, summarise};
use crate::worker;

/// Interval of the supervision of a run.
const TICK: Duration = Duration::from_millis(100);

/// The time in which some request must be answered; otherwise the run is given up.
const PATIENCE_NS: u64 = 1_000_000_000;

/// The time without any open connection after which the target counts as gone.
const GONE_NS: u64 = 3_000_000_000;

/// Length of a sample, and the lowest number of samples.
const INTERVAL_NS: u64 = 1_000_000_000;
const MIN_INTERVALS: u64 = 5;

/// Shortest sample.
const MIN_INTERVAL_NS: u64 = 50_000_000;

const NS_PER_S: f64 = 1e9;

/// The progress of a run.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Progress {
    /// `connect`, `warmup`, `measure` or `drain`.
    pub phase: &'static str,
    /// Time since the load began.
    pub elapsed_s: f64,
    /// Duration of warm-up and measurement together.
    pub total_s: f64,
    /// Answers per second since the last look.
    pub requests_per_second: f64,
    /// 50th percentile of the answers since the last look.
    pub p50_us: f64,
    /// 99th percentile of the answers since the last look.
    pub p99_us: f64,
    /// Measured requests that failed so far.
    pub errors: u64,
}

impl Progress {
    /// The progress as a JSON object.
    pub fn to_json(&self) -> String {
        // Numbers and texts: this cannot fail.
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// A run in threads of its own.
pub struct Run {
    plan: Arc<Plan>,
    progress: Arc<Mutex<Progress>>,
    conductor: JoinHandle<Result<Report, LoadError>>,
}

impl Run {
    /// Starts a run. An unreachable target is reported by [`Self::finish`].
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

    /// The progress of the run.
    pub fn progress(&self) -> Progress {
        locked(&self.progress).clone()
    }

    /// Returns whether the report is ready.
    pub fn is_finished(&self) -> bool {
        self.conductor.is_finished()
    }

    /// Stops sending; the report covers the measurement so far.
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
    let thread_stats: Vec<_> = (0..threads).map(|_| Arc::new(SharedStats::new())).collect();
    let (opened, news) = mpsc::channel();
    let (begin, begins) = watch::channel(false);
    let mut workers = Vec::with_capacity(threads);
    for (number, shared_stats) in thread_stats.iter().enumerate() {
        let share = (number..plan.options.connections).step_by(threads).collect();
        workers.push(worker::start(
            plan,
            shared_stats,
            share,
            opened.clone(),
            begins.clone(),
        )?);
    }
    drop(opened);
    let room = match wait_until_open(plan, &news) {
        Ok(room) => room,
        Err(error) => {
            plan.stop();
            // Open connections wait for the begin; without the sender they end.
            drop(begin);
            return Err(error);
        }
    };
    let timeline = plan.begin();
    // There are receivers: the tasks whose connections are open.
    let _ = begin.send(true);
    let watch = Watch::new(plan, &thread_stats, progress, timeline);
    let observation = watch.observe();
    locked(progress).phase = "drain";
    plan.stop();
    let panicked = workers.into_iter().any(|worker| worker.join().is_err());
    if panicked {
        return Err(LoadError::Machine(
            "a thread of the generator panicked".to_owned(),
        ));
    }
    let mut observation = observation?;
    for shared_stats in &thread_stats {
        // Answers of the drain belong to measured requests, but not to the throughput.
        let rest = shared_stats.lock();
        let (answered, decided) = (observation.total.answered, observation.total.decided);
        observation.total.merge(&rest);
        (observation.total.answered, observation.total.decided) = (answered, decided);
    }
    check_any_answer(plan)?;
    summarise(plan, threads, room, observation)
}

/// Waits until every connection is open; returns the smallest room of a connection.
fn wait_until_open(plan: &Plan, news: &mpsc::Receiver<worker::OpenResult>) -> Result<usize, LoadError> {
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

fn check_any_answer(plan: &Plan) -> Result<(), LoadError> {
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

/// The observations during the load.
pub(crate) struct Observation {
    pub(crate) total: Stats,
    pub(crate) intervals: Vec<Interval>,
    pub(crate) elapsed_s: f64,
    pub(crate) cpu_s: f64,
    pub(crate) summary: Summary,
}

struct Watch<'r> {
    plan: &'r Plan,
    thread_stats: &'r [Arc<SharedStats>],
    progress: &'r Mutex<Progress>,
    timeline: Timeline,
    interval_ns: u64,
    /// The counts of the whole measurement, in whole intervals.
    total: Stats,
    /// The counts of the current interval.
    interval: Stats,
    /// Empty counts to swap with those of a thread.
    spare: Stats,
    intervals: Vec<Interval>,
}

impl<'r> Watch<'r> {
    fn new(
        plan: &'r Plan,
        thread_stats: &'r [Arc<SharedStats>],
        progress: &'r Mutex<Progress>,
        timeline: Timeline,
    ) -> Self {
        let length_ns = timeline.end_ns - timeline.measure_ns;
        Self {
            plan,
            thread_stats,
            progress,
            timeline,
            interval_ns: (length_ns / MIN_INTERVALS).clamp(MIN_INTERVAL_NS, INTERVAL_NS),
            total: Stats::new(),
            interval: Stats::new(),
            spare: Stats::new(),
            intervals: Vec::new(),
        }
    }

    fn observe(mut self) -> Result<Observation, LoadError> {
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
                // Answers until now belong to the warm-up; latencies and errors are assigned by their request's due
                // time.
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
            self.give_up_without_answers(now_ns)?;
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
        // A target that vanishes at the very end is reported, too.
        let vanished = vanished.or_else(|| Some((gone_since_ns?, self.plan.loss_of_all()?)));
        // A last interval that is too short for a sample counts only in the total.
        if end_ns.saturating_sub(began_ns) >= self.interval_ns / 2 {
            self.close_interval(began_ns, end_ns);
        } else {
            self.total.merge(&self.interval);
        }
        Ok(Observation {
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

    /// Collects the threads' counts since the last time, and publishes the progress.
    fn collect(&mut self, now_ns: u64, last_ns: u64) -> Stats {
        let mut lately = Stats::new();
        for shared_stats in self.thread_stats {
            // Swapped, not read in place: a thread that waits for its counts sends its requests late.
            std::mem::swap(&mut *shared_stats.lock(), &mut self.spare);
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

    fn give_up_without_answers(&self, now_ns: u64) -> Result<(), LoadError> {
        if now_ns < self.timeline.start_ns + PATIENCE_NS {
            return Ok(());
        }
        check_any_answer(self.plan)
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "exact below 2^53 nanoseconds, which is months"
)]
fn seconds(ns: u64) -> f64 {
    ns as f64 / NS_PER_S
}

/// The CPU time of this process so far.
#[expect(clippy::cast_precision_loss, reason = "exact below 2^53")]
fn cpu_s() -> f64 {
    let used = clock_gettime(ClockId::ProcessCPUTime);
    used.tv_sec as f64 + used.tv_nsec as f64 / NS_PER_S
}
