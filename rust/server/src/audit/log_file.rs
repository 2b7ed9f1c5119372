//! A decision log in a file: rotated by size and age, and followed by its name.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use super::config::AuditConfig;
use super::lock;
use super::rotate::rotate;
use super::sink::{Complaint, Sink, Unwritten, first_line, whole_lines, write_all};

#[cfg(test)]
mod tests;

/// The time after a failed rotation until the next attempt; lines go on to the same file.
const ROTATION_RETRY: Duration = Duration::from_secs(60);

/// Attempts to open the file while the one under its name changes.
const ATTEMPTS: usize = 16;

/// A file under a name, and the known facts about it.
#[derive(Debug)]
pub(super) struct LogFile {
    path: PathBuf,
    max_bytes: u64,
    max_age: Duration,
    keep: u32,
    file: File,
    device: u64,
    inode: u64,
    /// True for a regular file: only such a file is rotated, truncated and synced to the disk.
    is_regular: bool,
    length: u64,
    begun: SystemTime,
    /// True if the file ends within a line.
    is_torn: bool,
    rotation_failed: Option<Instant>,
    complaint: Option<Complaint>,
}

impl LogFile {
    pub(super) fn open(path: &Path, config: &AuditConfig) -> io::Result<Self> {
        // While it runs, a link whose file was moved away gets another one; at the start it is a slip of the pen.
        lock::check_link(path)?;
        let (file, metadata) = open_file(path)?;
        let mut log = Self {
            path: path.to_owned(),
            max_bytes: config.max_bytes,
            max_age: Duration::from_secs(config.max_age_s),
            keep: config.keep,
            file,
            device: 0,
            inode: 0,
            is_regular: false,
            length: 0,
            begun: SystemTime::UNIX_EPOCH,
            is_torn: false,
            rotation_failed: None,
            complaint: None,
        };
        log.know(&metadata)?;
        Ok(log)
    }

    /// Reads the facts about the file that was just opened.
    fn know(&mut self, metadata: &Metadata) -> io::Result<()> {
        (self.device, self.inode) = (metadata.dev(), metadata.ino());
        self.is_regular = metadata.is_file();
        self.length = if self.is_regular { metadata.len() } else { 0 };
        // File systems that know no birth are asked for the last change: later, so a file is never rotated too early.
        self.begun = metadata
            .created()
            .or_else(|_| metadata.modified())
            .unwrap_or_else(|_| SystemTime::now());
        if self.length == 0 {
            self.begun = SystemTime::now();
        }
        self.is_torn = self.is_regular && self.length > 0 && last_byte(&mut self.file)? != b'\n';
        Ok(())
    }

    fn reopen(&mut self) -> io::Result<()> {
        let (file, metadata) = open_file(&self.path)?;
        self.file = file;
        self.know(&metadata)
    }

    /// Completes a line that a crash or a full disk has cut.
    pub(super) fn repair(&mut self) -> io::Result<()> {
        if self.is_torn {
            self.file.write_all(b"\n")?;
            self.length += 1;
            self.is_torn = false;
        }
        Ok(())
    }

    /// Returns the number of bytes that still fit in this file; `None` for any number.
    pub(super) fn room(&self) -> Option<u64> {
        (self.is_regular && self.max_bytes > 0 && !self.waits_for_rotation())
            .then(|| self.max_bytes.saturating_sub(self.length))
    }

    fn waits_for_rotation(&self) -> bool {
        self.rotation_failed
            .is_some_and(|failed| failed.elapsed() < ROTATION_RETRY)
    }

    /// Begins another file. If the old one cannot be moved, it continues to be used.
    pub(super) fn rotate(&mut self) -> io::Result<()> {
        // The lines in it are not looked after any more.
        self.sync()?;
        match rotate(&self.path, self.keep) {
            Ok(file) => {
                self.rotation_failed = None;
                let metadata = file.metadata()?;
                self.file = file;
                self.know(&metadata)
            }
            Err(error) => {
                self.rotation_failed = Some(Instant::now());
                self.complaint = Some(Complaint {
                    event: "audit_rotation_failed",
                    error: format!(
                        "cannot rotate the decision log `{}`: {error}; it grows until that works",
                        self.path.display()
                    ),
                });
                Ok(())
            }
        }
    }

    /// Appends whole lines, whatever their length.
    pub(super) fn append(&mut self, lines: &[u8]) -> Result<(), Unwritten> {
        let fault = |error| Unwritten { written: 0, error };
        self.repair().map_err(fault)?;
        let (done, error) = match write_all(&mut self.file, lines) {
            Ok(()) => {
                self.length += lines.len() as u64;
                return Ok(());
            }
            Err(failed) => failed,
        };
        let written = whole_lines(lines, done);
        self.length += written as u64;
        if done > written {
            // The partial line is removed, or else a line end is written before the next line.
            self.is_torn = !self.is_regular || self.take_back((done - written) as u64).is_err();
        }
        Err(Unwritten { written, error })
    }

    fn take_back(&self, bytes: u64) -> io::Result<()> {
        let length = self.file.metadata()?.len();
        self.file.set_len(length.saturating_sub(bytes))
    }
}

impl LogFile {
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The file, to read from.
    pub(super) const fn reader(&self) -> &File {
        &self.file
    }

    /// The number of rotated files that are kept.
    pub(super) const fn keep(&self) -> u32 {
        self.keep
    }

    /// The number of bytes of the file, as far as it is known.
    pub(super) const fn length(&self) -> u64 {
        self.length
    }

    /// Tells files apart.
    pub(super) const fn identity(&self) -> (u64, u64) {
        (self.device, self.inode)
    }

    /// Returns true for a regular file.
    pub(super) const fn is_regular(&self) -> bool {
        self.is_regular
    }

    /// Returns true if the file ends within a line.
    pub(super) const fn is_torn(&self) -> bool {
        self.is_torn
    }

    /// Empties the file.
    pub(super) fn clear(&mut self) -> io::Result<()> {
        self.file.set_len(0)?;
        (self.length, self.is_torn) = (0, false);
        Ok(())
    }

    /// Looks for the file under the name, and opens another one that is there, or makes one.
    pub(super) fn follow(&mut self) -> io::Result<()> {
        match std::fs::metadata(&self.path) {
            Ok(found) if (found.dev(), found.ino()) == self.identity() => {
                if self.is_regular {
                    // Another program may have emptied it.
                    self.length = found.len();
                }
                Ok(())
            }
            // Moved or removed by another program, such as logrotate.
            Ok(_) => self.reopen(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.reopen(),
            Err(error) => Err(error),
        }
    }

    /// Returns true if the file is so old that it is to be rotated.
    pub(super) fn is_old(&self) -> bool {
        !self.max_age.is_zero()
            && self.begun.elapsed().is_ok_and(|age| age >= self.max_age)
            && self.is_regular
            && self.length > 0
            && !self.waits_for_rotation()
    }
}

impl Sink for LogFile {
    fn write(&mut self, lines: &[u8]) -> Result<(), Unwritten> {
        let mut rest = lines;
        while !rest.is_empty() {
            let fault = |error| Unwritten {
                written: lines.len() - rest.len(),
                error,
            };
            let fitting = self.room().map_or(rest.len(), |room| {
                whole_lines(rest, usize::try_from(room).unwrap_or(usize::MAX))
            });
            let now = match (fitting, self.length) {
                (0, 0) => first_line(rest),
                (0, _) => {
                    self.rotate().map_err(fault)?;
                    continue;
                }
                (fitting, _) => fitting,
            };
            let (now, later) = rest.split_at_checked(now).unwrap_or((rest, &[]));
            self.append(now).map_err(|failed| Unwritten {
                written: lines.len() - rest.len() + failed.written,
                error: failed.error,
            })?;
            rest = later;
        }
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        if self.is_regular {
            self.file.sync_data()
        } else {
            Ok(())
        }
    }

    fn tend(&mut self) -> io::Result<()> {
        self.follow()?;
        if self.is_old() {
            self.rotate()?;
        }
        Ok(())
    }

    fn complaint(&mut self) -> Option<Complaint> {
        self.complaint.take()
    }
}

fn open_file(path: &Path) -> io::Result<(File, Metadata)> {
    if let Ok(found) = std::fs::metadata(path) {
        // Opening a pipe that nobody reads would wait for ever.
        if !found.is_file() && !found.file_type().is_char_device() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "expected a file, this is something else",
            ));
        }
    }
    let mut options = OpenOptions::new();
    let options = options.read(true).append(true).create(true).mode(0o600);
    for _ in 0..ATTEMPTS {
        let file = options.open(path)?;
        let metadata = file.metadata()?;
        // A device, such as a terminal, may be everybody's.
        if !metadata.is_file() {
            return Ok((file, metadata));
        }
        lock::lock(&file)?;
        // Between opening and locking, a rotation may have given the name to another file.
        if std::fs::metadata(path).is_ok_and(|found| is_same(&found, &metadata)) {
            return Ok((file, metadata));
        }
    }
    Err(lock::in_use())
}

fn is_same(one: &Metadata, other: &Metadata) -> bool {
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}

fn last_byte(file: &mut File) -> io::Result<u8> {
    let mut byte = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut byte)?;
    let [byte] = byte;
    Ok(byte)
}
