//! Settlements of reservations that another node has made.

use std::fmt;
use std::time::Duration;

/// The commit or roll-back of a reservation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settlement {
    /// The id of the reservation, as text.
    pub reservation: String,
    /// The name of the enforcement point that settles it; empty where anybody may ask.
    pub pep: String,
    /// True if the units go back, false if they stay taken.
    pub is_roll_back: bool,
}

/// A settlement of which nobody knows what has become.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettlementError {
    /// The other nodes could not be asked.
    #[error(
        "this callgate has not made the reservation, and the store through which the others are asked cannot be reached: nothing \
         was settled, and the units stay taken"
    )]
    Away,
    /// They were asked, and gave no answer.
    #[error(
        "this callgate has not made the reservation, and those that were asked gave no answer: it is not known if it was settled; \
         if it was not, the units stay taken"
    )]
    Unanswered,
    /// Too many settlements wait for others.
    #[error("too many settlements wait for other callgates: nothing was settled, and the units stay taken")]
    Busy,
}

/// A settlement that the other nodes are asked for.
pub struct SettlementAsk {
    /// The settlement.
    pub settlement: Settlement,
    /// The time for which the caller waits; `None` if that is not known.
    pub patience: Option<Duration>,
    /// Called once, unless the worker ends before: true if a node has settled it; false if none knows the reservation, or none
    /// that does has answered in time, and then nothing changes any more.
    pub answer: Box<dyn FnOnce(Result<bool, SettlementError>) + Send + Sync>,
}

impl fmt::Debug for SettlementAsk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SettlementAsk")
            .field("settlement", &self.settlement)
            .finish_non_exhaustive()
    }
}
