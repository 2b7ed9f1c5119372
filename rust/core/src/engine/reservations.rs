//! Reservations of an engine.

use std::time::Duration;

use super::Engine;
use crate::{Now, PepId, ReservationId};

impl Engine {
    /// Gives a reservation's units back; `false` if the id is unknown, expired, already settled or not `pep`'s.
    pub fn roll_back(&self, reservation: ReservationId, pep: PepId, now: Now) -> bool {
        // In a forked child nothing can be given back, and a thread that is not there may hold the lock.
        !self.counters.is_inherited() && self.reservations.roll_back(reservation, pep, &self.counters, now)
    }

    /// Keeps a reservation's units for good; `false` if the id is unknown, expired, already settled or not `pep`'s.
    pub fn commit(&self, reservation: ReservationId, pep: PepId, now: Now) -> bool {
        !self.counters.is_inherited() && self.reservations.commit(reservation, pep, now)
    }

    /// True if reservations are open.
    pub fn has_reservations(&self) -> bool {
        !self.counters.is_inherited() && !self.reservations.is_empty()
    }

    /// True if a reservation of this id is open, and `pep`'s.
    pub fn has_reserved(&self, reservation: ReservationId, pep: PepId, now: Now) -> bool {
        !self.counters.is_inherited() && self.reservations.has(reservation, pep, now)
    }

    /// Returns the time in which a reservation can be rolled back.
    pub const fn reservation_ttl(&self) -> Duration {
        self.reservation_ttl
    }
}
