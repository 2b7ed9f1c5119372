//! The counters of an engine: in this process, or shared with others.

#[cfg(not(loom))]
use std::io;
#[cfg(not(loom))]
use std::path::Path;
use std::sync::{Arc, OnceLock};

#[cfg(not(loom))]
use crate::file::{ClockReading, Heritage, Opener, Sizes, StoreError};
use crate::lease::{self, Ask, Returned};
#[cfg(not(loom))]
use crate::reset_names::{ResetTarget, Resets};
#[cfg(not(loom))]
use crate::resets::ResetError;
use crate::shape::Hold;
#[cfg(not(loom))]
use crate::shared::{ReadClocks, Shared};
use crate::store::Store;
use crate::{CountKey, Demand, LeasedUnits, Micros, Now, Refusal, Sharing, Window};

/// Live counters by identity.
#[derive(Debug)]
pub struct Counters {
    kept: Kept,
    shared: OnceLock<Arc<lease::Shared>>,
}

/// The place of the counters.
#[derive(Debug)]
#[cfg_attr(
    not(loom),
    expect(
        clippy::large_enum_variant,
        reason = "an engine has one, and its calls should not go through a pointer"
    )
)]
enum Kept {
    Own(Store),
    #[cfg(not(loom))]
    Shared(Box<Shared>),
}

/// Calls a method of the store or of the shared counters, which have the same name.
macro_rules! kept {
    ($counters:expr, $kept:ident => $call:expr) => {
        match &$counters.kept {
            Kept::Own($kept) => $call,
            #[cfg(not(loom))]
            Kept::Shared($kept) => $call,
        }
    };
}

/// The longest time by which units can be taken ahead: 5 minutes. A ledger tells stamps apart that lie within 17 minutes.
pub const MOST_AHEAD_US: u64 = 300_000_000;

/// True if units of the count can be taken ahead: of a period of the calendar, they may be used after its end, and the store has
/// no stamps ahead for those of strict counts.
fn can_be_ahead(demand: &Demand) -> bool {
    demand.shape.sharing != Sharing::Strict && matches!(demand.shape.window, Window::Sliding { .. })
}

impl Counters {
    const fn of(kept: Kept) -> Self {
        Self {
            kept,
            shared: OnceLock::new(),
        }
    }

    /// No counters yet; at most `capacity` in all and `per_grant` made by one grant.
    pub fn new(capacity: usize, per_grant: usize, hash_key: &[u8; 16]) -> Self {
        Self::of(Kept::Own(Store::new(capacity, per_grant, hash_key)))
    }

    /// Returns the number of times that a new count was refused because there was no room for it in memory or on disk,
    /// and the reason of the latest failure.
    pub fn growth_failures(&self) -> (u64, String) {
        kept!(self, kept => kept.growth_failures())
    }

    /// Asks the processor for the memory of counts that a call will use in some hundred nanoseconds: it comes while the call
    /// does other things. Changes nothing, and nothing relies on it; does nothing where another process may keep the counts.
    #[inline]
    pub fn prefetch(&self, keys: &[CountKey]) {
        match &self.kept {
            Kept::Own(store) => store.prefetch(keys),
            #[cfg(not(loom))]
            Kept::Shared(_) => {}
        }
    }

    /// Looks at the counts, takes nothing: fills in every `view`.
    ///
    /// Returns false if the counts cannot be reached, because the process that keeps them does not answer. Then every
    /// count looks used up.
    pub fn look(&self, demands: &mut [Demand], now: Now) -> bool {
        kept!(self, kept => kept.look(demands, now))
    }

    /// Returns what [`Self::take`] would answer now, and takes nothing: fills in every `view`. It makes no counter.
    pub fn peek(&self, demands: &mut [Demand], owner: &str, now: Now) -> Result<(), Refusal> {
        kept!(self, kept => kept.peek(demands, owner, now))
    }

    /// Takes from all counts or from none, for the grant `owner`; fills in every `view`. Keys must be distinct.
    ///
    /// Returns the boot-clock microseconds with which the units were stamped.
    ///
    /// If another process keeps the counts and ends before it has answered, the units may be taken all the same, and are
    /// taken once more from its successor. So a call may be charged twice then, and is never admitted without units.
    pub fn take(&self, demands: &mut [Demand], owner: &str, now: Now) -> Result<u64, Refusal> {
        kept!(self, kept => kept.take(demands, owner, now))
    }

    /// Gives back the units that [`Self::take`] took for one demand and that have not expired. Units that another process
    /// keeps stay taken if it does not answer.
    pub fn give_back(&self, demand: &Demand, now: Now) {
        if let Hold::Remote { stamp_us, policy } = demand.hold {
            if let Some(shared) = self.shared() {
                shared.ask(Ask::Return(Returned {
                    policy,
                    key: demand.key,
                    shape: demand.shape,
                    amount: demand.cost,
                    stamp_us,
                }));
            }
            return;
        }
        kept!(self, kept => kept.give_back(demand, now));
    }

    /// True if [`Self::take_ahead`] can take units here: not where another process may keep the counts.
    pub const fn can_lend(&self) -> bool {
        matches!(self.kept, Kept::Own(_))
    }

    /// Takes from all counts or from none, like [`Self::take`], for somebody else who may use the units until `until_us`, in
    /// microseconds of the boot clock: they are counted from now on, and expire a window after `until_us`. At most
    /// [`MOST_AHEAD_US`] ahead. Only for sliding windows: a period of the calendar may end before the units are used. Of leased
    /// counts only while the lease of their `policy` lasts, and no longer than shares are counted after its end.
    pub fn take_ahead(
        &self,
        demands: &mut [Demand],
        owner: &str,
        now: Now,
        until_us: u64,
        policy: Option<&lease::SharedPolicy>,
    ) -> Result<u64, Refusal> {
        let store = match &self.kept {
            Kept::Own(store) if demands.iter().all(can_be_ahead) => store,
            _ => return Err(Refusal::Unavailable),
        };
        let is_leased = |demand: &Demand| demand.shape.sharing == Sharing::Leased;
        // Before the units are taken: see `SharedPolicy::ahead_end_us`.
        let ahead_end_us = if demands.iter().any(is_leased) {
            policy.map_or(0, |policy| policy.ahead_end_us(now))
        } else {
            u64::MAX
        };
        if until_us > ahead_end_us {
            return Err(Refusal::Unavailable);
        }
        let stamp_us = store.take_ahead(demands, owner, now, until_us)?;
        if stamp_us > ahead_end_us {
            for demand in demands {
                store.give_back(demand, now);
            }
            return Err(Refusal::Unavailable);
        }
        Ok(stamp_us)
    }

    /// Counts the units that were taken for one demand as taken at `to_us`: earlier, if they are known to have been used by
    /// then, or later, if they may still be used then. They are counted without a break. `to_us` is not before they were taken,
    /// and at most [`MOST_AHEAD_US`] from now.
    ///
    /// Returns false if some of the units have expired, or cannot be found: then they stay counted as they are, or longer.
    pub fn redate(&self, demand: &mut Demand, to_us: u64, now: Now) -> bool {
        match &self.kept {
            Kept::Own(store) => store.redate(demand, to_us, now),
            #[cfg(not(loom))]
            Kept::Shared(_) => false,
        }
    }

    /// Shares counts with other nodes from now on; once, before any call.
    pub fn share(&self, shared: Arc<lease::Shared>) {
        let _ = self.shared.set(shared);
    }

    /// The counts shared with other nodes; `None` if none are.
    #[inline]
    pub fn shared(&self) -> Option<&Arc<lease::Shared>> {
        self.shared.get()
    }

    /// Adds to the share that this node has of a leased count. The counter is made, for the grant `owner`, if there is none.
    /// Nothing is lent where another process keeps the counts.
    pub fn lend(&self, demand: &Demand, owner: &str, amount: Micros, now: Now) -> Result<(), Refusal> {
        match &self.kept {
            Kept::Own(store) => store.lend(demand, owner, amount, now),
            #[cfg(not(loom))]
            Kept::Shared(_) => Err(Refusal::Unavailable),
        }
    }

    /// Takes units that are free out of this node's share of a leased count, at most this many. Returns their number.
    pub fn take_back(&self, key: CountKey, most: Micros, now: Now) -> Micros {
        match &self.kept {
            Kept::Own(store) => store.take_back(key, most, now),
            #[cfg(not(loom))]
            Kept::Shared(_) => Micros(0),
        }
    }

    /// Notes that this node has no share of a count any more, so that its counter can go: all that it was lent was taken back.
    /// False while that is not so.
    pub fn end_share(&self, key: CountKey, now: Now) -> bool {
        match &self.kept {
            Kept::Own(store) => store.end_share(key, now),
            #[cfg(not(loom))]
            Kept::Shared(_) => true,
        }
    }

    /// Returns a leased count as this node has it; `None` if it has no counter.
    pub fn leased(&self, key: CountKey, now: Now) -> Option<LeasedUnits> {
        match &self.kept {
            Kept::Own(store) => store.leased(key, now),
            #[cfg(not(loom))]
            Kept::Shared(_) => None,
        }
    }

    /// Reclaims idle counters among the next `budget` cells.
    pub fn sweep(&self, now: Now, budget: usize) {
        kept!(self, kept => kept.sweep(now, budget));
    }

    /// Frees memory of removed counters: takes up to `blocks` blocks without counters out of use. A later call of this
    /// function frees them for counts of any layout, once no call can be reading them. Returns true if some were taken
    /// out of use. To be called now and then.
    pub fn turn(&self, blocks: usize) -> bool {
        kept!(self, kept => kept.turn(blocks))
    }

    /// Returns the number of blocks of 64 KiB that counters use, or that calls may still be reading after their last
    /// counter went.
    pub fn blocks(&self) -> usize {
        kept!(self, kept => kept.blocks())
    }

    /// Returns the number of live counters; 0 if another process keeps them and does not answer.
    pub fn len(&self) -> usize {
        kept!(self, kept => kept.len())
    }

    /// True if there is no live counter.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the greatest number of live counters.
    pub fn capacity(&self) -> usize {
        kept!(self, kept => kept.capacity())
    }

    /// Returns true if the counters belong to the process that this one was forked from. They are in a file that both
    /// have mapped, and each process would admit as if the other did not exist.
    #[inline]
    pub fn is_inherited(&self) -> bool {
        kept!(self, kept => kept.is_inherited())
    }
}

#[cfg(not(loom))]
impl Counters {
    /// Opens the counters in the file at `path`; makes a new file with `hash_key` if there is none.
    ///
    /// The clocks are read once the file is locked. Times given to the counters from now on must be the boot clock's plus
    /// [`Self::clock_shift_us`].
    pub fn open(
        path: &Path,
        capacity: usize,
        per_grant: usize,
        hash_key: &[u8; 16],
        clocks: impl Fn() -> io::Result<ClockReading>,
    ) -> Result<Self, StoreError> {
        let sizes = Sizes { capacity, per_grant };
        Store::open(path, sizes, hash_key, &clocks).map(|store| Self::of(Kept::Own(store)))
    }

    /// Opens the counters in the file at `path` like [`Self::open`], or joins the process that has opened them so before: the
    /// first process keeps the file, and the others ask it over a Unix socket beside the file. When it ends, the next of
    /// them that needs a count takes the file over. So the limits hold for all of these processes together.
    ///
    /// The process that keeps the file applies its own `capacity` and `per_grant`.
    pub fn open_shared(
        path: &Path,
        capacity: usize,
        per_grant: usize,
        hash_key: &[u8; 16],
        clocks: ReadClocks,
    ) -> Result<Self, StoreError> {
        let sizes = Sizes { capacity, per_grant };
        let shared = Shared::open(path, sizes, hash_key, clocks)?;
        Ok(Self::of(Kept::Shared(Box::new(shared))))
    }

    /// Takes what the process that had the file open before this one has left of the counts that it shared with other nodes.
    /// `None` without a file, after another boot, or if it shared none; and once it was taken.
    pub fn take_heritage(&self) -> Option<Heritage> {
        match &self.kept {
            Kept::Own(store) => store.take_heritage(),
            Kept::Shared(_) => None,
        }
    }

    /// Names this process in the file, if there is one: before it shares counts, and before each call of the store that can
    /// change a share. For one thread at a time.
    pub fn set_opener(&self, opener: &Opener) {
        if let Kept::Own(store) = &self.kept {
            store.set_opener(opener);
        }
    }

    /// True for counters in a file.
    pub fn is_durable(&self) -> bool {
        match &self.kept {
            Kept::Own(store) => store.hash_key().is_some(),
            Kept::Shared(_) => true,
        }
    }

    /// True for counters that were opened to share them. Then a call may wait for another process, for a bounded time.
    pub fn is_shared(&self) -> bool {
        matches!(self.kept, Kept::Shared(_))
    }

    /// True while another process keeps the counters.
    pub fn is_follower(&self) -> bool {
        matches!(&self.kept, Kept::Shared(shared) if shared.is_follower())
    }

    /// The reason why the counters could not be shared or reached lately; `None` if they are.
    pub fn sharing_fault(&self) -> Option<String> {
        match &self.kept {
            Kept::Own(_) => None,
            Kept::Shared(shared) => shared.fault(),
        }
    }

    /// Returns an error in a child that was forked after the file was opened: the child refuses every take and does
    /// nothing to the file.
    pub fn check_ours(&self) -> Result<(), StoreError> {
        kept!(self, kept => kept.check_ours())
    }

    /// Returns the key of the identities in the file, which may differ from the given one; `None` for counters in
    /// memory.
    pub fn hash_key(&self) -> Option<&[u8; 16]> {
        match &self.kept {
            Kept::Own(store) => store.hash_key(),
            Kept::Shared(shared) => Some(shared.hash_key()),
        }
    }

    /// Returns the microseconds from the boot clock to the clock of the stamps; 0 for counters in memory.
    pub fn clock_shift_us(&self) -> i64 {
        kept!(self, kept => kept.clock_shift_us())
    }

    /// The resets that the keys of counts depend on; `None` if there are none.
    #[inline]
    pub fn resets(&self) -> Option<Arc<Resets>> {
        kept!(self, kept => kept.resets())
    }

    /// Returns the number of resets in force.
    pub fn resets_len(&self) -> usize {
        kept!(self, kept => kept.resets_len())
    }

    /// Lets the counts that these targets name begin anew, for every call that begins after the return. Blocks as long as the
    /// disk takes; after an error some of the targets may have been reset. Shared counters cannot be reset.
    pub fn reset(&self, targets: &[ResetTarget<'_>], now: Now) -> Result<(), ResetError> {
        match &self.kept {
            Kept::Own(store) => store.reset(targets, now),
            Kept::Shared(_) => Err(ResetError::Shared),
        }
    }

    /// The counts of this process alone that have units in use, in no order. None if another process keeps them.
    #[cfg(not(loom))]
    pub fn in_use(&self, now: Now) -> Vec<CountKey> {
        match &self.kept {
            Kept::Own(store) => store.in_use(now),
            Kept::Shared(_) => Vec::new(),
        }
    }

    /// The units of a count of this process alone that are in use, each with the microseconds until they expire; of a calendar
    /// window those of the present period, with 0.
    #[cfg(not(loom))]
    pub fn units_in_use(&self, key: CountKey, now: Now) -> Vec<(u64, Micros)> {
        match &self.kept {
            Kept::Own(store) => store.units_in_use(key, now),
            Kept::Shared(_) => Vec::new(),
        }
    }

    /// Returns the number of live counters that a grant has made; 0 if another process keeps them and does not answer.
    pub fn len_of(&self, grant: &str) -> usize {
        kept!(self, kept => kept.len_of(grant))
    }

    /// Returns once everything that was taken before is on disk. Blocks as long as the disk takes.
    pub fn flush(&self, reading: &ClockReading) -> Result<(), StoreError> {
        kept!(self, kept => kept.flush(reading))
    }

    /// Stops all takes, and marks the file as whole, for the next process. A second call does nothing.
    ///
    /// Threads may be in [`Self::take`]: each either has its units in the file or is refused.
    pub fn close(&self, reading: &ClockReading) -> Result<(), StoreError> {
        kept!(self, kept => kept.close(Some(reading)))
    }
}
