//! The stages from serving to closed.

/// A stage of a server's life, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// It accepts connections.
    Serving,
    /// It finishes what is in flight.
    Draining,
    /// It closes what is left.
    Closed,
}
