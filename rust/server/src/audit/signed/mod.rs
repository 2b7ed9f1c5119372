//! A decision log whose lines are the entries of a Merkle tree, with signed checkpoints among them (`docs/audit.md`).
//!
//! Everything is done on the writer's thread. A line is hashed once it is written, so that a line that could not be written
//! is in no tree. A checkpoint is published once the lines under it are on the disk, so that no crash leaves a log that is
//! shorter than a checkpoint of it.

mod head;
mod lines;
mod resume;
#[cfg(test)]
mod tests;

use std::io;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use callgate_ledger::{Checkpoint, Frontier, PublicKey, SigningKey, leaf_hash};

use super::config::{AuditConfig, AuditMode, AuditSigning};
use super::log_file::LogFile;
use super::rotate::numbered;
use super::sink::{Complaint, Missing, Sink, Unwritten};

pub use head::AuditHead;
pub(super) use head::SharedHead;
use lines::{BrokenLog, FileLine};
use resume::{Found, LogEnd};

/// A checkpoint has the tree's hashes after so many bytes: a start reads about as many.
const HASHES_EVERY_BYTES: u64 = 1024 * 1024;
/// Random bytes of an origin.
const ORIGIN_BYTES: usize = 8;
/// What helps against a log that cannot go on.
const REMEDY: &str = "keep its files as evidence, and move them and the file `.checkpoint` beside them away to begin \
                      a new log; `callgate audit verify` says more";

const EXPIRED: &str = "the audit key has expired; make the next one with `callgate audit key rotate`, name it as \
                       `audit.key_file`, and restart callgate";

/// A signed log.
pub(super) struct SignedLog {
    file: LogFile,
    key: SigningKey,
    public: Vec<PublicKey>,
    origin: String,
    frontier: Frontier,
    /// The size of the tree at which everything is signed.
    signed: u64,
    kept_from: u64,
    bytes_since_hashes: u64,
    /// The log that ended before this one, until the first line has said so.
    before: Option<BrokenLog>,
    /// Lines of its own that are to be written before the next one.
    own_lines: Vec<String>,
    /// Gaps that the log has told.
    told: Missing,
    /// The Unix time in microseconds from which on the key signs nothing more.
    expires_us: Option<u64>,
    on_expiry: OnExpiry,
    interval: Duration,
    signed_at: Instant,
    admin_number: Option<u64>,
    /// The checkpoint that waits for its lines to be on the disk.
    unpublished: Option<AuditHead>,
    /// Nobody writes the lines to the disk, so that no checkpoint waits for it.
    is_unsynced: bool,
    head: SharedHead,
    /// True if the file has lines that this log has not entered.
    is_unknown: bool,
    /// True if the file has lines that were given to the log: its own are no reason to begin another file.
    has_lines: bool,
    buffer: Vec<u8>,
}

/// The effect of the end of the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum OnExpiry {
    /// Nothing can be written.
    Fail,
    /// Lines are written and not signed, which is still to be told.
    Tell,
    /// The same, and it has been told.
    Told,
}

/// An opened log, and the break that it begins with.
pub(super) struct OpenedLog {
    pub(super) log: SignedLog,
    pub(super) head: SharedHead,
    /// The reason why the log before this one could not go on.
    pub(super) broken: Option<String>,
}

impl SignedLog {
    /// Opens the log and reads its end.
    ///
    /// One that disagrees with its checkpoints is refused if every decision has to be logged. Else another log begins after
    /// it, and says so.
    pub(super) fn open(file: LogFile, config: &AuditConfig, signing: &AuditSigning) -> io::Result<OpenedLog> {
        if !file.is_regular() {
            let message = "a signed log needs a file that stays; choose another path, or sign nothing";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        let key = signing.signing_key()?;
        let mut public = vec![key.public()];
        public.extend(signing.former_keys.iter().copied().map(PublicKey::new));
        let mut log = Self {
            origin: new_origin(&signing.stream)?,
            file,
            key,
            public,
            frontier: Frontier::default(),
            signed: 0,
            kept_from: 0,
            bytes_since_hashes: 0,
            before: None,
            own_lines: Vec::new(),
            told: Missing::default(),
            expires_us: signing
                .expires_unix_s
                .map(|unix_s| unix_s.saturating_mul(1_000_000)),
            on_expiry: match config.mode {
                AuditMode::Required => OnExpiry::Fail,
                AuditMode::BestEffort => OnExpiry::Tell,
            },
            interval: Duration::from_millis(signing.checkpoint_interval_ms),
            signed_at: Instant::now(),
            admin_number: None,
            unpublished: None,
            is_unsynced: config.sync_interval_ms == 0,
            head: SharedHead::default(),
            is_unknown: false,
            has_lines: false,
            buffer: Vec::new(),
        };
        if resume::is_torn_beginning(&log.file)? {
            log.file.clear()?;
        }
        let head = head::read(log.file.path())?;
        match resume::find(&log.file, head.as_deref(), &log.public)? {
            Found::Nothing => {}
            Found::Plain => log.set_aside()?,
            Found::End(end) => log.go_on(end, &signing.statements)?,
            Found::Broken(broken) if config.mode == AuditMode::Required => {
                return Err(io::Error::other(format!("{}; {REMEDY}", broken.reason)));
            }
            Found::Broken(broken) => {
                log.set_aside()?;
                head::remove(log.file.path())?;
                log.before = Some(broken);
            }
        }
        Ok(OpenedLog {
            head: log.head.clone(),
            broken: log.before.as_ref().map(|before| before.reason.clone()),
            log,
        })
    }

    /// Gives a file of another log the name of a rotated one.
    fn set_aside(&mut self) -> io::Result<()> {
        if self.file.length() == 0 {
            return Ok(());
        }
        self.file.rotate()?;
        if self.file.length() > 0 {
            let fault = self
                .file
                .complaint()
                .map(|complaint| complaint.error)
                .unwrap_or_default();
            return Err(io::Error::other(format!(
                "it is not this log's file, and: {fault}"
            )));
        }
        Ok(())
    }

    /// Goes on after the end of the log.
    fn go_on(&mut self, end: LogEnd, statements: &[String]) -> io::Result<()> {
        self.file.repair()?;
        if end.unsigned > 0 {
            self.own_lines.push(lines::resume(end.unsigned, unix_us()));
        }
        if end.is_of_former_key {
            self.own_lines
                .extend(statements.iter().map(|statement| lines::key(statement)));
        }
        if let Some((note, size)) = end.checkpoint {
            self.head.set(AuditHead {
                note,
                origin: end.origin.clone(),
                size,
                admin_number: None,
            });
        }
        self.has_lines = self.file.length() > 0;
        self.signed = end.frontier.size() - end.unsigned;
        self.origin = end.origin;
        self.frontier = end.frontier;
        self.kept_from = end.kept_from;
        self.bytes_since_hashes = end.bytes_since_hashes;
        Ok(())
    }

    /// Reads the end of the file anew: another program has put it there, or a part of a line could not be removed.
    fn reload(&mut self) -> io::Result<()> {
        let head = head::read(self.file.path())?;
        match resume::find(&self.file, head.as_deref(), &self.public)? {
            Found::End(end) if end.origin == self.origin && end.frontier.size() >= self.signed => {
                self.file.repair()?;
                (self.frontier, self.bytes_since_hashes) = (end.frontier, end.bytes_since_hashes);
                self.is_unknown = false;
                Ok(())
            }
            Found::Broken(broken) => Err(io::Error::other(format!("{}; {REMEDY}", broken.reason))),
            _ => Err(io::Error::other(format!("the file is not this log's; {REMEDY}"))),
        }
    }

    /// Makes the file ready for a line: its first line says where it begins.
    fn begin(&mut self) -> io::Result<()> {
        if self.is_unknown || self.file.is_torn() {
            self.reload()?;
        }
        if self.file.length() == 0 {
            let line = FileLine {
                origin: &self.origin,
                verifier_key: &self.key.public().verifier_key(&self.origin),
                unix_us: unix_us(),
                frontier: &self.frontier,
                kept_from: self.kept_from,
                before: self.before.as_ref(),
            };
            let line = line.render();
            self.append_own(&line)?;
            self.before = None;
            self.bytes_since_hashes = 0;
            self.has_lines = false;
        }
        while let Some(line) = self.own_lines.first().cloned() {
            self.append_own(&line)?;
            self.own_lines.remove(0);
        }
        Ok(())
    }

    /// Writes as many lines as fit; returns the bytes of the lines that were written, 0 if the file is full.
    fn append_fitting(&mut self, given: &[u8]) -> Result<usize, Unwritten> {
        let room = self
            .file
            .room()
            .map_or(usize::MAX, |room| usize::try_from(room).unwrap_or(usize::MAX));
        self.buffer.clear();
        let (mut taken, mut index) = (0, self.frontier.size());
        for line in lines::lines_of(given) {
            let before = self.buffer.len();
            lines::stamp(line, index, &mut self.buffer);
            if self.buffer.len() > room && (before > 0 || self.has_lines) {
                self.buffer.truncate(before);
                break;
            }
            taken += line.len();
            index += 1;
        }
        let buffer = std::mem::take(&mut self.buffer);
        let appended = self.file.append(&buffer);
        let written = appended
            .as_ref()
            .map_or_else(|failed| failed.written, |()| buffer.len());
        let entered = self.enter(buffer.get(..written).unwrap_or_default());
        self.has_lines |= entered > 0;
        self.buffer = buffer;
        appended.map(|()| taken).map_err(|failed| Unwritten {
            written: length_of(given, entered),
            error: failed.error,
        })
    }

    /// Enters lines that were written into the tree; returns their number.
    fn enter(&mut self, written: &[u8]) -> usize {
        let mut count = 0;
        for line in lines::lines_of(written) {
            let line = line.strip_suffix(b"\n").unwrap_or(line);
            self.frontier.append(leaf_hash(line));
            self.admin_number = self.admin_number.max(lines::admin_number(line));
            count += 1;
        }
        self.bytes_since_hashes += written.len() as u64;
        count
    }

    /// Writes a line of the log's own, whatever the size of the file.
    fn append_own(&mut self, line: &str) -> io::Result<()> {
        let mut stamped = Vec::with_capacity(line.len() + 32);
        lines::stamp(line.as_bytes(), self.frontier.size(), &mut stamped);
        self.file.append(&stamped).map_err(|failed| failed.error)?;
        self.enter(&stamped);
        Ok(())
    }

    fn has_expired(&self) -> bool {
        self.expires_us.is_some_and(|expires_us| unix_us() >= expires_us)
    }

    /// Signs what no checkpoint covers; returns false if there is nothing, or the key has expired.
    fn sign(&mut self) -> io::Result<bool> {
        if self.signed == self.frontier.size() || self.has_expired() {
            return Ok(false);
        }
        let checkpoint = Checkpoint {
            origin: self.origin.clone(),
            size: self.frontier.size(),
            root: self.frontier.root(),
        };
        let note = checkpoint.sign(&self.key);
        let has_hashes = self.bytes_since_hashes >= HASHES_EVERY_BYTES;
        let line = lines::checkpoint(&note, has_hashes.then_some(&self.frontier));
        self.append_own(&line)?;
        if has_hashes {
            self.bytes_since_hashes = line.len() as u64;
        }
        // The line of the checkpoint itself: a verifier knows it from the note, so that it asks for no checkpoint of its own.
        self.signed = self.frontier.size();
        self.signed_at = Instant::now();
        self.unpublished = Some(AuditHead {
            note,
            origin: checkpoint.origin,
            size: checkpoint.size,
            admin_number: self.admin_number,
        });
        if self.is_unsynced {
            self.publish()?;
        }
        Ok(true)
    }

    /// Publishes the checkpoint whose lines are on the disk.
    fn publish(&mut self) -> io::Result<()> {
        if let Some(head) = &self.unpublished {
            head::write(self.file.path(), &head.note)?;
        }
        if let Some(head) = self.unpublished.take() {
            self.head.set(head);
        }
        Ok(())
    }

    /// Ends the file with a checkpoint and begins another one.
    fn rotate(&mut self) -> io::Result<()> {
        self.sign()?;
        let is_one_removed = numbered(self.file.path(), self.file.keep()).exists();
        self.file.rotate()?;
        if self.file.length() == 0 {
            self.has_lines = false;
            if is_one_removed {
                let oldest = numbered(self.file.path(), self.file.keep());
                self.kept_from = resume::first_index(&oldest).unwrap_or(self.kept_from);
            }
        }
        Ok(())
    }
}

impl Sink for SignedLog {
    fn write(&mut self, lines: &[u8]) -> Result<(), Unwritten> {
        let mut rest = lines;
        while !rest.is_empty() {
            let done = lines.len() - rest.len();
            let fault = |error| Unwritten { written: done, error };
            self.begin().map_err(fault)?;
            match self.append_fitting(rest) {
                Ok(0) => self.rotate().map_err(fault)?,
                Ok(taken) => rest = rest.get(taken..).unwrap_or_default(),
                Err(failed) => {
                    return Err(Unwritten {
                        written: done + failed.written,
                        error: failed.error,
                    });
                }
            }
        }
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file.sync()?;
        self.publish()
    }

    fn tend(&mut self) -> io::Result<()> {
        if self.on_expiry == OnExpiry::Fail && self.has_expired() {
            return Err(io::Error::other(EXPIRED));
        }
        let before = self.file.identity();
        self.file.follow()?;
        self.is_unknown |= self.file.identity() != before && self.file.length() > 0;
        if self.is_unknown {
            self.reload()?;
        }
        if self.file.is_old() && self.has_lines {
            self.rotate()?;
        }
        Ok(())
    }

    fn attest(&mut self, missing: Missing, is_last: bool) -> io::Result<bool> {
        let is_due = is_last || self.signed_at.elapsed() >= self.interval;
        // An empty file gets its first line, so that the log has a name and a checkpoint from the start on.
        let has_news = self.signed != self.frontier.size()
            || missing != self.told
            || !self.own_lines.is_empty()
            || self.file.length() == 0;
        if !is_due || !has_news {
            return Ok(false);
        }
        self.begin()?;
        if missing.sampled > self.told.sampled {
            self.append_own(&lines::gap(
                "sampled",
                missing.sampled - self.told.sampled,
                unix_us(),
            ))?;
            self.told.sampled = missing.sampled;
        }
        if missing.dropped > self.told.dropped {
            self.append_own(&lines::gap(
                "dropped",
                missing.dropped - self.told.dropped,
                unix_us(),
            ))?;
            self.told.dropped = missing.dropped;
        }
        self.sign()
    }

    fn complaint(&mut self) -> Option<Complaint> {
        if self.on_expiry == OnExpiry::Tell && self.has_expired() {
            self.on_expiry = OnExpiry::Told;
            return Some(Complaint {
                event: "audit_key_expired",
                error: format!("{EXPIRED}; until then the lines are not signed"),
            });
        }
        self.file.complaint()
    }
}

/// The name of a new log of a stream: no two logs have the same one.
fn new_origin(stream: &str) -> io::Result<String> {
    let mut bytes = [0; ORIGIN_BYTES];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    Ok(format!("{stream}/{:016x}", u64::from_be_bytes(bytes)))
}

/// The bytes of the first lines.
fn length_of(given: &[u8], count: usize) -> usize {
    lines::lines_of(given).take(count).map(<[u8]>::len).sum()
}

fn unix_us() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| u64::try_from(since.as_micros()).unwrap_or(u64::MAX))
}
