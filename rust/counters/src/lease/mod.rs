//! Counts that several nodes share through a store: what the calls of this node and the worker that speaks to the store
//! say to each other.
//!
//! Calls push [`Ask`]s; the worker takes them, and answers those that wait. It lends this node shares of counts
//! ([`crate::Counters::lend`]), for as long as the lease of their policy lasts: [`SharedPolicy::is_leased`].

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use crate::shape::Hold;
use crate::{CountKey, CountShape, Demand, Micros, Now, View};

mod bring;
mod early;
mod heard;
mod resets;
mod settlement;

pub use bring::{BringAsk, BringError, Brought, BroughtCount};
use early::Early;
use heard::Heard;
pub use resets::{CountScopes, PlannedResets, ResetAsk, ScopeOfCount, SharedResetError, SharedResets};
pub use settlement::{Settlement, SettlementAsk, SettlementError};

/// One policy whose counts are shared.
#[derive(Debug)]
pub struct SharedPolicy {
    /// Its name.
    pub name: String,
    /// Its number in this process.
    pub number: u32,
    lease_end_us: AtomicU64,
    /// The end of the time for which units may be taken ahead.
    ahead_end_us: AtomicU64,
    /// True once units are to be taken ahead.
    is_taken_ahead: AtomicBool,
    /// The number of times that its limits have changed.
    changes: AtomicU64,
    /// The resets of its shared counts.
    pub resets: SharedResets,
}

impl SharedPolicy {
    /// The end of the lease, in boot microseconds; 0 while there is none. Read before units are taken: a unit whose stamp is
    /// not after it is covered by a share, whatever happens to the lease meanwhile.
    #[inline]
    pub fn lease_end_us(&self) -> u64 {
        // Acquire: who sees the end of a lease sees the shares that were given up before it began.
        self.lease_end_us.load(Ordering::Acquire)
    }

    /// The latest time, in boot microseconds, until which somebody else may use units that are taken ahead now; 0 while the
    /// lease does not last, or the store was not told of it. Read before units are taken, as [`Self::lease_end_us`]: units whose
    /// stamp is not after it are covered by a share.
    pub fn ahead_end_us(&self, now: Now) -> u64 {
        // Acquire: as in `lease_end_us`.
        let ahead_end_us = self.ahead_end_us.load(Ordering::Acquire);
        if self.is_leased(now) { ahead_end_us } else { 0 }
    }

    /// Lets units be taken ahead until `end_us`, because the store counts the shares of this node so long after the end of the
    /// lease. To be called before [`Self::lease_until_us`], which takes it back if the limits have changed.
    pub fn ahead_until_us(&self, end_us: u64) {
        self.ahead_end_us.store(end_us, Ordering::SeqCst);
    }

    /// True once units are to be taken ahead, here or at another node: the worker tells the store with the next call, and never
    /// takes it back, since what was taken ahead may still be in use.
    pub fn is_taken_ahead(&self) -> bool {
        self.is_taken_ahead.load(Ordering::SeqCst)
    }

    /// Notes that units are to be taken ahead, here or at another node.
    pub fn note_taken_ahead(&self) {
        self.is_taken_ahead.store(true, Ordering::SeqCst);
    }

    /// Lets the lease last until `end_us`, unless the limits have changed since the worker has seen `changes` changes.
    pub fn lease_until_us(&self, end_us: u64, changes: u64) {
        self.lease_end_us.store(end_us, Ordering::SeqCst);
        // After the store: either this sees the change, or the change ends this lease.
        if self.changes() != changes {
            self.end_lease();
        }
    }

    /// Ends the lease.
    pub fn end_lease(&self) {
        self.ahead_end_us.store(0, Ordering::SeqCst);
        self.lease_end_us.store(0, Ordering::SeqCst);
    }

    /// The number of times that its limits have changed.
    pub fn changes(&self) -> u64 {
        self.changes.load(Ordering::SeqCst)
    }

    /// True if the lease lasts now.
    pub fn is_leased(&self, now: Now) -> bool {
        now.stamp_us() <= self.lease_end_us()
    }
}

/// A message of a call to the worker.
#[derive(Debug)]
pub enum Ask {
    /// A call waits for units.
    Units(UnitsAsk),
    /// A count of which this node has a share runs low, or units of a count are wanted ahead.
    Low {
        /// The policy.
        policy: Arc<SharedPolicy>,
        /// The count.
        demand: Demand,
        /// The grant that is charged for the counter.
        owner: Arc<str>,
        /// Units that are wanted free in the share, by somebody who does not wait; 0 if calls find it small.
        wanted: Micros,
    },
    /// Units that the store took are given back.
    Return(Returned),
    /// A policy has shared counts, or others than before: the store is told, before calls need it.
    Known(Arc<SharedPolicy>),
    /// Counts begin anew, at all nodes.
    Reset(ResetAsk),
    /// A reservation is settled that another node has made.
    Settle(SettlementAsk),
    /// Units that this node has counted alone so far go to the store.
    Bring(BringAsk),
}

/// A call that waits for units of the store.
pub struct UnitsAsk {
    /// The policy.
    pub policy: Arc<SharedPolicy>,
    /// The grant that is charged for new counters.
    pub owner: Arc<str>,
    /// The shared counts of the call.
    pub demands: Vec<Demand>,
    /// By what these counts are kept, so that a reset finds them.
    pub scopes: CountScopes,
    /// Called once, unless the worker ends before.
    pub answer: Box<dyn FnOnce(Counted) + Send + Sync>,
}

/// Units that go back to the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Returned {
    /// The number of the policy.
    pub policy: u32,
    /// The count.
    pub key: CountKey,
    /// Its shape.
    pub shape: CountShape,
    /// The units.
    pub amount: Micros,
    /// The store's stamp of their admission.
    pub stamp_us: u64,
}

/// The answer of the store.
#[derive(Debug, Default)]
pub struct Counted {
    /// Granted, refused or unavailable.
    pub verdict: Verdict,
    /// The state of each demand, in their order; empty if the store is unavailable.
    pub views: Vec<View>,
    /// The keys of the demands as the store was asked for them, if they were reset since the call was weighed; else empty.
    pub keys: Vec<CountKey>,
    /// The units that the store took.
    pub taken: TakenUnits,
}

/// The verdict of the store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Verdict {
    /// Units of all strict counts were taken, and the shares of leased ones have grown.
    Granted,
    /// A count has too little left: those whose `wait_us` is not 0.
    Refused,
    /// The store does not answer, or cannot say what is left.
    #[default]
    Unavailable,
}

/// Units that the store took for one call. Dropped, they go back.
#[derive(Debug, Default)]
pub struct TakenUnits {
    units: Vec<Returned>,
    shared: Weak<Shared>,
}

/// What the calls of a process share with its worker.
pub struct Shared {
    hash_key: [u8; 16],
    longest_ahead_us: AtomicU64,
    policies: Mutex<Policies>,
    asks: Mutex<Asks>,
    wake: OnceLock<Box<dyn Fn() + Send + Sync>>,
    early: Early,
    heard: Heard,
}

#[derive(Debug, Default)]
struct Policies {
    by_name: HashMap<String, u32>,
    all: Vec<Arc<SharedPolicy>>,
}

#[derive(Debug, Default)]
struct Asks {
    waiting: Vec<Ask>,
    is_closed: bool,
}

/// Asks that wait for the worker; more are refused at once.
const MOST_ASKS: usize = 1 << 16;

impl Shared {
    /// Nothing is shared yet. The key is that of the counts' identities, the same at all nodes.
    pub fn new(hash_key: [u8; 16]) -> Self {
        Self {
            hash_key,
            longest_ahead_us: AtomicU64::new(0),
            policies: Mutex::default(),
            asks: Mutex::default(),
            wake: OnceLock::new(),
            early: Early::default(),
            heard: Heard::default(),
        }
    }

    /// Sets what is called when the first ask comes, once.
    pub fn on_ask(&self, wake: impl Fn() + Send + Sync + 'static) {
        let _ = self.wake.set(Box::new(wake));
    }

    /// The key of the identities of shared counts.
    pub const fn hash_key(&self) -> &[u8; 16] {
        &self.hash_key
    }

    /// The longest time for which units that were taken ahead matter after the end of a lease: 0, and nothing can be taken ahead,
    /// until it is set.
    pub fn longest_ahead_us(&self) -> u64 {
        self.longest_ahead_us.load(Ordering::Relaxed)
    }

    /// Sets it, before the worker starts. The same at all nodes: by it they wait after the store has lost its data.
    pub fn set_longest_ahead_us(&self, longest_us: u64) {
        self.longest_ahead_us.store(longest_us, Ordering::Relaxed);
    }

    /// Returns the policy with this name.
    pub fn policy(&self, name: &str) -> Arc<SharedPolicy> {
        let mut policies = self.policies();
        if let Some(number) = policies.by_name.get(name)
            && let Some(policy) = policies.all.get(*number as usize)
        {
            return Arc::clone(policy);
        }
        let number = u32::try_from(policies.all.len()).unwrap_or(u32::MAX);
        let policy = Arc::new(SharedPolicy {
            name: name.to_owned(),
            number,
            lease_end_us: AtomicU64::new(0),
            ahead_end_us: AtomicU64::new(0),
            is_taken_ahead: AtomicBool::new(false),
            changes: AtomicU64::new(0),
            resets: SharedResets::new(&self.hash_key),
        });
        policies.by_name.insert(name.to_owned(), number);
        policies.all.push(Arc::clone(&policy));
        drop(policies);
        self.ask(Ask::Known(Arc::clone(&policy)));
        policy
    }

    /// Returns the policy with this number.
    pub fn policy_numbered(&self, number: u32) -> Option<Arc<SharedPolicy>> {
        self.policies().all.get(number as usize).map(Arc::clone)
    }

    /// The limits of a policy have changed, to be called before calls meet them: no share of before is used any more, because it
    /// may be more than a `max` allows now. The worker gives back what is not in use, and asks anew.
    pub fn change(&self, policy: &Arc<SharedPolicy>) {
        policy.changes.fetch_add(1, Ordering::SeqCst);
        policy.end_lease();
        self.ask(Ask::Known(Arc::clone(policy)));
    }

    /// Passes an ask to the worker. A call that waits is answered at once if there is none, or too many wait.
    pub fn ask(&self, ask: Ask) {
        let mut asks = self.asks();
        if asks.is_closed || asks.waiting.len() >= MOST_ASKS {
            drop(asks);
            return ask.refuse();
        }
        asks.waiting.push(ask);
        let is_first = asks.waiting.len() == 1;
        drop(asks);
        if is_first && let Some(wake) = self.wake.get() {
            wake();
        }
    }

    /// Tells the worker that a count runs low here, at a bounded pace.
    pub fn low(&self, policy: &Arc<SharedPolicy>, demand: &Demand, owner: &str, now: Now) {
        if self.early.admits(demand.key, now) {
            self.ask(Ask::Low {
                policy: Arc::clone(policy),
                demand: demand.clone(),
                owner: owner.into(),
                wanted: Micros(0),
            });
        }
    }

    /// Tells the worker that this many units of a leased count are wanted free in this node's share, to be taken ahead. Nobody
    /// waits for them. At a bounded pace, and not while the store is known to have too little left.
    pub fn want_ahead(
        &self,
        policy: &Arc<SharedPolicy>,
        demand: &Demand,
        owner: &str,
        wanted: Micros,
        now: Now,
    ) {
        // Before the ask, so that the call which asks for the units tells the store of it.
        policy.note_taken_ahead();
        let wanted = Micros(wanted.0.min(demand.shape.max.0));
        if self.refused(demand.key, wanted, now).is_none() && self.early.admits(demand.key, now) {
            self.ask(Ask::Low {
                policy: Arc::clone(policy),
                demand: demand.clone(),
                owner: owner.into(),
                wanted,
            });
        }
    }

    /// Notes that the store has this many units of a count left, beside this node's share.
    pub fn note_left(&self, key: CountKey, left: Micros) {
        self.heard.note(key, left, 0, 0);
    }

    /// Notes that these were too few: the store is not asked again before `until_us`; units come back at `free_at_us`, as far as
    /// it knows. Both in boot microseconds.
    pub fn note_refused(&self, key: CountKey, left: Micros, until_us: u64, free_at_us: u64) {
        self.heard.note(key, left, until_us, free_at_us);
    }

    /// The units of a count that the store had left when it was asked last, beside this node's share; `None` if that is not
    /// known.
    pub fn left(&self, key: CountKey) -> Option<Micros> {
        self.heard.left(key)
    }

    /// Microseconds until a call with this cost should try again, if the store has said a moment ago that less is left.
    pub fn refused(&self, key: CountKey, cost: Micros, now: Now) -> Option<u64> {
        self.heard.wait_us(key, cost, now)
    }

    /// The units of calls that were refused since the last such question, because the store has said that too little is left.
    pub fn take_missed(&self, key: CountKey) -> Micros {
        self.heard.take_missed(key)
    }

    /// Notes that another node wants units of a count.
    pub fn note_wanted(&self, key: CountKey, now: Now) {
        self.heard.note_wanted(key, now);
    }

    /// True if another node has wanted units of a count within so many microseconds.
    pub fn is_wanted(&self, key: CountKey, within_us: u64, now: Now) -> bool {
        self.heard.is_wanted(key, within_us, now)
    }

    /// Takes everything that was asked.
    pub fn take_asks(&self) -> Vec<Ask> {
        std::mem::take(&mut self.asks().waiting)
    }

    /// Takes no more asks: nobody will answer. Those that wait are answered.
    pub fn close(&self) {
        let mut asks = self.asks();
        asks.is_closed = true;
        let waiting = std::mem::take(&mut asks.waiting);
        drop(asks);
        for ask in waiting {
            ask.refuse();
        }
    }

    fn policies(&self) -> MutexGuard<'_, Policies> {
        // No method leaves it half-done.
        self.policies.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn asks(&self) -> MutexGuard<'_, Asks> {
        self.asks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The key is a secret.
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

impl fmt::Debug for UnitsAsk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UnitsAsk")
            .field("policy", &self.policy.name)
            .field("demands", &self.demands)
            .finish_non_exhaustive()
    }
}

impl Ask {
    /// Answers whoever waits for it: nobody asks the store.
    fn refuse(self) {
        match self {
            Self::Units(ask) => (ask.answer)(Counted::default()),
            Self::Reset(ask) => ask.answer(Err(SharedResetError::Away)),
            Self::Bring(ask) => ask.refuse(),
            Self::Settle(ask) => (ask.answer)(Err(SettlementError::Away)),
            Self::Low { .. } | Self::Return(_) | Self::Known(_) => {}
        }
    }
}

impl Counted {
    /// Gives the demands that were asked about their views, and those whose units the store took these units.
    pub fn apply(&self, demands: &mut [Demand], asked: &[CountKey]) {
        for (key, view) in asked.iter().zip(&self.views) {
            for demand in demands.iter_mut().filter(|demand| demand.key == *key) {
                if demand.is_strict() {
                    demand.view = *view;
                } else {
                    // What is left here is looked up here.
                    demand.view.wait_us = view.wait_us;
                }
                if let Some(units) = self.taken.of(*key) {
                    demand.hold = Hold::Remote {
                        stamp_us: units.stamp_us,
                        policy: units.policy,
                    };
                }
            }
        }
    }
}

impl TakenUnits {
    /// Units that the store took; dropped, they go back over `shared`.
    pub fn new(shared: &Arc<Shared>, units: Vec<Returned>) -> Self {
        Self {
            units,
            shared: Arc::downgrade(shared),
        }
    }

    /// The units of a count.
    pub(crate) fn of(&self, key: CountKey) -> Option<&Returned> {
        self.units.iter().find(|units| units.key == key)
    }

    /// The call was made: nothing goes back.
    pub fn spend(mut self) {
        self.units.clear();
    }
}

impl Drop for TakenUnits {
    fn drop(&mut self) {
        if let Some(shared) = self.shared.upgrade() {
            for units in self.units.drain(..) {
                shared.ask(Ask::Return(units));
            }
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
