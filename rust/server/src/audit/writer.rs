//! The thread that renders and writes.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::park_timeout;
use std::time::{Duration, Instant};

use super::batch::BoxedBatch;
use super::queue::Queue;
use super::render::Renderer;
use super::sampling::Sampler;
use super::sink::{Complaint, Missing, Sink};
use crate::events::{Events, Level};

/// Time between two emptyings of the queue: the age of lines when written, a few milliseconds more under load.
const PERIOD: Duration = Duration::from_millis(20);
/// Time between two looks at the file's name.
const TENDING_PERIOD: Duration = Duration::from_secs(1);
/// After a failure, the next try waits this long.
const RETRY: Duration = Duration::from_millis(250);
/// At a stop, a sink that fails gets this long to work again.
const LAST_TRIES: Duration = Duration::from_secs(1);
/// Failures that follow one another within this time are told once, and so are failures and recoveries that take turns.
const TELLING_PERIOD: Duration = Duration::from_secs(10);
/// Rendered bytes from which on they are written.
const WRITE_BYTES: usize = 128 * 1024;
/// Bytes of lines of the control plane that may wait.
const MOST_RECORDED_BYTES: usize = 1024 * 1024;

/// The writer's state, for other threads.
#[derive(Debug, Default)]
pub(super) struct Status {
    failing: AtomicBool,
    contested: AtomicBool,
    dropped: AtomicU64,
    /// The number of dropped lines that the program's log has reported.
    told: AtomicU64,
}

impl Status {
    /// Lines cannot be written at the moment.
    pub(super) fn is_failing(&self) -> bool {
        // Relaxed, here and below: a word that publishes nothing else; a call that comes at the same moment may see either.
        self.failing.load(Ordering::Relaxed)
    }

    /// Lines can be written, and the log is not contested.
    pub(super) fn is_sound(&self) -> bool {
        !self.is_failing() && !self.is_contested()
    }

    pub(super) fn is_contested(&self) -> bool {
        self.contested.load(Ordering::Relaxed)
    }

    /// Somebody else writes the stream of the log, or has continued the log otherwise.
    pub(super) fn set_contested(&self, is_contested: bool) {
        self.contested.store(is_contested, Ordering::Relaxed);
    }

    /// Lines that were not written, so far.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    pub(super) fn drop_lines(&self, count: u64) {
        self.dropped.fetch_add(count, Ordering::Relaxed);
    }

    /// Dropped lines since this was last asked.
    pub(super) fn take_untold(&self) -> u64 {
        let dropped = self.dropped();
        dropped.saturating_sub(self.told.fetch_max(dropped, Ordering::Relaxed))
    }

    fn set_failing(&self, failing: bool) {
        self.failing.store(failing, Ordering::Relaxed);
    }
}

/// Lines of the control plane on their way to the writer: few, so they may wait for a lock.
#[derive(Debug, Default)]
pub(super) struct Records(Mutex<String>);

impl Records {
    /// Adds a line, without its end; false if too many wait.
    pub(super) fn add(&self, line: &str) -> bool {
        // The lock guards whole lines, which a panic cannot leave half-written, here and below.
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let has_room = lines.len() + line.len() < MOST_RECORDED_BYTES;
        if has_room {
            lines.push_str(line);
            lines.push('\n');
        }
        has_room
    }

    fn take(&self) -> String {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts lines back before those that came meanwhile.
    fn put_back(&self, taken: &str) {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lines.insert_str(0, taken);
    }
}

/// The writer of one log.
pub(super) struct Writer {
    pub(super) queue: Arc<Queue>,
    pub(super) status: Arc<Status>,
    pub(super) events: Arc<Events>,
    pub(super) sink: Box<dyn Sink>,
    pub(super) records: Arc<Records>,
    /// Lines that could not be written are kept until they can.
    pub(super) is_required: bool,
    /// Zero for never.
    pub(super) sync_interval: Duration,
    pub(super) progress: Progress,
}

/// The writer's work in progress.
#[derive(Debug)]
pub(super) struct Progress {
    renderer: Renderer,
    batches: Vec<BoxedBatch>,
    /// Rendered, not yet written.
    lines: String,
    /// Written, not yet on the disk, since then.
    unsynced: Option<Instant>,
    tended: Instant,
    retry: Instant,
    told: Option<Instant>,
    told_of_failure: bool,
    /// A line was written since the last failure: that the sink opens again, or has nothing to sync, proves nothing.
    proven: bool,
    /// A recovery is not told earlier.
    recovery_from: Instant,
    closing: Option<Instant>,
}

impl Default for Progress {
    fn default() -> Self {
        Self::new(None)
    }
}

impl Progress {
    /// No work so far, of a writer that leaves out what the sampler says.
    pub(super) fn new(sampler: Option<Sampler>) -> Self {
        let now = Instant::now();
        Self {
            renderer: Renderer::new(sampler),
            batches: Vec::new(),
            lines: String::with_capacity(2 * WRITE_BYTES),
            unsynced: None,
            tended: now,
            retry: now,
            told: None,
            told_of_failure: false,
            proven: false,
            recovery_from: now,
            closing: None,
        }
    }
}

impl Writer {
    /// Writes until the queue is closed and empty, and everything is on the disk.
    pub(super) fn run(mut self) {
        while !self.turn(Instant::now()) {
            park_timeout(PERIOD);
        }
    }

    /// Writes the lines that wait; returns true once the writer is done for good.
    fn turn(&mut self, now: Instant) -> bool {
        let closing = self.queue.is_closed();
        if closing {
            self.progress.closing.get_or_insert(now);
        }
        if self.status.is_failing() {
            if now >= self.progress.retry || closing {
                self.try_again(now);
            }
        } else if now.duration_since(self.progress.tended) >= TENDING_PERIOD {
            self.tend(now);
        }
        let is_too_late = self
            .progress
            .closing
            .is_some_and(|since| now.duration_since(since) >= LAST_TRIES);
        if self.status.is_failing() && (!self.is_required || is_too_late) {
            self.drop_everything();
        } else if !self.status.is_failing() {
            self.write_everything(now);
        }
        if !self.status.is_failing() {
            self.attest(now, closing);
        }
        self.sync(now, closing);
        self.tell_recovery(now);
        closing && self.queue.is_empty() && (!self.status.is_failing() || is_too_late)
    }

    fn write_everything(&mut self, now: Instant) {
        self.write_records(now);
        let mut batches = std::mem::take(&mut self.progress.batches);
        self.queue.collect(&mut batches);
        for batch in batches.drain(..) {
            // Once the sink fails, the rest is rendered too: it is either kept or counted in lines.
            let mut reader = batch.reader();
            for _ in 0..batch.records() {
                self.progress.renderer.line(&mut reader, &mut self.progress.lines);
            }
            self.queue.recycle(batch);
            if self.progress.lines.len() >= WRITE_BYTES && !self.status.is_failing() {
                self.write(now);
            }
        }
        self.progress.batches = batches;
        if !self.status.is_failing() {
            self.write(now);
        }
    }

    /// Writes the lines of the control plane. They wait where they cannot be written: nobody would send them again.
    fn write_records(&mut self, now: Instant) {
        let mut lines = self.records.take();
        if lines.is_empty() {
            return;
        }
        self.progress.unsynced.get_or_insert(now);
        match self.sink.write(lines.as_bytes()) {
            Ok(()) => self.progress.proven = true,
            Err(unwritten) => {
                if lines.is_char_boundary(unwritten.written) {
                    lines.drain(..unwritten.written);
                }
                self.records.put_back(&lines);
                self.fail(now, &unwritten.error.to_string());
            }
        }
    }

    /// Writes what is rendered; what cannot be written is kept or dropped.
    fn write(&mut self, now: Instant) {
        let lines = &mut self.progress.lines;
        if lines.is_empty() {
            return;
        }
        match self.sink.write(lines.as_bytes()) {
            Ok(()) => {
                lines.clear();
                self.progress.proven = true;
            }
            Err(unwritten) => {
                // Lines end between characters, and so does what a sink says of them.
                if lines.is_char_boundary(unwritten.written) {
                    lines.drain(..unwritten.written);
                }
                if !self.is_required {
                    self.drop_rendered();
                }
                self.fail(now, &unwritten.error.to_string());
            }
        }
        self.progress.unsynced.get_or_insert(now);
        self.tell_complaint();
    }

    fn tell_complaint(&mut self) {
        if let Some(Complaint { event, error }) = self.sink.complaint() {
            let fields = vec![("error", error.as_str().into())];
            self.events.push(Level::Warning, event, fields);
        }
    }

    fn attest(&mut self, now: Instant, closing: bool) {
        let missing = Missing {
            dropped: self.status.dropped(),
            sampled: self.progress.renderer.skipped(),
        };
        match self.sink.attest(missing, closing) {
            Ok(false) => {}
            Ok(true) => {
                self.progress.unsynced.get_or_insert(now);
            }
            Err(error) => self.fail(now, &error.to_string()),
        }
    }

    fn tend(&mut self, now: Instant) {
        self.progress.tended = now;
        if let Err(error) = self.sink.tend() {
            self.fail(now, &error.to_string());
        }
        self.tell_complaint();
    }

    fn try_again(&mut self, now: Instant) {
        self.progress.retry = now + RETRY;
        self.progress.tended = now;
        // Data that a failed sync left unwritten is tried again, too.
        let works = self.sink.tend().and_then(|()| self.sink.sync());
        if let Err(error) = works {
            return self.fail(now, &error.to_string());
        }
        self.status.set_failing(false);
        self.write(now);
    }

    fn tell_recovery(&mut self, now: Instant) {
        let progress = &mut self.progress;
        if progress.told_of_failure && progress.proven && now >= progress.recovery_from {
            progress.told_of_failure = false;
            self.events.push(Level::Info, "audit_recovered", Vec::new());
        }
    }

    fn sync(&mut self, now: Instant, closing: bool) {
        let is_due = match self.progress.unsynced {
            _ if self.sync_interval.is_zero() || self.status.is_failing() => false,
            Some(since) => closing || now.duration_since(since) >= self.sync_interval,
            None => false,
        };
        if is_due {
            self.progress.unsynced = None;
            if let Err(error) = self.sink.sync() {
                self.fail(now, &error.to_string());
            }
        }
    }

    fn fail(&mut self, now: Instant, error: &str) {
        self.progress.retry = now + RETRY;
        self.status.set_failing(true);
        let progress = &mut self.progress;
        progress.proven = false;
        let is_recent = progress
            .told
            .is_some_and(|told| now.duration_since(told) < TELLING_PERIOD);
        if is_recent && progress.told_of_failure {
            return;
        }
        // A failure that is back so soon is told, because the log says that it is over; its end is not believed as quickly.
        progress.recovery_from = if is_recent { now + TELLING_PERIOD } else { now };
        progress.told = Some(now);
        progress.told_of_failure = true;
        self.events
            .push(Level::Error, "audit_failed", vec![("error", error.into())]);
    }

    fn drop_everything(&mut self) {
        self.drop_rendered();
        let mut batches = std::mem::take(&mut self.progress.batches);
        self.queue.collect(&mut batches);
        for batch in batches.drain(..) {
            self.status.drop_lines(batch.records());
            self.queue.recycle(batch);
        }
        self.progress.batches = batches;
    }

    fn drop_rendered(&mut self) {
        let lines = &mut self.progress.lines;
        let count = lines.bytes().filter(|&byte| byte == b'\n').count();
        self.status.drop_lines(count as u64);
        lines.clear();
    }
}

impl Drop for Writer {
    /// Also when the thread panicked: nobody writes any more.
    fn drop(&mut self) {
        self.status.set_failing(true);
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::super::sink::Unwritten;
    use super::*;

    /// Fails while it is told to; looking after it always works, as with a full device.
    struct FailingSink(Arc<AtomicBool>);

    impl Sink for FailingSink {
        fn write(&mut self, _: &[u8]) -> Result<(), Unwritten> {
            if self.0.load(Ordering::Relaxed) {
                let error = io::Error::from(io::ErrorKind::StorageFull);
                return Err(Unwritten { written: 0, error });
            }
            Ok(())
        }

        fn sync(&mut self) -> io::Result<()> {
            Ok(())
        }

        fn tend(&mut self) -> io::Result<()> {
            Ok(())
        }

        fn complaint(&mut self) -> Option<Complaint> {
            None
        }
    }

    #[test]
    fn failures_and_recoveries_take_turns_and_are_told_at_a_bounded_pace() {
        for is_required in [false, true] {
            let fails = Arc::new(AtomicBool::new(false));
            let mut writer = Writer {
                queue: Arc::new(Queue::new(1, 64)),
                status: Arc::default(),
                events: Arc::default(),
                records: Arc::default(),
                sink: Box::new(FailingSink(Arc::clone(&fails))),
                is_required,
                sync_interval: Duration::ZERO,
                progress: Progress::default(),
            };
            let start = Instant::now();
            let mut turn = |after_ms, failing: bool, has_line: bool| {
                fails.store(failing, Ordering::Relaxed);
                if has_line {
                    let mut batch = writer.queue.take().unwrap();
                    batch.finish_record();
                    writer.queue.give(batch);
                }
                writer.turn(start + Duration::from_millis(after_ms));
                let told = writer.events.drain(usize::MAX);
                told.iter().map(|event| event.event).collect::<Vec<_>>()
            };
            let nothing: [&str; 0] = [];
            assert_eq!(turn(0, true, true), ["audit_failed"]);
            // Tried again with success, if there is nothing to write.
            assert_eq!(turn(300, true, false), nothing);
            assert_eq!(turn(600, true, true), nothing);
            assert_eq!(turn(900, false, true), ["audit_recovered"]);
            assert_eq!(turn(1_200, true, true), ["audit_failed"]);
            assert_eq!(turn(1_500, false, true), nothing);
            assert_eq!(turn(1_800, true, true), nothing);
            assert_eq!(turn(2_100, false, true), nothing);
            assert_eq!(turn(11_100, false, true), nothing);
            assert_eq!(turn(11_200, false, false), ["audit_recovered"]);
            // And what lasts is told now and then.
            assert_eq!(turn(20_000, true, true), ["audit_failed"]);
            assert_eq!(turn(29_000, true, true), nothing);
            assert_eq!(turn(30_000, true, true), ["audit_failed"]);
            assert_eq!(turn(30_300, false, true), ["audit_recovered"]);
        }
    }
}
