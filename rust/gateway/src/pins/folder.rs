//! The folder of pins: a file for each server, replaced as a whole, under one lock.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use callgate_mapped::MappedFile;
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use super::book::Book;
use super::error::PinsError;
use super::file;
use super::name::name_of;

const SUFFIX: &str = ".json";
const LOCK_NAME: &str = ".lock";

/// Bytes of a file: definitions are bounded by [`super::book::MAX_BYTES`], and what stands around them takes less.
const MAX_FILE_BYTES: u64 = 64 * 1024 * 1024;

/// The time that a change may hold the lock that another process waits for.
const LOCK_PATIENCE: Duration = Duration::from_secs(5);
const LOCK_LOOK: Duration = Duration::from_millis(10);

/// The folder of pins.
#[derive(Clone, Debug)]
pub(super) struct Folder {
    path: PathBuf,
}

/// Tells one state of a file from another: a file is never written in place, so another state is another file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    device: u64,
    inode: u64,
    bytes: u64,
    modified_s: i64,
    modified_ns: i64,
    changed_s: i64,
    changed_ns: i64,
}

impl Stamp {
    fn of(found: &fs::Metadata) -> Self {
        Self {
            device: found.dev(),
            inode: found.ino(),
            bytes: found.len(),
            modified_s: found.mtime(),
            modified_ns: found.mtime_nsec(),
            changed_s: found.ctime(),
            changed_ns: found.ctime_nsec(),
        }
    }
}

/// The right to write, for as long as it lives.
#[derive(Debug)]
pub(super) struct Lock(File);

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing is not enough: a child that is between fork and exec has the open file, and its lock, a little longer.
        // What cannot be unlocked is closed next.
        let _ = flock(&self.0, FlockOperation::Unlock);
    }
}

impl Folder {
    pub(super) fn at(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
        }
    }

    /// The folder, which is made where there is none.
    pub(super) fn create(path: &Path) -> Result<Self, PinsError> {
        match DirBuilder::new().recursive(true).mode(0o700).create(path) {
            Ok(()) => Ok(Self::at(path)),
            Err(error) => Err(unwritable(path, error)),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn stamp(&self, server: &str) -> Result<Option<Stamp>, PinsError> {
        let path = self.path_of(server);
        match fs::metadata(&path) {
            Ok(found) => Ok(Some(Stamp::of(&found))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(unreadable(&path, error)),
        }
    }

    /// Reads the book of a server; `None` if there is no file.
    pub(super) fn read(&self, server: &str) -> Result<Option<Book>, PinsError> {
        let path = self.path_of(server);
        let Some((found, book)) = read_file(&path)? else {
            return Ok(None);
        };
        if found != server {
            let fault = format!(
                "expected the pins of the server {}, found those of {}",
                callgate_mcp::Quoted(server),
                callgate_mcp::Quoted(&found)
            );
            return Err(PinsError::Damaged {
                path,
                line: 1,
                column: 1,
                fault,
            });
        }
        Ok(Some(book))
    }

    /// Reads the books of all servers, by name; none if there is no folder.
    pub(super) fn read_all(&self) -> Result<Vec<(String, Book)>, PinsError> {
        let entries = match fs::read_dir(&self.path) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(unreadable(&self.path, error)),
        };
        let mut all = Vec::new();
        for entry in entries {
            let path = entry.map_err(|error| unreadable(&self.path, error))?.path();
            let name = path
                .file_name()
                .and_then(|name| name.to_str())
                .unwrap_or_default();
            // Not the lock, and nothing that was left half written.
            if !name.starts_with('.') && name.ends_with(SUFFIX) {
                all.extend(read_file(&path)?);
            }
        }
        all.sort_by(|(a, _), (b, _)| a.cmp(b));
        Ok(all)
    }

    /// Replaces a server's file, durably: whatever happens meanwhile, the old one or the new one is there. The stamp is that of
    /// the file which was written, even if it is gone by now.
    pub(super) fn write(&self, _lock: &Lock, server: &str, book: &Book) -> Result<Stamp, PinsError> {
        let path = self.path_of(server);
        let half = self.path.join(format!(".{}.new", name_of(server)));
        let written = write_new(&half, file::write(server, book).as_bytes())
            .and_then(|file| fs::rename(&half, &path).map(|()| file))
            // Renaming changes the time of the last change.
            .and_then(|file| file.metadata())
            .and_then(|found| MappedFile::sync_folder_of(&path).map(|()| Stamp::of(&found)));
        written.map_err(|error| {
            // What cannot be removed is replaced by the next one.
            let _ = fs::remove_file(&half);
            unwritable(&path, error)
        })
    }

    /// Waits until no other process writes.
    pub(super) fn lock(&self) -> Result<Lock, PinsError> {
        let path = self.path.join(LOCK_NAME);
        let mut options = OpenOptions::new();
        let options = options.write(true).create(true).truncate(false).mode(0o600);
        let file = options.open(&path).map_err(|error| unwritable(&path, error))?;
        let begun = Instant::now();
        loop {
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(Lock(file)),
                Err(Errno::WOULDBLOCK | Errno::INTR) if begun.elapsed() < LOCK_PATIENCE => {
                    thread::sleep(LOCK_LOOK);
                }
                Err(Errno::WOULDBLOCK | Errno::INTR) => {
                    return Err(PinsError::Locked {
                        folder: self.path.clone(),
                    });
                }
                Err(error) => return Err(unwritable(&path, error.into())),
            }
        }
    }

    fn path_of(&self, server: &str) -> PathBuf {
        self.path.join(name_of(server) + SUFFIX)
    }
}

fn read_file(path: &Path) -> Result<Option<(String, Book)>, PinsError> {
    let bytes = match MappedFile::open_to_read(path).and_then(|file| read_bounded(&file)) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unreadable(path, error)),
    };
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(PinsError::TooLong {
            path: path.to_owned(),
        });
    }
    file::read(path, &bytes).map(Some)
}

fn read_bounded(file: &File) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn write_new(path: &Path, bytes: &[u8]) -> io::Result<File> {
    // Left by a process that was killed, with whatever rights somebody gave it.
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    Ok(file)
}

fn unreadable(path: &Path, error: io::Error) -> PinsError {
    PinsError::Unreadable {
        path: path.to_owned(),
        error,
    }
}

fn unwritable(path: &Path, error: io::Error) -> PinsError {
    PinsError::Unwritable {
        path: path.to_owned(),
        error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_known_again() {
        let place = tempfile::tempdir().expect("a folder");
        let folder = Folder::create(place.path()).expect("a folder");
        let lock = folder.lock().expect("nobody has it");
        let mut written = Vec::new();
        for _ in 0..3 {
            let stamp = folder.write(&lock, "srv", &Book::default()).expect("writable");
            assert_eq!(folder.stamp("srv").expect("readable"), Some(stamp));
            assert!(!written.contains(&stamp), "another file is told apart");
            written.push(stamp);
            thread::sleep(Duration::from_millis(20));
        }
    }

    #[test]
    fn a_second_writer_waits() {
        let place = tempfile::tempdir().expect("a folder");
        let folder = Folder::create(place.path()).expect("a folder");
        let lock = folder.lock().expect("nobody has it");
        let other = folder.clone();
        let waiting = thread::spawn(move || {
            let begun = Instant::now();
            other
                .lock()
                .expect("it is given up")
                .0
                .metadata()
                .expect("a file");
            begun.elapsed()
        });
        thread::sleep(Duration::from_millis(100));
        drop(lock);
        assert!(waiting.join().expect("no panic") >= Duration::from_millis(50));
    }
}
