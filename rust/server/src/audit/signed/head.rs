//! The newest checkpoint of a log: in a file beside it, and for the control plane.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::super::rotate::with_suffix;

/// A checkpoint over lines that are on the disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditHead {
    /// The signed note.
    pub note: String,
    /// The name of the log.
    pub origin: String,
    /// The number of entries.
    pub size: u64,
    /// The number of the last admin change among them that this process has written.
    pub admin_number: Option<u64>,
}

/// The newest checkpoint, shared between threads.
#[derive(Clone, Debug, Default)]
pub(in crate::audit) struct SharedHead(Arc<Mutex<Option<AuditHead>>>);

impl SharedHead {
    pub(in crate::audit) fn get(&self) -> Option<AuditHead> {
        // The lock guards one value that is replaced whole, here and below.
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn set(&self, head: AuditHead) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(head);
    }
}

fn place(log: &Path) -> PathBuf {
    with_suffix(log, "checkpoint")
}

/// Reads the note beside a log; `None` if there is none.
pub(super) fn read(log: &Path) -> io::Result<Option<String>> {
    match std::fs::read_to_string(place(log)) {
        Ok(note) => Ok(Some(note)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Replaces the note beside a log, so that a reader sees the old or the new one.
pub(super) fn write(log: &Path, note: &str) -> io::Result<()> {
    let place = place(log);
    let next = with_suffix(&place, "next");
    let mut options = OpenOptions::new();
    let mut file: File = options
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&next)?;
    file.write_all(note.as_bytes())?;
    std::fs::rename(next, place)
}

/// Removes the note beside a log that has ended.
pub(super) fn remove(log: &Path) -> io::Result<()> {
    match std::fs::remove_file(place(log)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
