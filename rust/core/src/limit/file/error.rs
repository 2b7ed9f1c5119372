//! Why counters cannot be kept in a file.

use std::io;
use std::path::PathBuf;

/// Why counters cannot be kept in a file: one line that says what to do.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The operating system refused something.
    #[error("cannot {doing} the counters `{}`: {}", path.display(), reason(source))]
    Io {
        /// The file.
        path: PathBuf,
        /// What was tried, as a verb.
        doing: &'static str,
        /// What the operating system said.
        source: io::Error,
    },
    /// There is no room on the disk.
    #[error(
        "cannot reserve {bytes} bytes on disk for the counters `{}`: {}; make room there, or keep them elsewhere with --counters",
        path.display(),
        reason(source)
    )]
    NoSpace {
        /// The file.
        path: PathBuf,
        /// Its size, if there were room.
        bytes: u64,
        /// What the operating system said.
        source: io::Error,
    },
    /// Another process has the file.
    #[error(
        "the counters `{}` are in use{}; stop that process, or choose another file with --counters",
        path.display(),
        pid.map(|pid| format!(" by process {pid}")).unwrap_or_default()
    )]
    InUse {
        /// The file.
        path: PathBuf,
        /// The process that opened it last.
        pid: Option<u32>,
    },
    /// This process was forked from the one that has the file.
    #[error(
        "the counters `{}` belong to process {pid}, which this one was forked from; ask that process, or open other counters after the fork",
        path.display()
    )]
    Forked {
        /// The file.
        path: PathBuf,
        /// The process that opened it.
        pid: u32,
    },
    /// Something else lies under the path.
    #[error(
        "`{}` is no file of counters (its first bytes are others); choose another path with --counters",
        path.display()
    )]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// A later callgate wrote the file.
    #[error(
        "the counters `{}` have format version {version}, this callgate knows {known}; use the callgate that wrote them, or choose another file with --counters",
        path.display()
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        version: u64,
        /// The version of this build.
        known: u64,
    },
    /// The file is not as it was left.
    #[error(
        "the counters `{}` are damaged: {fault}; `callgate counters repair {}` keeps what is whole and sets the file aside",
        path.display(),
        path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        fault: String,
    },
    /// The path leads to another file than the one in use, or to none.
    #[error(
        "the counters `{}` were removed or replaced while they are in use: what is counted here is lost when this process ends, and another process may count apart from it; restart this one",
        path.display()
    )]
    Replaced {
        /// The path.
        path: PathBuf,
    },
    /// There is no file.
    #[error("there are no counters `{}`: no such file", path.display())]
    Missing {
        /// The path.
        path: PathBuf,
    },
    /// Not even a repair can tell whose counts are in the file.
    #[error(
        "the counters `{}` cannot be repaired: {fault}; to begin with none, move the file away",
        path.display()
    )]
    BeyondRepair {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        fault: String,
    },
}

/// What the operating system said, in the words of other messages.
fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "no such file or folder".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        io::ErrorKind::IsADirectory => "expected a file, this is a folder".to_owned(),
        io::ErrorKind::StorageFull => "no space left on the disk".to_owned(),
        io::ErrorKind::QuotaExceeded => "the disk quota is used up".to_owned(),
        io::ErrorKind::FileTooLarge => "beyond the limit on file sizes".to_owned(),
        io::ErrorKind::ReadOnlyFilesystem => "the file system is read-only".to_owned(),
        _ => error.to_string(),
    }
}
