//! Reservations that are settled here, or at another node.

use std::sync::Arc;

use callgate_core::{PepId, ReservationId};
use callgate_counters::lease::{Settlement, SettlementError};

use super::Gate;
use crate::deadline::Deadline;
use crate::shared_store::Settler;

impl Gate {
    /// Gives the units of a call back, and the approval that it used; false if there is nothing to give back.
    pub(crate) fn roll_back(&self, reservation: ReservationId, pep: PepId) -> bool {
        let now = self.clock.now();
        let is_settled = self.engine.roll_back(reservation, pep, now);
        if is_settled {
            self.configuration().candidates.roll_back(reservation, pep, now);
        }
        if let Some(approvals) = self.approvals.as_ref().filter(|_| is_settled) {
            approvals.roll_back(reservation);
        }
        is_settled
    }

    /// Keeps the units of a call for good, and the approval that it used; false if there is nothing to keep.
    pub(crate) fn commit(&self, reservation: ReservationId, pep: PepId) -> bool {
        let now = self.clock.now();
        let is_settled = self.engine.commit(reservation, pep, now);
        if is_settled {
            self.configuration().candidates.commit(reservation, pep, now);
        }
        if let Some(approvals) = self.approvals.as_ref().filter(|_| is_settled) {
            approvals.commit(reservation);
        }
        is_settled
    }

    /// Asks the nodes that share counts to settle a reservation that is not known here; false if nothing was settled, and nothing
    /// will be. Without a store there are no other nodes.
    pub(crate) async fn settle_elsewhere(
        &self,
        reservation: ReservationId,
        pep: PepId,
        is_roll_back: bool,
        deadline: Option<Deadline>,
    ) -> Result<bool, SettlementError> {
        let Some(shared) = &self.shared else {
            return Ok(false);
        };
        let name = self.configuration().parts.peps.name_of(pep).map(str::to_owned);
        let Some(pep) = name else { return Ok(false) };
        let settlement = Settlement {
            reservation: reservation.to_string(),
            pep,
            is_roll_back,
        };
        shared.settle(settlement, deadline.map(Deadline::left)).await
    }

    /// Lets this settle what the nodes that share counts ask for.
    pub(crate) fn serve_others(self: &Arc<Self>) {
        if let Some(shared) = &self.shared {
            let settler: Arc<dyn Settler> = Arc::<Self>::clone(self);
            shared.serve(&settler);
        }
    }
}

impl Settler for Gate {
    fn has_reserved(&self, reservation: ReservationId, pep: &str) -> bool {
        let pep = self.configuration().parts.peps.id_of(pep);
        pep.is_some_and(|pep| self.engine.has_reserved(reservation, pep, self.clock.now()))
    }

    fn settle(&self, reservation: ReservationId, pep: &str, is_roll_back: bool) -> bool {
        let Some(pep) = self.configuration().parts.peps.id_of(pep) else {
            return false;
        };
        if is_roll_back {
            self.roll_back(reservation, pep)
        } else {
            self.commit(reservation, pep)
        }
    }
}
