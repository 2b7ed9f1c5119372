//! Uses of approvals by calls whose units can still be given back.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use callgate_core::ReservationId;

use super::questions::Use;

/// The uses of open reservations. There are as many as there are such reservations at most.
#[derive(Debug, Default)]
pub(super) struct ReservedUses(Mutex<HashMap<ReservationId, (Use, Instant)>>);

impl ReservedUses {
    /// Keeps a use until its reservation is settled, or has ended at this moment.
    pub(super) fn keep(&self, reservation: ReservationId, used: Use, until: Instant) {
        self.lock().insert(reservation, (used, until));
    }

    /// Takes the use of a reservation.
    pub(super) fn take(&self, reservation: ReservationId) -> Option<Use> {
        self.lock().remove(&reservation).map(|(used, _)| used)
    }

    /// Forgets those whose reservations have ended: their calls count as made.
    pub(super) fn sweep(&self, now: Instant) {
        let mut uses = self.lock();
        let ended: Vec<_> = uses.extract_if(|_, (_, until)| *until <= now).collect();
        drop(uses);
        for (_, (used, _)) in ended {
            used.spend();
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ReservationId, (Use, Instant)>> {
        // A map is whole after each of its methods.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
