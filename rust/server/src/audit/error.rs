//! Failures to start the decision log.

use std::io;

use super::AuditTarget;

/// A failure to start the decision log.
#[derive(Debug)]
pub(crate) enum AuditError {
    /// The decision log cannot be opened.
    Open {
        /// Its path, or `-` for standard output.
        target: String,
        /// The fault and its remedy.
        fault: String,
    },
    /// Its thread cannot be started.
    Thread(io::Error),
}

impl AuditError {
    /// The log cannot be opened, because of what the operating system said.
    pub(super) fn open(target: &AuditTarget, error: &io::Error) -> Self {
        let fault = match error.kind() {
            io::ErrorKind::NotFound => {
                "its folder does not exist; create it or choose another path".to_owned()
            }
            io::ErrorKind::PermissionDenied => {
                "permission denied; choose a file this user may write to".to_owned()
            }
            io::ErrorKind::IsADirectory => "expected a file, this is a folder".to_owned(),
            _ => error.to_string(),
        };
        let target = match target {
            AuditTarget::Stdout | AuditTarget::Stderr => "-".to_owned(),
            AuditTarget::File(path) => path.display().to_string(),
        };
        Self::Open { target, fault }
    }
}
