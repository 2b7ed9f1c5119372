//! The stages from serving to closed.

/// A stage of a server's life, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// The server accepts connections.
    Serving,
    /// The server finishes requests in flight.
    Draining,
    /// The server closes the connections that are left.
    Closed,
}
