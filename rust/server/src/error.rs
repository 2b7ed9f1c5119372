//! Errors of a start and of a reload.

use std::io;
use std::path::PathBuf;

use crate::audit::AuditError;
use crate::freeze_file::FreezeFileError;
use crate::identity::PepError;
use crate::in_force::GatewayError;
use crate::tls::TlsError;

/// A refusal to start: one line that says what to do.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Neither an address nor a socket was given.
    #[error("nothing to listen on: expected a TCP address, a Unix socket path, or both")]
    NoListener,
    /// The store of shared counters cannot be used.
    #[error(transparent)]
    Shared(#[from] callgate_shared::SharedError),
    /// A limit is zero.
    #[error("`{name}` is 0; expected at least 1")]
    Limit {
        /// Its name.
        name: &'static str,
    },
    /// The address does not read as one.
    #[error("cannot listen on `{listen}`: expected an IP address and a port, such as `127.0.0.1:9191`")]
    Address {
        /// The address as given.
        listen: String,
    },
    /// Another process listens there.
    #[error(
        "cannot listen on `{listen}`: address already in use; stop the other process or choose another with --listen"
    )]
    AddressInUse {
        /// The address as given.
        listen: String,
    },
    /// This machine has no such address.
    #[error(
        "cannot listen on `{listen}`: no interface of this machine has that address; choose another with --listen"
    )]
    AddressNotAvailable {
        /// The address as given.
        listen: String,
    },
    /// The operating system forbids the address.
    #[error(
        "cannot listen on `{listen}`: permission denied; ports below 1024 need privileges, choose another with --listen"
    )]
    AddressNotPermitted {
        /// The address as given.
        listen: String,
    },
    /// Any other fault of the TCP listener.
    #[error("cannot listen on `{listen}`: {source}")]
    Listen {
        /// The address as given.
        listen: String,
        /// The operating system's error.
        source: io::Error,
    },
    /// A process listens on the socket.
    #[error(
        "cannot create the socket `{}`: another process listens there; stop it or choose another with --socket",
        path.display()
    )]
    SocketInUse {
        /// The path as given.
        path: PathBuf,
    },
    /// Another file exists under the socket's path, and is left alone.
    #[error(
        "cannot create the socket `{}`: the path exists already; if no process uses it, remove it, else choose another with --socket",
        path.display()
    )]
    SocketExists {
        /// The path as given.
        path: PathBuf,
    },
    /// The path does not fit the operating system's address.
    #[error(
        "cannot create the socket `{}`: the path has {length} bytes, expected at most {longest}; choose a shorter one with --socket",
        path.display()
    )]
    SocketPathTooLong {
        /// The path as given.
        path: PathBuf,
        /// Its length in bytes.
        length: usize,
        /// The longest possible, in bytes.
        longest: usize,
    },
    /// The folder of the socket is not there.
    #[error("cannot create the socket `{}`: its folder does not exist; create it or choose another path with --socket", path.display())]
    SocketFolder {
        /// The path as given.
        path: PathBuf,
    },
    /// The operating system forbids the socket.
    #[error(
        "cannot create the socket `{}`: permission denied; choose a folder this user may write to with --socket",
        path.display()
    )]
    SocketNotPermitted {
        /// The path as given.
        path: PathBuf,
    },
    /// Any other fault of the Unix socket.
    #[error("cannot create the socket `{}`: {source}", path.display())]
    Socket {
        /// The path as given.
        path: PathBuf,
        /// The operating system's error.
        source: io::Error,
    },
    /// The decision log cannot be opened.
    #[error("cannot open the decision log `{target}`: {fault}")]
    Audit {
        /// Its path, or `-` for standard output.
        target: String,
        /// The fault and its remedy.
        fault: String,
    },
    /// An enforcement point is not configured as it must be.
    #[error(transparent)]
    Pep(#[from] PepError),
    /// The freezes cannot be read.
    #[error(transparent)]
    Freezes(#[from] FreezeFileError),
    /// The certificates cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// A server behind the gateway is not configured as it must be.
    #[error(transparent)]
    Gateway(#[from] GatewayError),
    /// The threads could not be started.
    #[error("cannot start the server's threads: {0}")]
    Threads(#[source] io::Error),
    /// The operating system gives no random numbers.
    #[error("cannot make a key for the gateway's sessions: {0}")]
    Randomness(String),
    /// The descriptors built into the program are damaged.
    #[error("cannot set up server reflection: {0}")]
    Reflection(String),
}

/// A refusal of another configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReloadError {
    /// An enforcement point is not configured as it must be.
    #[error(transparent)]
    Pep(#[from] PepError),
    /// The certificates cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// A server behind the gateway is not configured as it must be, or its pins cannot be read: a sentence.
    #[error("{0}")]
    Gateway(String),
}

impl From<GatewayError> for ReloadError {
    fn from(error: GatewayError) -> Self {
        Self::Gateway(error.to_string())
    }
}

impl From<AuditError> for StartError {
    fn from(error: AuditError) -> Self {
        match error {
            AuditError::Open { target, fault } => Self::Audit { target, fault },
            AuditError::Thread(error) => Self::Threads(error),
        }
    }
}
