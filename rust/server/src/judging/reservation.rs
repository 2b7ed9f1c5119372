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
        let now = gate.clock.now();
        if never_reached {
            gate.engine.roll_back(self.reservation, self.pep, now);
        } else {
            gate.engine.commit(self.reservation, self.pep, now);
        }
    }
}
