//! The last answers of the store about counts: how much was left there, and whether too little was. By them calls are refused for
//! a moment, without being asked for again. And the counts that other nodes want.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::index::low;
use crate::{CountKey, Micros, Now};

/// Places for counts; the later of two that have the same place is known.
const PLACES: usize = 1 << 12;

/// The last answers of the store, by place. Written by the worker alone; a reader may see half of a change, and then refuses a
/// call or asks the store for it, each of which may be.
#[derive(Debug)]
pub(super) struct Heard(Box<[Place]>);

#[derive(Debug, Default)]
struct Place {
    key: AtomicU64,
    /// The units that were left there, beside this node's share.
    left: AtomicU64,
    /// The boot time until which the store is not asked again; 0 if enough was left.
    until_us: AtomicU64,
    /// The boot time at which units come back, as the store knows it.
    free_at_us: AtomicU64,
    /// The units of calls that were refused by what stands here.
    missed: AtomicU64,
    /// The count that another node wanted last, and the boot time at which that was heard.
    wanted_key: AtomicU64,
    wanted_us: AtomicU64,
}

impl Default for Heard {
    fn default() -> Self {
        Self((0..PLACES).map(|_| Place::default()).collect())
    }
}

impl Heard {
    fn place(&self, key: CountKey) -> Option<&Place> {
        self.0.get(usize::try_from(low(key)).unwrap_or(0) % PLACES)
    }

    /// Notes that this many units are left; that it is not asked again until then, and when units come back.
    pub(super) fn note(&self, key: CountKey, left: Micros, until_us: u64, free_at_us: u64) {
        let Some(place) = self.place(key) else { return };
        place.until_us.store(0, Ordering::Relaxed);
        place.key.store(low(key), Ordering::Relaxed);
        place.left.store(left.0, Ordering::Relaxed);
        place.free_at_us.store(free_at_us, Ordering::Relaxed);
        // Release: whoever sees it sees the others.
        place.until_us.store(until_us, Ordering::Release);
    }

    /// Microseconds until a call with this cost should try again; `None` if the store may have more.
    pub(super) fn wait_us(&self, key: CountKey, cost: Micros, now: Now) -> Option<u64> {
        let place = self.place(key)?;
        let is_noted = now.look_us() < place.until_us.load(Ordering::Acquire)
            && place.key.load(Ordering::Relaxed) == low(key)
            && place.left.load(Ordering::Relaxed) < cost.0;
        let free_at_us = place.free_at_us.load(Ordering::Relaxed);
        if is_noted {
            // Wraps after more units than any `max`.
            place.missed.fetch_add(cost.0, Ordering::Relaxed);
        }
        is_noted.then(|| free_at_us.saturating_sub(now.look_us()).max(1))
    }

    /// The units of the calls that were refused by what is noted, since the last such question.
    pub(super) fn take_missed(&self, key: CountKey) -> Micros {
        let missed = |place: &Place| place.missed.swap(0, Ordering::Relaxed);
        Micros(self.place(key).map_or(0, missed))
    }

    /// Notes that another node wants units of the count.
    pub(super) fn note_wanted(&self, key: CountKey, now: Now) {
        let Some(place) = self.place(key) else { return };
        place.wanted_key.store(low(key), Ordering::Relaxed);
        place.wanted_us.store(now.look_us().max(1), Ordering::Relaxed);
    }

    /// True if another node has wanted units of the count within so many microseconds.
    pub(super) fn is_wanted(&self, key: CountKey, within_us: u64, now: Now) -> bool {
        let is_wanted = |place: &Place| {
            let wanted_us = place.wanted_us.load(Ordering::Relaxed);
            wanted_us > 0
                && now.look_us() <= wanted_us.saturating_add(within_us)
                && place.wanted_key.load(Ordering::Relaxed) == low(key)
        };
        self.place(key).is_some_and(is_wanted)
    }

    /// The units that were left when the store was asked last; `None` if nothing is known.
    pub(super) fn left(&self, key: CountKey) -> Option<Micros> {
        let place = self.place(key)?;
        let is_known = place.key.load(Ordering::Relaxed) == low(key);
        is_known.then(|| Micros(place.left.load(Ordering::Relaxed)))
    }
}
