//! The end of a log that was written before: where its tree goes on, or why it cannot.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use callgate_ledger::{Checkpoint, Frontier, PublicKey};

use super::super::log_file::LogFile;
use super::super::rotate::numbered;
use super::lines::{self, BrokenLog, ReadCheckpoint, ReadFileLine};

/// The bytes at the end that are read first. A line with the tree's hashes is among them, but for bursts.
const FIRST_READ: u64 = 2 * 1024 * 1024;
/// The bytes within which a line with the tree's hashes has to be.
const LAST_READ: u64 = 256 * 1024 * 1024;
/// The longest first line of a file.
const FIRST_LINE: usize = 64 * 1024;

/// The state of a log before its writer begins.
#[derive(Debug)]
pub(super) enum Found {
    /// There is no log.
    Nothing,
    /// There is one that is not signed.
    Plain,
    /// There is one that can go on.
    End(LogEnd),
    /// There is one that disagrees with its checkpoints.
    Broken(BrokenLog),
}

/// The end of a log that can go on.
#[derive(Debug)]
pub(super) struct LogEnd {
    pub(super) origin: String,
    pub(super) frontier: Frontier,
    pub(super) kept_from: u64,
    /// Lines after the last checkpoint.
    pub(super) unsigned: u64,
    /// Bytes after the last line with the tree's hashes.
    pub(super) bytes_since_hashes: u64,
    /// The last checkpoint, as a note, with its size; `None` if there is none yet.
    pub(super) checkpoint: Option<(String, u64)>,
    /// True if a former key has signed it.
    pub(super) is_of_former_key: bool,
}

/// Looks for the end of the log: in its file, or in the last rotated one if that is empty.
///
/// `head` is the note of the newest checkpoint that is known, and the first of the keys is the present one.
pub(super) fn find(file: &LogFile, head: Option<&str>, keys: &[PublicKey]) -> io::Result<Found> {
    let broken = |reason: String| {
        Found::Broken(BrokenLog {
            reason,
            checkpoint: head.map(str::to_owned),
        })
    };
    let known = match head.map(|note| Checkpoint::open(note, keys)) {
        None => None,
        Some(Some(checkpoint)) => Some(checkpoint),
        Some(None) => {
            let reason = "its newest checkpoint is not signed by this audit key or one before it";
            return Ok(broken(reason.to_owned()));
        }
    };
    let found = if file.length() > 0 {
        Some(read_end(file.reader(), file.path(), known.as_ref(), keys)?)
    } else {
        let rotated = numbered(file.path(), 1);
        match File::open(&rotated) {
            Ok(reader) if reader.metadata()?.len() > 0 => {
                Some(read_end(&reader, &rotated, known.as_ref(), keys)?)
            }
            Ok(_) => None,
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        }
    };
    Ok(match (found, known) {
        (None, None) => Found::Nothing,
        (Some(Ok(None)), None) => Found::Plain,
        (None | Some(Ok(None)), Some(known)) => broken(format!(
            "it is gone: its newest checkpoint is over {} entries",
            known.size
        )),
        (Some(Ok(Some(end))), Some(known)) if end.origin != known.origin => broken(format!(
            "it is the log `{}`, and its newest checkpoint is of `{}`",
            end.origin, known.origin
        )),
        (Some(Ok(Some(end))), Some(known)) if end.frontier.size() < known.size => broken(format!(
            "it is cut off: it has {} entries, and its newest checkpoint is over {}",
            end.frontier.size(),
            known.size
        )),
        (Some(Ok(Some(end))), _) => Found::End(end),
        (Some(Err(reason)), _) => broken(reason),
    })
}

/// Returns true if the file has nothing but the beginning of its first line: a crash has cut it, and no checkpoint is over it.
pub(super) fn is_torn_beginning(file: &LogFile) -> io::Result<bool> {
    if !file.is_torn() || file.length() > FIRST_LINE as u64 {
        return Ok(false);
    }
    let bytes = read_range(file.reader(), 0, file.length())?;
    Ok(!bytes.contains(&b'\n') && lines::begins_file(&bytes))
}

/// The end of the log in one file: none of one that is not signed, or the reason why it cannot go on.
type End = Result<Option<LogEnd>, String>;

fn read_end(reader: &File, path: &Path, known: Option<&Checkpoint>, keys: &[PublicKey]) -> io::Result<End> {
    let length = reader.metadata()?.len();
    let first = read_range(reader, 0, length.min(FIRST_LINE as u64))?;
    let first = first.split(|&byte| byte == b'\n').next().unwrap_or_default();
    if !lines::is_file(first) {
        return Ok(Ok(None));
    }
    let Some(first) = lines::read_file(first) else {
        return Ok(Err(format!(
            "the first line of `{}` cannot be read",
            path.display()
        )));
    };
    let Some(window) = Window::read(reader, length)? else {
        return Ok(Err(format!(
            "there is no checkpoint with hashes in the last {} MiB of `{}`",
            LAST_READ / 1024 / 1024,
            path.display()
        )));
    };
    Ok(Replay::new(first, known, keys)
        .run(window.lines())
        .map(Some)
        .map_err(|fault| format!("`{}`: {fault}", path.display())))
}

/// The end of a file from a line with the tree's hashes on.
struct Window {
    bytes: Vec<u8>,
    begin: usize,
}

impl Window {
    fn read(reader: &File, length: u64) -> io::Result<Option<Self>> {
        let mut size = FIRST_READ;
        loop {
            let from = length.saturating_sub(size);
            let bytes = read_range(reader, from, length)?;
            if let Some(begin) = last_with_hashes(&bytes, from > 0) {
                return Ok(Some(Self { bytes, begin }));
            }
            if from == 0 || size >= LAST_READ {
                return Ok(None);
            }
            size *= 4;
        }
    }

    fn lines(&self) -> impl Iterator<Item = &[u8]> {
        let bytes = self.bytes.get(self.begin..).unwrap_or_default();
        lines::lines_of(bytes).map(|line| line.strip_suffix(b"\n").unwrap_or(line))
    }
}

/// The place of the last line with the tree's hashes.
fn last_with_hashes(bytes: &[u8], begins_within_line: bool) -> Option<usize> {
    let (mut place, mut found) = (0, None);
    for (number, line) in lines::lines_of(bytes).enumerate() {
        let has_hashes = lines::is_file(line)
            || lines::is_checkpoint(line)
                && lines::read_checkpoint(line.strip_suffix(b"\n").unwrap_or(line))
                    .is_some_and(|read| read.frontier.is_some());
        if has_hashes && !(begins_within_line && number == 0) {
            found = Some(place);
        }
        place += line.len();
    }
    found
}

/// The tree while the last lines are entered again.
struct Replay<'a> {
    end: LogEnd,
    known: Option<&'a Checkpoint>,
    keys: &'a [PublicKey],
    /// The number of entries after the last checkpoint, its own line among them.
    signed: Option<u64>,
}

impl<'a> Replay<'a> {
    fn new(first: ReadFileLine, known: Option<&'a Checkpoint>, keys: &'a [PublicKey]) -> Self {
        Self {
            end: LogEnd {
                origin: first.origin,
                frontier: first.frontier,
                kept_from: first.kept_from,
                unsigned: 0,
                bytes_since_hashes: 0,
                checkpoint: None,
                is_of_former_key: false,
            },
            known,
            keys,
            signed: None,
        }
    }

    fn run<'l>(mut self, mut lines: impl Iterator<Item = &'l [u8]>) -> Result<LogEnd, String> {
        let mut first = lines.next();
        if let Some(line) = first
            && let Some(ReadCheckpoint {
                frontier: Some(frontier),
                ..
            }) = lines::read_checkpoint(line)
        {
            self.end.frontier = frontier;
        }
        let begin = self.end.frontier.size();
        while let Some(line) = first.take().or_else(|| lines.next()) {
            self.compare()?;
            self.enter(line)?;
        }
        self.compare()?;
        self.end.unsigned = self.end.frontier.size() - self.signed.unwrap_or(begin);
        Ok(self.end)
    }

    /// Compares the tree with the newest checkpoint, at its size.
    fn compare(&self) -> Result<(), String> {
        match self.known {
            Some(known)
                if known.size == self.end.frontier.size() && known.root != self.end.frontier.root() =>
            {
                Err(format!(
                    "the lines disagree with the newest checkpoint, over {} entries",
                    known.size
                ))
            }
            _ => Ok(()),
        }
    }

    fn enter(&mut self, line: &[u8]) -> Result<(), String> {
        let size = self.end.frontier.size();
        self.end.bytes_since_hashes += line.len() as u64 + 1;
        // One without its index is what a crash has left of a line.
        if lines::is_checkpoint(line) && lines::index(line).is_some() {
            self.check(line).ok_or_else(|| {
                format!("the checkpoint in entry {size} does not fit to the lines before it")
            })?;
            self.signed = Some(size + 1);
        } else if lines::index(line).is_some_and(|index| index != size) {
            return Err(format!("expected entry {size}, found another one"));
        }
        self.end.frontier.append(callgate_ledger::leaf_hash(line));
        Ok(())
    }

    fn check(&mut self, line: &[u8]) -> Option<()> {
        let ReadCheckpoint { note, frontier } = lines::read_checkpoint(line)?;
        let tree = &self.end.frontier;
        let (checkpoint, is_of_former_key) = self
            .keys
            .iter()
            .enumerate()
            .find_map(|(index, key)| Some((Checkpoint::open(&note, &[*key])?, index > 0)))?;
        let fits = checkpoint.origin == self.end.origin
            && (checkpoint.size, checkpoint.root) == (tree.size(), tree.root())
            && frontier.as_ref().is_none_or(|frontier| frontier == tree);
        fits.then_some(())?;
        if frontier.is_some() {
            self.end.bytes_since_hashes = line.len() as u64 + 1;
        }
        self.end.checkpoint = Some((note, checkpoint.size));
        self.end.is_of_former_key = is_of_former_key;
        Some(())
    }
}

/// The index with which a rotated file begins; `None` if that cannot be read.
pub(super) fn first_index(path: &Path) -> Option<u64> {
    let reader = File::open(path).ok()?;
    let length = reader.metadata().ok()?.len();
    let bytes = read_range(&reader, 0, length.min(FIRST_LINE as u64)).ok()?;
    let first = bytes.split(|&byte| byte == b'\n').next()?;
    lines::is_file(first).then_some(())?;
    lines::index(first)
}

fn read_range(reader: &File, from: u64, to: u64) -> io::Result<Vec<u8>> {
    let length = usize::try_from(to.saturating_sub(from)).map_err(io::Error::other)?;
    let mut bytes = vec![0; length];
    reader.read_exact_at(&mut bytes, from)?;
    Ok(bytes)
}
