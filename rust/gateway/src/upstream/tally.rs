//! Counts of one server: its open requests, in all and of each grant, and its failures.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::failure::{Failure, FailureKind};
use crate::pool::Usage;

/// Grants are spread over so many maps, so that two that ask at once seldom wait for each other.
const SHARDS: usize = 16;

/// Requests open of each grant that has some: never more entries than requests are open.
type Shard = HashMap<Arc<str>, usize>;

/// The counts of one server. They stay when its configuration changes: requests that are open then still
/// count where they are bounded.
#[derive(Debug, Default)]
pub struct Tally {
    open: AtomicUsize,
    grants: [Mutex<Shard>; SHARDS],
    hasher: RandomState,
    // By `FailureKind::ALL`.
    failures: [AtomicU64; FailureKind::ALL.len()],
    pub(super) usage: Usage,
}

/// The maximum numbers of open requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bounds {
    pub(super) in_all: usize,
    pub(super) of_grant: usize,
}

impl Tally {
    /// Requests open now.
    pub fn open_requests(&self) -> usize {
        // Relaxed, here and below: numbers that publish nothing else.
        self.open.load(Ordering::Relaxed)
    }

    /// The number of failures of each kind.
    pub fn failures(&self) -> impl Iterator<Item = (FailureKind, u64)> {
        let counts = self.failures.iter().map(|count| count.load(Ordering::Relaxed));
        FailureKind::ALL.into_iter().zip(counts)
    }

    /// Requests that were sent, by whether their connection was `new` or `reused`.
    pub fn sent(&self) -> [(&'static str, u64); 2] {
        self.usage.sent_by_connection()
    }

    /// Requests that were sent once more, as nothing of them had been written.
    pub fn retries(&self) -> u64 {
        self.usage.retries()
    }

    pub(super) fn failed(&self, kind: FailureKind) {
        let index = FailureKind::ALL.iter().position(|one| *one == kind);
        if let Some(count) = index.and_then(|index| self.failures.get(index)) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Opens a request, of a grant where callers prove who they are. It is open until the place is dropped.
    pub(super) fn open(self: &Arc<Self>, grant: Option<&str>, bounds: Bounds) -> Result<Place, Failure> {
        let mut place = Place {
            tally: Arc::clone(self),
            grant: None,
            is_counted: false,
        };
        if let Some(grant) = grant {
            let entered = self.enter(grant, bounds.of_grant);
            place.grant = Some(entered.ok_or(Failure::GrantBusy(bounds.of_grant))?);
        }
        let fits = |open: usize| (open < bounds.in_all).then_some(open + 1);
        self.open
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits)
            .map_err(|_| Failure::Busy(bounds.in_all))?;
        place.is_counted = true;
        Ok(place)
    }

    fn enter(&self, grant: &str, max: usize) -> Option<Arc<str>> {
        let mut shard = self.shard(grant);
        let Some((name, open)) = shard.get_key_value(grant) else {
            let name: Arc<str> = grant.into();
            shard.insert(Arc::clone(&name), 1);
            return Some(name);
        };
        let (name, open) = (Arc::clone(name), *open);
        (open < max).then(|| {
            shard.insert(Arc::clone(&name), open + 1);
            name
        })
    }

    fn leave(&self, grant: &Arc<str>) {
        let mut shard = self.shard(grant);
        match shard.get_mut(grant) {
            Some(open) if *open > 1 => *open -= 1,
            _ => drop(shard.remove(grant)),
        }
    }

    fn shard(&self, grant: &str) -> MutexGuard<'_, Shard> {
        let [first, ..] = &self.grants;
        let shards = u64::try_from(SHARDS).unwrap_or(1);
        let index = usize::try_from(self.hasher.hash_one(grant) % shards).unwrap_or_default();
        let shard = self.grants.get(index).unwrap_or(first);
        // What is done under the lock leaves a map that is whole.
        shard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request that is open, until this is dropped.
#[derive(Debug)]
pub struct Place {
    tally: Arc<Tally>,
    grant: Option<Arc<str>>,
    is_counted: bool,
}

impl Place {
    /// Counts what its reply has come to.
    pub(super) fn failed(&self, kind: FailureKind) {
        self.tally.failed(kind);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.is_counted {
            self.tally.open.fetch_sub(1, Ordering::Relaxed);
        }
        if let Some(grant) = &self.grant {
            self.tally.leave(grant);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds {
        in_all: 5,
        of_grant: 2,
    };

    fn remembered(tally: &Tally) -> usize {
        tally.grants.iter().map(|shard| shard.lock().unwrap().len()).sum()
    }

    #[test]
    fn one_grant_cannot_have_it_all() {
        let tally = Arc::new(Tally::default());
        let open = |grant| tally.open(grant, BOUNDS);
        let mut alice: Vec<Place> = (0..2).map(|_| open(Some("alice")).unwrap()).collect();
        assert!(matches!(open(Some("alice")), Err(Failure::GrantBusy(2))));
        assert_eq!(tally.open_requests(), 2, "what was refused counts nowhere");
        let bob: Vec<Place> = (0..2).map(|_| open(Some("bob")).unwrap()).collect();
        let carol = open(Some("carol")).unwrap();
        assert!(matches!(open(Some("carol")), Err(Failure::Busy(5))));
        alice.pop();
        let again = open(Some("carol")).unwrap();
        assert_eq!((tally.open_requests(), remembered(&tally)), (5, 3));
        drop((alice, bob, carol, again));
        assert_eq!((tally.open_requests(), remembered(&tally)), (0, 0));
    }

    #[test]
    fn where_nobody_is_told_apart_the_whole_is_everybody_s() {
        let tally = Arc::new(Tally::default());
        let open: Vec<Place> = (0..5).map(|_| tally.open(None, BOUNDS).unwrap()).collect();
        assert!(matches!(tally.open(None, BOUNDS), Err(Failure::Busy(5))));
        drop(open);
        assert_eq!(tally.open_requests(), 0);
    }

    #[test]
    fn a_lower_bound_holds_for_those_that_come_later() {
        let tally = Arc::new(Tally::default());
        let open: Vec<Place> = (0..5).map(|_| tally.open(None, BOUNDS).unwrap()).collect();
        let fewer = Bounds {
            in_all: 1,
            of_grant: 1,
        };
        assert!(matches!(tally.open(Some("a"), fewer), Err(Failure::Busy(1))));
        assert_eq!(remembered(&tally), 0);
        drop(open);
        assert!(tally.open(Some("a"), fewer).is_ok());
    }

    #[test]
    fn threads_never_pass_the_bounds_and_leave_nothing_behind() {
        let tally = Arc::new(Tally::default());
        let most = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for number in 0..8 {
                let (tally, most) = (&tally, &most);
                scope.spawn(move || {
                    let grant = format!("grant-{}", number % 4);
                    for _ in 0..2_000 {
                        if let Ok(_place) = tally.open(Some(&grant), BOUNDS) {
                            most.fetch_max(tally.open_requests(), Ordering::Relaxed);
                        }
                    }
                });
            }
        });
        assert!((1..=5).contains(&most.load(Ordering::Relaxed)));
        assert_eq!((tally.open_requests(), remembered(&tally)), (0, 0));
    }

    #[test]
    fn failures_are_counted_by_kind() {
        let tally = Tally::default();
        tally.failed(FailureKind::CutShort);
        tally.failed(FailureKind::CutShort);
        tally.failed(FailureKind::Unauthorized);
        let met: Vec<_> = tally.failures().filter(|(_, count)| *count > 0).collect();
        assert_eq!(met, [(FailureKind::CutShort, 2), (FailureKind::Unauthorized, 1)]);
    }
}
