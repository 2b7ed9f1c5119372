//! Reservations: units that can still be given back.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use hashbrown::HashMap;
use smallvec::SmallVec;

use super::{Counters, Demand};
use crate::{Now, PepId};

/// Open reservations by id.
#[derive(Debug)]
pub struct Reservations {
    inner: Mutex<Inner>,
    ttl_us: u64,
    capacity: usize,
}

#[derive(Debug, Default)]
struct Inner {
    open: HashMap<u128, Reserved>,
    /// Ids in the order in which they expire: every reservation lives equally long.
    order: VecDeque<(u64, u128)>,
}

#[derive(Debug)]
struct Reserved {
    pep: PepId,
    expires_us: u64,
    demands: SmallVec<[Demand; 2]>,
}

impl Reservations {
    /// None open; each lives `ttl_ms`, and beyond `capacity` the oldest is committed.
    pub fn new(ttl_ms: u64, capacity: usize) -> Self {
        Self {
            inner: Mutex::default(),
            ttl_us: ttl_ms.saturating_mul(1_000),
            capacity: capacity.max(1),
        }
    }

    /// Remembers what [`Counters::take`] took for `demands`; it is `pep`'s to settle.
    pub fn open(&self, id: u128, pep: PepId, demands: &[Demand], now: Now) {
        let expires_us = now.look_us().saturating_add(self.ttl_us);
        let mut inner = self.lock();
        inner.forget_expired(now, 2);
        while inner.open.len() >= self.capacity {
            if !inner.forget_oldest() {
                break;
            }
        }
        // Settled ones keep their place in the order until they would have expired; not more of them than this.
        if inner.order.len() > self.capacity.saturating_mul(2) {
            let Inner { open, order } = &mut *inner;
            order.retain(|(_, id)| open.contains_key(id));
        }
        inner.open.insert(
            id,
            Reserved {
                pep,
                expires_us,
                demands: demands.iter().cloned().collect(),
            },
        );
        inner.order.push_back((expires_us, id));
    }

    /// Gives the units back; `false` when the id is unknown, expired, already settled or another's.
    pub fn roll_back(&self, id: u128, pep: PepId, counters: &Counters, now: Now) -> bool {
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
    pub fn commit(&self, id: u128, pep: PepId, now: Now) -> bool {
        self.remove(id, pep, now).is_some()
    }

    /// Forgets what has expired, at most `budget`.
    pub fn sweep(&self, now: Now, budget: usize) {
        self.lock().forget_expired(now, budget);
    }

    fn remove(&self, id: u128, pep: PepId, now: Now) -> Option<Reserved> {
        let mut inner = self.lock();
        let reserved = inner.open.get(&id)?;
        if reserved.pep != pep || now.look_us() >= reserved.expires_us {
            return None;
        }
        // Its place in `order` stays until it would have expired, and finds nothing then.
        inner.open.remove(&id)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // A panic while it was held leaves at worst a reservation that is forgotten, so its units stay taken.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn forget_expired(&mut self, now: Now, budget: usize) {
        for _ in 0..budget {
            match self.order.front() {
                Some(&(expires_us, _)) if expires_us <= now.look_us() => self.forget_oldest(),
                _ => return,
            };
        }
    }

    fn forget_oldest(&mut self) -> bool {
        let Some((_, id)) = self.order.pop_front() else {
            return false;
        };
        self.open.remove(&id);
        true
    }
}
