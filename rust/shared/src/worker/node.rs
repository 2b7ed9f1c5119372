//! The node that a worker speaks for.

use callgate_counters::lease::Settlement;
use callgate_counters::{Counters, Now};

use crate::error::SharedError;

/// The counters of this node, its clock, and those who are told.
pub trait Node: Send + Sync + 'static {
    /// The counters.
    fn counters(&self) -> &Counters;
    /// This instant, on the clock of the counters.
    fn now(&self) -> Now;
    /// The store can be used, or cannot, for this reason.
    fn store_changed(&self, fault: Option<&SharedError>);
    /// True while reservations are open here.
    fn has_reservations(&self) -> bool {
        false
    }
    /// True if this enforcement point has an open reservation of this id here.
    fn has_reserved(&self, _settlement: &Settlement) -> bool {
        false
    }
    /// Settles a reservation; false if there is none of this enforcement point.
    fn settle(&self, _settlement: &Settlement) -> bool {
        false
    }
}
