//! Errors of a load test.

use std::io;
use std::path::{Path, PathBuf};

use callgate_core::policy::PolicyError;

/// An error that prevents or ends a load test.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A policy or catalogue has a fault.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// A line of a file of calls has a fault.
    #[error("{file}:{line}:{column}: {message}")]
    Calls {
        /// The file's name as the user gave it.
        file: String,
        /// Line, from 1.
        line: usize,
        /// Column in characters, from 1.
        column: usize,
        /// The fault and the expected form.
        message: String,
    },
    /// A file cannot be read.
    #[error("cannot read `{}`: {}", .0.display(), reason(.1))]
    Unreadable(PathBuf, io::Error),
    /// An option or the target is invalid.
    #[error("{0}")]
    Option(String),
    /// The target is unreachable, or is not a decision point.
    #[error("`{target}`: {reason}")]
    Target {
        /// The target as the user named it.
        target: String,
        /// The reason.
        reason: String,
    },
    /// Threads cannot be started, or a thread panicked.
    #[error("cannot run the load: {0}")]
    Machine(String),
}

impl LoadError {
    pub(crate) fn unreadable(path: &Path, error: io::Error) -> Self {
        Self::Unreadable(path.to_owned(), error)
    }
}

/// An I/O error in a few words, without the system's error number.
pub(crate) fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "no such file or folder".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        io::ErrorKind::IsADirectory => "expected a file, this is a folder".to_owned(),
        io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        io::ErrorKind::ConnectionReset => "connection reset by peer".to_owned(),
        io::ErrorKind::BrokenPipe | io::ErrorKind::UnexpectedEof => "connection closed by peer".to_owned(),
        io::ErrorKind::TimedOut => "timed out".to_owned(),
        _ => {
            let text = error.to_string();
            match text.find(" (os error") {
                Some(end) => text.get(..end).unwrap_or(&text).to_lowercase(),
                None => text,
            }
        }
    }
}
