//! The sinks of rendered lines: a file that is rotated and followed by its name, or standard output.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use super::config::{AuditConfig, AuditTarget};
use super::lock;
use super::rotate::rotate;

/// The time after a failed rotation until the next attempt; lines go on to the same file.
const ROTATION_RETRY: Duration = Duration::from_secs(60);

/// Attempts to open the file while the one under its name changes.
const ATTEMPTS: usize = 16;

/// A failed write, and the part that was written.
#[derive(Debug)]
pub(super) struct Unwritten {
    /// Bytes of whole lines that were written before.
    pub(super) written: usize,
    pub(super) error: io::Error,
}

/// Takes rendered lines.
pub(super) trait Sink: Send {
    /// Writes whole lines; leaves no part of a line behind if that can be avoided.
    fn write(&mut self, lines: &[u8]) -> Result<(), Unwritten>;
    /// Writes the lines to the disk.
    fn sync(&mut self) -> io::Result<()>;
    /// Called now and then: follows the name to another file, creates the file if it is missing, rotates by age.
    fn tend(&mut self) -> io::Result<()>;
    /// Returns a fault that has occurred since the last call and did not keep lines from being written.
    fn complaint(&mut self) -> Option<String>;
}

/// Opens the target of the configuration.
pub(super) fn open(config: &AuditConfig) -> io::Result<Box<dyn Sink>> {
    Ok(match &config.target {
        AuditTarget::Stdout => Box::new(Stream::of(&io::stdout())?),
        AuditTarget::Stderr => Box::new(Stream::of(&io::stderr())?),
        AuditTarget::File(path) => Box::new(LogFile::open(path, config)?),
    })
}

/// Standard output, or standard error.
#[derive(Debug)]
struct Stream {
    file: File,
    /// True if the written part ends within a line.
    is_torn: bool,
}

impl Stream {
    fn of(stream: &impl AsFd) -> io::Result<Self> {
        Ok(Self {
            file: File::from(stream.as_fd().try_clone_to_owned()?),
            is_torn: false,
        })
    }
}

impl Sink for Stream {
    fn write(&mut self, lines: &[u8]) -> Result<(), Unwritten> {
        if self.is_torn {
            write_all(&mut self.file, b"\n").map_err(|(_, error)| Unwritten { written: 0, error })?;
            self.is_torn = false;
        }
        write_all(&mut self.file, lines).map_err(|(done, error)| {
            let written = whole_lines(lines, done);
            self.is_torn = done > written;
            Unwritten { written, error }
        })
    }

    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn tend(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn complaint(&mut self) -> Option<String> {
        None
    }
}

/// A file under a name, and the known facts about it.
#[derive(Debug)]
struct LogFile {
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
    complaint: Option<String>,
}

impl LogFile {
    fn open(path: &Path, config: &AuditConfig) -> io::Result<Self> {
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
    fn repair(&mut self) -> io::Result<()> {
        if self.is_torn {
            self.file.write_all(b"\n")?;
            self.length += 1;
            self.is_torn = false;
        }
        Ok(())
    }

    /// Returns the number of bytes that still fit in this file; `None` for any number.
    fn room(&self) -> Option<u64> {
        (self.is_regular && self.max_bytes > 0 && !self.waits_for_rotation())
            .then(|| self.max_bytes.saturating_sub(self.length))
    }

    fn waits_for_rotation(&self) -> bool {
        self.rotation_failed
            .is_some_and(|failed| failed.elapsed() < ROTATION_RETRY)
    }

    /// Begins another file. If the old one cannot be moved, it continues to be used.
    fn rotate(&mut self) -> io::Result<()> {
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
                self.complaint = Some(format!(
                    "cannot rotate the decision log `{}`: {error}; it grows until that works",
                    self.path.display()
                ));
                Ok(())
            }
        }
    }

    fn append(&mut self, lines: &[u8]) -> Result<(), Unwritten> {
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
        match std::fs::metadata(&self.path) {
            Ok(found) if (found.dev(), found.ino()) == (self.device, self.inode) => {
                if self.is_regular {
                    // Another program may have emptied it.
                    self.length = found.len();
                }
            }
            // Moved or removed by another program, such as logrotate.
            Ok(_) => self.reopen()?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.reopen()?,
            Err(error) => return Err(error),
        }
        let is_old = !self.max_age.is_zero() && self.begun.elapsed().is_ok_and(|age| age >= self.max_age);
        if is_old && self.is_regular && self.length > 0 && !self.waits_for_rotation() {
            self.rotate()?;
        }
        Ok(())
    }

    fn complaint(&mut self) -> Option<String> {
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

/// Returns the length of the whole lines among the first `bytes` bytes.
fn whole_lines(lines: &[u8], bytes: usize) -> usize {
    let among = lines.get(..bytes).unwrap_or(lines);
    among
        .iter()
        .rposition(|&byte| byte == b'\n')
        .map_or(0, |end| end + 1)
}

fn first_line(lines: &[u8]) -> usize {
    lines
        .iter()
        .position(|&byte| byte == b'\n')
        .map_or(lines.len(), |end| end + 1)
}

/// Writes everything, or returns the number of bytes that were written and the error.
fn write_all(file: &mut File, bytes: &[u8]) -> Result<(), (usize, io::Error)> {
    let mut rest = bytes;
    while !rest.is_empty() {
        let error = match file.write(rest) {
            Ok(0) => io::Error::from(io::ErrorKind::WriteZero),
            Ok(count) => {
                rest = rest.get(count..).unwrap_or_default();
                continue;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => error,
        };
        return Err((bytes.len() - rest.len(), error));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::audit::AuditError;
    use crate::audit::tests::Folder;
    use crate::error::StartError;

    fn config(path: &Path) -> AuditConfig {
        AuditConfig::new(AuditTarget::File(path.to_owned()))
    }

    fn log(config: &AuditConfig) -> Box<dyn Sink> {
        open(config).unwrap()
    }

    fn read(path: &Path) -> String {
        std::fs::read_to_string(path).unwrap()
    }

    #[test]
    fn only_its_user_reads_it() {
        let folder = Folder::new();
        let path = folder.file("log");
        log(&config(&path));
        assert_eq!(
            std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
    }

    #[test]
    fn a_torn_line_is_ended() {
        let folder = Folder::new();
        let path = folder.file("log");
        std::fs::write(&path, "whole\nto").unwrap();
        log(&config(&path)).write(b"next\n").unwrap();
        log(&config(&path)).write(b"last\n").unwrap();
        assert_eq!(read(&path), "whole\nto\nnext\nlast\n");
    }

    #[test]
    fn files_hold_whole_lines_and_no_more_than_they_may() {
        let folder = Folder::new();
        let path = folder.file("log");
        let mut log = log(&AuditConfig {
            max_bytes: 8,
            keep: 9,
            ..config(&path)
        });
        log.write(b"a\nbb\nccc\n").unwrap();
        log.write(b"longer than a file\nd\n").unwrap();
        let files: Vec<String> = (1..=3)
            .rev()
            .map(|number| read(&folder.file(&format!("log.{number}"))))
            .chain([read(&path)])
            .collect();
        assert_eq!(files, ["a\nbb\n", "ccc\n", "longer than a file\n", "d\n"]);
    }

    #[test]
    fn an_old_file_is_rotated_even_if_nobody_writes() {
        let folder = Folder::new();
        let path = folder.file("log");
        let config = AuditConfig {
            max_age_s: 3_600,
            ..config(&path)
        };
        let mut log = LogFile::open(&path, &config).unwrap();
        log.begun = SystemTime::now() - Duration::from_secs(7_200);
        log.tend().unwrap();
        assert!(!folder.file("log.1").exists(), "it was empty");
        log.write(b"a\n").unwrap();
        log.begun = SystemTime::now() - Duration::from_secs(7_200);
        log.tend().unwrap();
        log.tend().unwrap();
        assert_eq!(
            (read(&folder.file("log.1")), read(&path)),
            ("a\n".to_owned(), String::new())
        );
        assert!(!folder.file("log.2").exists());
    }

    fn refusal(path: &Path) -> String {
        let error = open(&config(path)).err().expect("the log is refused");
        let error = AuditError::open(&AuditTarget::File(path.to_owned()), &error);
        StartError::from(error).to_string()
    }

    #[test]
    fn a_log_has_one_writer_by_whatever_name() {
        let folder = Folder::new();
        let (path, link, hard) = (folder.file("log"), folder.file("link"), folder.file("hard"));
        let mut log = log(&AuditConfig {
            max_bytes: 8,
            ..config(&path)
        });
        std::os::unix::fs::symlink(&path, &link).unwrap();
        std::fs::hard_link(&path, &hard).unwrap();
        for other in [&path, &link, &hard] {
            let refusal = refusal(other);
            assert!(refusal.contains(&other.display().to_string()), "{refusal}");
            assert!(refusal.contains("another callgate writes to it"), "{refusal}");
        }
        // The lines are the first one's alone, and a rotation takes the lock along.
        log.write(b"aaaa\n").unwrap();
        for round in 0..5 {
            log.write(format!("bbb{round}\n").as_bytes()).unwrap();
            assert!(refusal(&path).contains("another callgate"));
            assert!(!folder.file("log.next").exists());
        }
        std::fs::rename(&path, folder.file("moved")).unwrap();
        log.tend().unwrap();
        log.write(b"cccc\n").unwrap();
        assert!(refusal(&path).contains("another callgate"));
        // A file that was rotated or moved is free again.
        open(&config(&folder.file("log.1"))).unwrap();
        open(&config(&folder.file("moved"))).unwrap();
        drop(log);
        open(&config(&path)).unwrap().write(b"dddd\n").unwrap();
        assert_eq!(read(&path), "cccc\ndddd\n");
    }

    #[test]
    fn a_link_to_nothing_is_said_to_be_one() {
        let folder = Folder::new();
        let (link, target) = (folder.file("link"), folder.file("target"));
        std::os::unix::fs::symlink(&target, &link).unwrap();
        let refusal = refusal(&link);
        assert!(refusal.contains("symbolic link"), "{refusal}");
        assert!(refusal.contains(&target.display().to_string()), "{refusal}");
        assert!(!target.exists(), "nothing is made where it leads");
        std::fs::write(&target, "").unwrap();
        let mut log = log(&config(&link));
        // Its file moved away by another program while it runs.
        std::fs::rename(&target, folder.file("moved")).unwrap();
        log.tend().unwrap();
        log.write(b"a\n").unwrap();
        assert_eq!(read(&target), "a\n");
    }

    #[test]
    fn the_name_is_followed() {
        let folder = Folder::new();
        let (path, moved) = (folder.file("log"), folder.file("moved"));
        let mut log = log(&config(&path));
        log.write(b"a\n").unwrap();
        std::fs::rename(&path, &moved).unwrap();
        log.write(b"b\n").unwrap();
        log.tend().unwrap();
        log.write(b"c\n").unwrap();
        assert_eq!(
            (read(&moved), read(&path)),
            ("a\nb\n".to_owned(), "c\n".to_owned())
        );

        std::fs::remove_file(&path).unwrap();
        log.tend().unwrap();
        log.write(b"d\n").unwrap();
        assert_eq!(read(&path), "d\n");
    }

    #[test]
    fn a_file_emptied_by_another_program_is_written_from_its_beginning() {
        let folder = Folder::new();
        let path = folder.file("log");
        let mut log = log(&AuditConfig {
            max_bytes: 8,
            ..config(&path)
        });
        log.write(b"aaaaaa\n").unwrap();
        File::options().write(true).truncate(true).open(&path).unwrap();
        log.tend().unwrap();
        log.write(b"bbbbbb\n").unwrap();
        assert_eq!(read(&path), "bbbbbb\n");
        assert!(!folder.file("log.1").exists());
    }

    #[test]
    fn a_full_device_takes_nothing() {
        let mut log = log(&config(Path::new("/dev/full")));
        let failed = log.write(b"a\nb\n").unwrap_err();
        assert_eq!(
            (failed.written, failed.error.kind()),
            (0, io::ErrorKind::StorageFull)
        );
        log.tend().unwrap();
    }

    #[test]
    fn a_folder_that_is_gone_is_an_error_until_it_is_back() {
        let folder = Folder::new();
        let inner = folder.file("inner");
        std::fs::create_dir(&inner).unwrap();
        let path = inner.join("log");
        let mut log = log(&config(&path));
        std::fs::remove_dir_all(&inner).unwrap();
        assert!(log.tend().is_err());
        std::fs::create_dir(&inner).unwrap();
        log.tend().unwrap();
        log.write(b"a\n").unwrap();
        assert_eq!(read(&path), "a\n");
    }

    #[test]
    fn a_rotation_that_fails_keeps_no_line_from_being_written() {
        let folder = Folder::new();
        let path = folder.file("log");
        // A folder that is not empty cannot be replaced by a file.
        std::fs::create_dir_all(folder.file("log.1/inner")).unwrap();
        let mut log = log(&AuditConfig {
            max_bytes: 4,
            keep: 1,
            ..config(&path)
        });
        log.write(b"aaa\nbbb\n").unwrap();
        log.write(b"ccc\n").unwrap();
        assert_eq!(read(&path), "aaa\nbbb\nccc\n");
        assert!(log.complaint().unwrap().contains("cannot rotate"));
        assert!(log.complaint().is_none());
    }

    #[test]
    fn only_files_and_devices_are_opened() {
        let folder = Folder::new();
        assert!(open(&config(&folder.file("."))).is_err());
        assert!(open(&config(&folder.file("missing/log"))).is_err());
    }

    #[test]
    fn lines_are_counted_in_bytes() {
        assert_eq!(whole_lines(b"a\nbb\nc", 100), 5);
        assert_eq!(whole_lines(b"a\nbb\nc", 4), 2);
        assert_eq!(whole_lines(b"a\nbb\nc", 1), 0);
        assert_eq!(first_line(b"a\nbb\n"), 2);
    }
}
