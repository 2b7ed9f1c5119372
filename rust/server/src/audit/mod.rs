//! The decision log: one JSON line for each decision, written off the path of calls (`docs/decision-log.md`).
//!
//! A thread that decides takes room for the record beforehand ([`Audit::begin`]), decides, and copies what the line needs
//! ([`Entry::finish`]). One thread renders and writes. Neither ever waits for the other.

mod batch;
mod config;
mod error;
mod lock;
mod log_file;
mod queue;
mod record;
mod render;
mod rotate;
mod sampling;
mod signed;
mod sink;
mod stream;
#[cfg(test)]
mod tests;
mod time;
mod writer;

use std::io;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::Thread;
use std::time::Duration;

use callgate_core::Decision;
use callgate_core::engine::{Identity, Seen};

pub use config::{AuditConfig, AuditMode, AuditSigning, AuditTarget, EVERY_ALLOW, KeyPem};
pub(crate) use error::AuditError;
pub use signed::AuditHead;

use crate::candidate::CandidateAnswer;
use crate::events::{Events, Level};
use crate::ingress::Ingress;
use crate::metrics::SignedLogNumbers;
use batch::{BoxedBatch, Mark};
use queue::Queue;
use sampling::Sampler;
use signed::SharedHead;
use sink::Sink;
use writer::{Progress, Records, Status, Writer};

/// Rule of calls that are denied because their decision could not be logged (`docs/policy.md` section 5).
pub(crate) const UNAVAILABLE: &str = "(audit unavailable)";

/// Batches at once, each of some 200 to 300 records: more than a second's worth at 50,000 decisions a second.
const BATCHES: usize = 512;
/// Threads beyond these share.
const MOST_SHARDS: usize = 64;

/// A running decision log. Dropping it without [`Audit::finish`] loses what is queued.
#[derive(Debug)]
pub(crate) struct Audit {
    queue: Arc<Queue>,
    status: Arc<Status>,
    events: Arc<Events>,
    records: Arc<Records>,
    /// Of a signed log.
    head: Option<SharedHead>,
    /// Of its key: the Unix time, in seconds.
    key_expires_unix_s: Option<u64>,
    is_required: bool,
    writer: Mutex<Option<Running>>,
}

#[derive(Debug)]
struct Running {
    thread: Thread,
    /// Its sender is dropped when the thread ends.
    ended: mpsc::Receiver<()>,
}

impl Audit {
    /// Opens the log and starts its thread.
    pub(crate) fn start(config: &AuditConfig, events: Arc<Events>) -> Result<Self, AuditError> {
        let opened = sink::open(config).map_err(|error| AuditError::open(&config.target, &error))?;
        if let Some(reason) = &opened.broken {
            let fields = vec![("error", reason.as_str().into())];
            events.push(Level::Error, "audit_log_broken", fields);
        }
        let mut audit = Self::with_sink(config, opened.sink, events, BATCHES).map_err(AuditError::Thread)?;
        audit.head = opened.head;
        Ok(audit)
    }

    /// Refuses a key that cannot sign.
    pub(crate) fn check(config: &AuditConfig) -> Result<(), AuditError> {
        match &config.signing {
            Some(signing) => signing
                .signing_key()
                .map(drop)
                .map_err(|error| AuditError::open(&config.target, &error)),
            None => Ok(()),
        }
    }

    fn with_sink(
        config: &AuditConfig,
        sink: Box<dyn Sink>,
        events: Arc<Events>,
        batches: usize,
    ) -> io::Result<Self> {
        let shards = std::thread::available_parallelism().map_or(1, |count| 2 * count.get());
        let queue = Arc::new(Queue::new(shards.min(MOST_SHARDS), batches));
        let status = Arc::new(Status::default());
        let is_required = config.mode == AuditMode::Required;
        let records = Arc::new(Records::default());
        let sampler = config
            .signing
            .as_ref()
            .and_then(|signing| Sampler::new(signing.logged_of_million));
        let writer = Writer {
            queue: Arc::clone(&queue),
            status: Arc::clone(&status),
            events: Arc::clone(&events),
            sink,
            records: Arc::clone(&records),
            is_required,
            sync_interval: Duration::from_millis(config.sync_interval_ms),
            progress: Progress::new(sampler),
        };
        let (ending, ended) = mpsc::sync_channel(0);
        let thread = std::thread::Builder::new()
            .name("callgate-audit".to_owned())
            .spawn(move || {
                writer.run();
                drop(ending);
            })?
            .thread()
            .clone();
        Ok(Self {
            queue,
            status,
            events,
            records,
            head: None,
            key_expires_unix_s: config.signing.as_ref().and_then(|signing| signing.expires_unix_s),
            is_required,
            writer: Mutex::new(Some(Running { thread, ended })),
        })
    }

    /// Returns true if a decision that cannot be logged is a denial.
    pub(crate) const fn is_required(&self) -> bool {
        self.is_required
    }

    /// Room for one record, taken before the decision; `None`, counted as a dropped line, where there is none.
    pub(crate) fn begin(&self) -> Option<Entry<'_>> {
        let batch = if self.is_required && !self.status.is_sound() {
            None
        } else {
            self.queue.take()
        };
        let Some(batch) = batch else {
            self.status.drop_lines(1);
            return None;
        };
        Some(Entry {
            queue: &self.queue,
            start: batch.mark(),
            batch: Some(batch),
            seen: false,
        })
    }

    /// The newest checkpoint of a signed log; `None` if there is none yet.
    pub(crate) fn head(&self) -> Option<AuditHead> {
        self.head.as_ref().and_then(SharedHead::get)
    }

    /// Numbers about the log if it is signed.
    pub(crate) fn signed_numbers(&self) -> Option<SignedLogNumbers> {
        self.head.as_ref().map(|head| SignedLogNumbers {
            entries: head.get().map_or(0, |newest| newest.size),
            is_contested: self.status.is_contested(),
            key_expires_unix_s: self.key_expires_unix_s,
        })
    }

    /// Notes that somebody else writes the stream of the log or has continued the log otherwise, or that this is over.
    pub(crate) fn set_contested(&self, is_contested: bool) {
        self.status.set_contested(is_contested);
    }

    /// Adds a line of the control plane, one JSON object; false if too many wait, or the log is not signed.
    pub(crate) fn record(&self, line: &str) -> bool {
        self.head.is_some() && !line.contains('\n') && self.records.add(line)
    }

    /// Lines that were not written, so far.
    pub(crate) fn dropped(&self) -> u64 {
        self.status.dropped()
    }

    /// Tells of dropped lines that were not told of yet; false where there are none.
    pub(crate) fn tell_dropped(&self) -> bool {
        let fresh = self.status.take_untold();
        if fresh > 0 {
            self.events
                .push(Level::Warning, "audit_dropped", vec![("count", fresh.into())]);
        }
        fresh > 0
    }

    /// Takes no more, and waits until everything is written, or for `patience`.
    pub(crate) fn finish(&self, patience: Duration) {
        let running = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(Running { thread, ended }) = running else {
            return;
        };
        self.queue.close();
        thread.unpark();
        if ended.recv_timeout(patience) == Err(mpsc::RecvTimeoutError::Timeout) {
            self.events.push(Level::Error, "audit_unfinished", Vec::new());
        }
        // Nobody comes by any more to tell of them.
        self.tell_dropped();
    }
}

impl Drop for Audit {
    /// Lets the thread end.
    fn drop(&mut self) {
        self.queue.close();
    }
}

/// A request as it is logged: the grant that is charged, and its target.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LoggedRequest<'a> {
    pub(crate) ingress: Ingress,
    pub(crate) identity: Identity<'a>,
    pub(crate) session: Option<&'a str>,
    pub(crate) tool: &'a str,
}

/// Room for one record.
#[derive(Debug)]
pub(crate) struct Entry<'a> {
    queue: &'a Queue,
    start: Mark,
    // Taken out only by `Drop`.
    batch: Option<BoxedBatch>,
    seen: bool,
}

impl Entry<'_> {
    /// Keeps what may be kept of the arguments and of the labels.
    pub(crate) fn see(&mut self, seen: Seen<'_>) {
        if let Some(batch) = &mut self.batch {
            record::put_call(batch, seen);
            self.seen = true;
        }
    }

    /// Completes the record and queues it.
    pub(crate) fn finish(
        mut self,
        asked: LoggedRequest<'_>,
        decision: &Decision<'_>,
        candidate: Option<&CandidateAnswer>,
        took: Duration,
    ) {
        if let Some(batch) = &mut self.batch {
            record::put_decision(batch, (self.start, self.seen), asked, decision, candidate, took);
            self.start = batch.mark();
        }
    }
}

impl Drop for Entry<'_> {
    /// A record that a panic left half-done is none.
    fn drop(&mut self) {
        if let Some(mut batch) = self.batch.take() {
            batch.rewind(self.start);
            self.queue.give(batch);
        }
    }
}
