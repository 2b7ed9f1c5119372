//! One writer for one decision log: two would rotate each other's files and tear lines.

use std::fs::File;
use std::io;
use std::path::Path;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

/// Locks a file for as long as it is open; the lock belongs to the file, whatever its name is.
///
/// The lock is advisory: other programs may read the file and move it away.
pub(super) fn lock(file: &File) -> io::Result<()> {
    match flock(file, FlockOperation::NonBlockingLockExclusive) {
        // Some network file systems have no locks; a log there is better than none.
        Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOLCK | Errno::NOSYS) => Ok(()),
        Err(Errno::WOULDBLOCK) => Err(in_use()),
        Err(error) => Err(error.into()),
    }
}

/// The file is somebody else's.
pub(super) fn in_use() -> io::Error {
    io::Error::new(
        io::ErrorKind::ResourceBusy,
        "another callgate writes to it; give each process a decision log of its own",
    )
}

/// Refuses a symbolic link whose target does not exist: to make a file there would hide that the link is wrong.
pub(super) fn check_link(path: &Path) -> io::Result<()> {
    match (std::fs::read_link(path), path.try_exists()) {
        (Ok(target), Ok(false)) => Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!(
                "it is a symbolic link to `{}`, which does not exist; create that file, or choose another path",
                target.display()
            ),
        )),
        _ => Ok(()),
    }
}
