//! What stops a load test before or while it runs.

use std::io;
use std::path::{Path, PathBuf};

use callgate_core::policy::PolicyError;

/// What stops a load test.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A policy or catalogue has a fault.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// A line of a file of calls has a fault.
    #[error("{file}:{line}:{column}: {message}")]
    Calls {
        /// The file as the user named it.
        file: String,
        /// Line, from 1.
        line: usize,
        /// Column in characters, from 1.
        column: usize,
        /// What is wrong, what was expected.
        message: String,
    },
    /// A file cannot be read.
    #[error("cannot read `{}`: {}", .0.display(), reason(.1))]
    Unreadable(PathBuf, io::Error),
    /// An option or the target has no meaning.
    #[error("{0}")]
    Option(String),
    /// The target cannot be reached, or is no decision point.
    #[error("`{target}`: {reason}")]
    Target {
        /// As the user named it.
        target: String,
        /// Why.
        reason: String,
    },
    /// The machine gives no threads, or a thread ended in a panic.
    #[error("cannot run the load: {0}")]
    Machine(String),
}

impl LoadError {
    pub(crate) fn unreadable(path: &Path, error: io::Error) -> Self {
        Self::Unreadable(path.to_owned(), error)
    }
}

/// An I/O error in a few words, without the number that the system gives it.
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
