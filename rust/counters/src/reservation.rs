//! Reservations: units that can still be given back.

mod id;

use std::hash::Hasher;
use std::sync::{Mutex, MutexGuard, PoisonError};

use hashbrown::HashMap;
use siphasher::sip::SipHasher13;
use smallvec::SmallVec;

use crate::queue::{Ends, Links, Queued, append, unlink};
use crate::{Counters, Demand, Now};

pub use id::{ReservationId, ReservationIdError};

/// An enforcement point by a number that stays the same across reloads. Reservations belong to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct PepId(pub u32);

/// Bounds of the reservations that are open at once. Beyond one of them, the oldest that it counts is committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReservationLimits {
    /// In all.
    pub capacity: usize,
    /// Of one grant.
    pub per_grant: usize,
    /// Of one enforcement point.
    pub per_pep: usize,
}

impl ReservationLimits {
    /// So many in all, and no further bound for one grant or one enforcement point.
    pub const fn in_all(capacity: usize) -> Self {
        Self {
            capacity,
            per_grant: capacity,
            per_pep: capacity,
        }
    }
}

/// Open reservations by id.
#[derive(Debug)]
pub struct Reservations {
    inner: Mutex<Inner>,
    ttl_us: u64,
    limits: ReservationLimits,
    grant_key: [u8; 16],
}

/// The open reservations, each in three queues: of all, of its grant and of its enforcement point. Every step takes
/// constant time, so that whoever reserves waits as long in a flood as without one.
#[derive(Debug, Default)]
struct Inner {
    by_id: HashMap<ReservationId, u32>,
    /// Places of reservations, as many as were ever open at once; free ones are used again.
    places: Vec<Place>,
    free: Vec<u32>,
    all: Ends,
    grants: HashMap<u64, Ends>,
    peps: HashMap<PepId, Ends>,
}

#[derive(Debug)]
struct Place {
    links: [Links; 3],
    /// `None` while the place is free.
    reserved: Option<Reserved>,
}

impl Queued for Place {
    fn links(&mut self, queue: usize) -> &mut Links {
        &mut self.links[queue]
    }
}

/// The queues that a reservation is in, as places of their links.
const ALL: usize = 0;
const GRANT: usize = 1;
const PEP: usize = 2;

#[derive(Debug)]
struct Reserved {
    id: ReservationId,
    pep: PepId,
    /// Hash of the grant's id.
    grant: u64,
    expires_us: u64,
    demands: SmallVec<[Demand; 2]>,
}

impl Reservations {
    /// Creates an empty set, whose reservations live `ttl_ms` each. The hash of grants is keyed by `hash_key`, because
    /// callers may choose the names of grants.
    pub fn new(ttl_ms: u64, limits: ReservationLimits, hash_key: &[u8; 16]) -> Self {
        Self {
            inner: Mutex::default(),
            ttl_us: ttl_ms.saturating_mul(1_000),
            limits,
            grant_key: *hash_key,
        }
    }

    /// Remembers what [`Counters::take`] took for `demands` of this grant; it is `pep`'s to settle.
    pub fn open(&self, id: ReservationId, pep: PepId, grant: &str, demands: &[Demand], now: Now) {
        let mut hasher = SipHasher13::new_with_key(&self.grant_key);
        hasher.write(grant.as_bytes());
        let reserved = Reserved {
            id,
            pep,
            grant: hasher.finish(),
            expires_us: now.look_us().saturating_add(self.ttl_us),
            demands: demands.iter().cloned().collect(),
        };
        let mut inner = self.lock();
        inner.forget_expired(now, 2);
        inner.make_room(&reserved, self.limits);
        inner.insert(reserved);
    }

    /// Gives the units back; `false` when the id is unknown, expired, already settled or another's.
    pub fn roll_back(&self, id: ReservationId, pep: PepId, counters: &Counters, now: Now) -> bool {
        // Removed first: of two that settle one reservation, one gives back.
        let Some(reserved) = self.remove(id, pep, now) else {
            return false;
        };
        for demand in &reserved.demands {
            counters.give_back(demand, now);
        }
        true
    }

    /// Keeps the units for good; `false` as above.
    pub fn commit(&self, id: ReservationId, pep: PepId, now: Now) -> bool {
        self.remove(id, pep, now).is_some()
    }

    /// True if this enforcement point can settle a reservation of this id.
    pub fn has(&self, id: ReservationId, pep: PepId, now: Now) -> bool {
        let inner = self.lock();
        let place = inner
            .by_id
            .get(&id)
            .and_then(|place| inner.places.get(*place as usize));
        let reserved = place.and_then(|place| place.reserved.as_ref());
        reserved.is_some_and(|reserved| reserved.pep == pep && now.look_us() < reserved.expires_us)
    }

    /// Forgets what has expired, at most `budget`.
    pub fn sweep(&self, now: Now, budget: usize) {
        self.lock().forget_expired(now, budget);
    }

    /// Reservations that are open, or have expired and are not forgotten yet.
    pub fn len(&self) -> usize {
        self.lock().all.len()
    }

    /// True when none is open.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn remove(&self, id: ReservationId, pep: PepId, now: Now) -> Option<Reserved> {
        let mut inner = self.lock();
        let place = *inner.by_id.get(&id)?;
        let reserved = inner.places.get(place as usize)?.reserved.as_ref()?;
        if reserved.pep != pep || now.look_us() >= reserved.expires_us {
            return None;
        }
        inner.take_out(place)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // A panic while it was held leaves at worst a reservation that is forgotten, so its units stay taken.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// Commits the oldest reservations until there is room for a new one.
    fn make_room(&mut self, reserved: &Reserved, limits: ReservationLimits) {
        let none = Ends::default();
        loop {
            let grant = self.grants.get(&reserved.grant).unwrap_or(&none);
            let pep = self.peps.get(&reserved.pep).unwrap_or(&none);
            // A bound of 0 is one of 1: what was just taken can be given back.
            let full = [
                (grant, limits.per_grant),
                (pep, limits.per_pep),
                (&self.all, limits.capacity),
            ];
            let oldest = full
                .into_iter()
                .find(|(queue, most)| queue.len() >= (*most).max(1))
                .and_then(|(queue, _)| queue.first());
            let Some(oldest) = oldest else { return };
            self.take_out(oldest);
        }
    }

    fn insert(&mut self, reserved: Reserved) {
        let Reserved { id, grant, pep, .. } = reserved;
        // Ids are random; of two alike the later one counts.
        if let Some(&before) = self.by_id.get(&id) {
            self.take_out(before);
        }
        let filled = Place {
            links: [Links::default(); 3],
            reserved: Some(reserved),
        };
        let index = if let Some(index) = self.free.pop() {
            self.places[index as usize] = filled;
            index
        } else {
            // Bounded by the capacity, which is far below 2^32.
            let Ok(index) = u32::try_from(self.places.len()) else {
                return;
            };
            self.places.push(filled);
            index
        };
        append(&mut self.places, &mut self.all, ALL, index);
        append(
            &mut self.places,
            self.grants.entry(grant).or_default(),
            GRANT,
            index,
        );
        append(&mut self.places, self.peps.entry(pep).or_default(), PEP, index);
        self.by_id.insert(id, index);
    }

    fn take_out(&mut self, index: u32) -> Option<Reserved> {
        let reserved = self.places.get_mut(index as usize)?.reserved.take()?;
        self.by_id.remove(&reserved.id);
        unlink(&mut self.places, &mut self.all, ALL, index);
        if let Some(grant) = self.grants.get_mut(&reserved.grant) {
            unlink(&mut self.places, grant, GRANT, index);
            if grant.len() == 0 {
                self.grants.remove(&reserved.grant);
            }
        }
        if let Some(pep) = self.peps.get_mut(&reserved.pep) {
            unlink(&mut self.places, pep, PEP, index);
            if pep.len() == 0 {
                self.peps.remove(&reserved.pep);
            }
        }
        self.free.push(index);
        Some(reserved)
    }

    fn forget_expired(&mut self, now: Now, budget: usize) {
        for _ in 0..budget {
            // Every reservation lives equally long, so the oldest expires first.
            let Some(oldest) = self.all.first() else { return };
            let place = self.places.get(oldest as usize);
            let reserved = place.and_then(|place| place.reserved.as_ref());
            if reserved.is_some_and(|reserved| reserved.expires_us > now.look_us()) {
                return;
            }
            self.take_out(oldest);
        }
    }
}

#[cfg(test)]
mod tests;
