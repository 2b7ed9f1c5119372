//! Units of a call that is on its way.

use callgate_core::{PepId, ReservationId};

use crate::gate::Gate;

/// Units that can still be given back.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OpenReservation {
    pub(crate) reservation: ReservationId,
    pub(crate) pep: PepId,
}

impl OpenReservation {
    /// Gives the units of a call back that never reached the upstream, or keeps them for good.
    pub(crate) fn settle(self, gate: &Gate, never_reached: bool) {
        if never_reached {
            gate.roll_back(self.reservation, self.pep);
        } else {
            gate.commit(self.reservation, self.pep);
        }
    }
}
