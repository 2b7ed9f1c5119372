//! The error for counters that cannot be kept in a file.

use std::io;
use std::path::PathBuf;

/// The counters cannot be kept in a file; the message is one line that says what to do.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The operating system refused an operation.
    #[error("cannot {doing} the counters `{}`: {}", path.display(), reason(source))]
    Io {
        /// The file.
        path: PathBuf,
        /// The operation that failed, as a verb.
        doing: &'static str,
        /// The error of the operating system.
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
        /// The size of the file that was needed.
        bytes: u64,
        /// The error of the operating system.
        source: io::Error,
    },
    /// Another process has the file in use.
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
    /// The process that keeps the file for others does not answer.
    #[error(
        "the counters `{}` are kept by process {}, which does not answer; let it go on or stop it, or choose another file with --counters",
        path.display(),
        process(*pid)
    )]
    Silent {
        /// The file.
        path: PathBuf,
        /// The process that opened it last.
        pid: Option<u32>,
    },
    /// The process that keeps the file cannot share it with this one.
    #[error(
        "the counters `{}` are kept by process {}, which {reason}, so they cannot be shared with it; stop that process, or choose \
         another file with --counters",
        path.display(),
        process(*pid)
    )]
    Unshared {
        /// The file.
        path: PathBuf,
        /// The process that opened it last.
        pid: Option<u32>,
        /// The reason, as a verb with its object.
        reason: &'static str,
    },
    /// The file belongs to the process that this one was forked from.
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
    /// The path leads to something that is not a file of counters.
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
    /// The file is damaged.
    #[error(
        "the counters `{}` are damaged: {fault}; `callgate counters repair {}` keeps what is whole and sets the file aside",
        path.display(),
        path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The damage that was found.
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
    /// The file is so damaged that a repair cannot tell which counts are in it.
    #[error(
        "the counters `{}` cannot be repaired: {fault}; to begin with none, move the file away",
        path.display()
    )]
    BeyondRepair {
        /// The file.
        path: PathBuf,
        /// The damage that prevents a repair.
        fault: String,
    },
}

/// The number of a process, if it is known.
fn process(pid: Option<u32>) -> String {
    pid.map_or_else(|| "?".to_owned(), |pid| pid.to_string())
}

/// Describes an error of the operating system, in the words of other messages.
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
