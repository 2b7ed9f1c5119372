//! The only conversion of Rust errors to Python exceptions.

use std::fmt;
use std::path::PathBuf;

use callgate_core::engine::{CarryError, ResetError, SetupError};
use callgate_core::policy::PolicyError;
use callgate_counters::StoreError;
use callgate_gateway::pins::PinsError;
use callgate_load::LoadError;
use callgate_server::{FreezeFileError, LookError, ReloadError, StartError, TooManyListenersError};
use pyo3::PyErr;
use pyo3::exceptions::PyConnectionError;

/// The exceptions, which are defined in Python: `callgate/errors.py`.
mod exceptions {
    pyo3::import_exception!(callgate.errors, ConfigError);
    pyo3::import_exception!(callgate.errors, PolicyError);
    pyo3::import_exception!(callgate.errors, StoreError);
    pyo3::import_exception!(callgate.errors, TransientError);
}

/// Every error of this module except arguments of the wrong type.
#[derive(Debug)]
pub(crate) enum Error {
    /// A document has a fault.
    Policy(PolicyError),
    /// A configuration has a fault.
    Setup(SetupError),
    /// A value of a configuration has the wrong form: its place, and the expected form.
    Value(String, String),
    /// Enforcement points or certificates have an invalid configuration.
    Reload(ReloadError),
    /// A load test could not run.
    Load(LoadError),
    /// A server could not be started.
    Start(StartError),
    /// A file or folder cannot be read.
    Unreadable(PathBuf, std::io::Error),
    /// A file cannot be written.
    Unwritable(PathBuf, std::io::Error),
    /// A folder of policies has an unexpected content.
    Folder(PathBuf, &'static str),
    /// The decision log's configuration has a fault.
    Audit(String),
    /// Decisions have too many listeners.
    Listeners(TooManyListenersError),
    /// Counters cannot be reset.
    Reset(ResetError),
    /// Counts of this process were not added to those of the store that nodes share.
    Carry(CarryError),
    /// Counters cannot be kept in a file.
    Store(StoreError),
    /// Pins cannot be read, written or accepted.
    Pins(PinsError),
    /// The place of the counters has an invalid form.
    Counters(String),
    /// The machine's clocks, or the id of this boot, cannot be read.
    Clocks(std::io::Error),
    /// The file of freezes cannot be read.
    Freezes(FreezeFileError),
    /// An approval cannot be looked at.
    Approvals(LookError),
    /// A receiver of messages has not answered.
    Unanswered(callgate_gateway::Failure),
    /// A server was asked for something that its state does not allow.
    ServerState(&'static str),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Policy(error) => error.fmt(f),
            Self::Setup(error) => error.fmt(f),
            Self::Value(place, fault) => write!(f, "{place}: {fault}"),
            Self::Reload(error) => error.fmt(f),
            Self::Load(error) => error.fmt(f),
            Self::Start(error) => error.fmt(f),
            Self::Unwritable(path, error) => write!(f, "cannot write `{}`: {error}", path.display()),
            Self::Unreadable(path, error) => {
                let reason = match error.kind() {
                    std::io::ErrorKind::NotFound => "no such file or folder".to_owned(),
                    std::io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
                    std::io::ErrorKind::IsADirectory => "expected a file, this is a folder".to_owned(),
                    _ => error.to_string(),
                };
                write!(f, "cannot read `{}`: {reason}", path.display())
            }
            Self::Folder(path, fault) => write!(f, "`{}`: {fault}", path.display()),
            Self::Audit(fault) => write!(f, "bad decision log (`audit`): {fault}"),
            Self::Listeners(error) => error.fmt(f),
            Self::Reset(error) => error.fmt(f),
            Self::Carry(error) => error.fmt(f),
            Self::Store(error) => error.fmt(f),
            Self::Pins(error) => error.fmt(f),
            Self::Counters(text) => write!(f, "counters `{text}`: expected `memory` or `file:PATH`"),
            Self::Clocks(error) => write!(
                f,
                "cannot read the machine's clocks for counters in a file: {error}"
            ),
            Self::Freezes(error) => error.fmt(f),
            Self::Approvals(LookError::Unavailable) => f.write_str(
                "the store of approvals does not answer; an `Engine` needs `approvals`, and somebody who answers them",
            ),
            Self::Approvals(LookError::TooMany) => {
                f.write_str("too many requests wait for approvals; ask again later")
            }
            Self::Unanswered(failure) => failure.fmt(f),
            Self::ServerState(fault) => f.write_str(fault),
        }
    }
}

impl From<Error> for PyErr {
    fn from(error: Error) -> Self {
        match error {
            Error::Policy(PolicyError {
                file,
                line,
                column,
                message,
            }) => exceptions::PolicyError::new_err((file, line, column, message)),
            Error::Setup(SetupError::Policy(error)) => Error::Policy(error).into(),
            Error::Pins(ref pins) if is_of_store(pins) => exceptions::StoreError::new_err(error.to_string()),
            Error::Unreadable(_, ref source) if is_transient(source) => {
                exceptions::TransientError::new_err(error.to_string())
            }
            Error::Store(_)
            | Error::Approvals(_)
            | Error::Clocks(_)
            | Error::Carry(CarryError::Store { .. })
            | Error::Reset(
                ResetError::Counters(callgate_counters::ResetError::Store(_)) | ResetError::Store { .. },
            ) => exceptions::StoreError::new_err(error.to_string()),
            Error::Unanswered(_) => PyConnectionError::new_err(error.to_string()),
            Error::Setup(_)
            | Error::Pins(_)
            | Error::Value(..)
            | Error::Audit(_)
            | Error::Listeners(_)
            | Error::Reset(_)
            | Error::Carry(_)
            | Error::Reload(_)
            | Error::Start(_)
            | Error::Load(_)
            | Error::Unreadable(..)
            | Error::Unwritable(..)
            | Error::Folder(..)
            | Error::Counters(_)
            | Error::Freezes(_)
            | Error::ServerState(_) => exceptions::ConfigError::new_err(error.to_string()),
        }
    }
}

/// Returns whether the error is temporary and not the file's fault, such as exhausted file descriptors or a disk error.
/// It is the counterpart of `is_transient` in `callgate/config/document.py` for files that Python reads.
fn is_transient(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{
        InvalidData, InvalidFilename, InvalidInput, IsADirectory, NotADirectory, NotFound, PermissionDenied,
    };
    !matches!(
        error.kind(),
        InvalidData
            | InvalidFilename
            | InvalidInput
            | IsADirectory
            | NotADirectory
            | NotFound
            | PermissionDenied
    )
}

/// Returns whether files caused the error, and not the request.
const fn is_of_store(error: &PinsError) -> bool {
    match error {
        PinsError::Damaged { .. }
        | PinsError::Newer { .. }
        | PinsError::TooLong { .. }
        | PinsError::Locked { .. }
        | PinsError::Unreadable { .. }
        | PinsError::Unwritable { .. } => true,
        PinsError::List(_)
        | PinsError::NoList
        | PinsError::NotWhole
        | PinsError::TooManyTools { .. }
        | PinsError::DefinitionTooLong { .. }
        | PinsError::TooManyBytes { .. }
        | PinsError::UnknownServer { .. }
        | PinsError::UnknownTool { .. }
        | PinsError::UnknownVariant { .. }
        | PinsError::Ambiguous { .. }
        | PinsError::AnotherDigest { .. }
        | PinsError::TooManyAccepted { .. } => false,
    }
}

impl From<PinsError> for Error {
    fn from(error: PinsError) -> Self {
        Self::Pins(error)
    }
}

impl From<PolicyError> for Error {
    fn from(error: PolicyError) -> Self {
        Self::Policy(error)
    }
}

impl From<SetupError> for Error {
    fn from(error: SetupError) -> Self {
        Self::Setup(error)
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<ReloadError> for Error {
    fn from(error: ReloadError) -> Self {
        Self::Reload(error)
    }
}

impl From<LoadError> for Error {
    fn from(error: LoadError) -> Self {
        match error {
            LoadError::Policy(error) => Self::Policy(error),
            other => Self::Load(other),
        }
    }
}

impl From<StartError> for Error {
    fn from(error: StartError) -> Self {
        Self::Start(error)
    }
}
