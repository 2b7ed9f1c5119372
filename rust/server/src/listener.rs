//! The listeners of a server, as doors tell them apart.

/// The listener that a connection came in by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Listener {
    /// Over TCP.
    Tcp {
        /// The listener's address is a loopback one.
        loopback: bool,
    },
    /// Over the Unix socket, whose peer's user has been checked.
    Socket,
}
