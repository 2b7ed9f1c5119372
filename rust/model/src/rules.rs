//! The bounds of a model, and the rules of the protocol that it may lack.

/// A time or a length of time. Times of a state are relative to the present: what has passed is negative.
pub type Ticks = i8;

/// A count of few things.
pub fn number(length: usize) -> u8 {
    u8::try_from(length).unwrap_or(u8::MAX)
}

/// One rule of the protocol that a model lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mutation {
    /// The share of a dead node is dropped at the end of its lease, without waiting a window.
    ShareDroppedAtLeaseEnd,
    /// A node uses the whole lease instead of half.
    WholeLeaseUsed,
    /// A node measures its lease from the arrival of the answer.
    LeaseFromAnswer,
    /// A call reads the end of the lease after it took its unit.
    LeaseEndReadAfterTake,
    /// A call does not compare the stamp of its unit with the end of the lease.
    StampNotChecked,
    /// A node lends a unit without raising the earliest stamp of later units to that time.
    LendKeepsFloor,
    /// A node tells the store of units that it gives back before it takes them away from its calls.
    ShrinkToldFirst,
    /// A node that settles tells the store of the units that it has given back before as well.
    SettleSendsShrinks,
    /// A node that has settled adds what the store counts beyond its share to what it is about to give back.
    SettledAddsShrinks,
    /// The store grants at once after a loss.
    EpochGrantsAtOnce,
    /// The store does not count shares that nodes bring from an earlier epoch.
    BroughtSharesForgotten,
    /// The store grants at once in an epoch without a predecessor.
    FirstEpochGrantsAtOnce,
    /// The store takes shares that nodes bring after its recovery, when it may have granted them again.
    BroughtAfterRecovery,
    /// A node that knew another epoch does not mark the new one.
    LossNotMarked,
    /// A copy of the store's data goes on with the epoch of the original.
    CopyKeepsEpoch,
    /// `move` leaves the share with the old name, too.
    MoveKeepsOldShare,
    /// `move` gives a share whose lease and window are over.
    MoveGivesOverShare,
    /// `move` gives what the node asks for.
    MoveGivesUnknownShare,
    /// `leave` forgets the units in use.
    LeaveForgetsUse,
    /// A node stops while calls take units.
    LeaveDuringCalls,
    /// `stop` removes the lease of a node that has a share.
    StopForgetsShare,
    /// Strict takes do not count shares.
    StrictIgnoresShares,
    /// Growth does not count the log.
    GrowthIgnoresLog,
    /// The script does not notice a clock that was set forward by more than half a lease.
    StepForwardNotNoticed,
    /// The script that notices it lets windows of ended leases pass by that much earlier.
    StepForgetsEndedLeases,
    /// The script that notices it lets the time of recovery pass by that much earlier.
    StepShortensRecovery,
    /// The script does not notice a clock that was set back.
    StepBackNotNoticed,
    /// The store lets the lease of a node end as if it had lent no quotas.
    EndsForgetQuotas,
    /// The script that notices a step forward lets quotas end by that much earlier.
    StepForgetsQuotas,
    /// The recovery after a loss does not wait for quotas of lost leases.
    RecoveryForgetsQuotas,
    /// A node that stops puts the units of quotas into the log as if they had been used.
    LeaveForgetsQuotas,
    /// A node lends and extends quotas after its lease.
    QuotaWithoutLease,
    /// A request that arrives after later ones is performed if it makes its lease.
    LateNameNotRefused,
    /// A request that arrives after later ones is performed if it has no renewal.
    LateShrinkNotRefused,
    /// A process that takes over from one that has ended forgets the units in use.
    TakeoverForgetsUse,
    /// A process takes over from one whose lease lasts.
    TakeoverDuringLease,
    /// A process takes over by a file that is older than what the other has said.
    StaleFileTakenOver,
}

/// The rules and bounds of one model.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// Units of the count.
    pub max: u8,
    /// Length of the window.
    pub window: Ticks,
    /// Length of a lease; even.
    pub lease: Ticks,
    /// Time to live of a quota, by which units of a share are used without the node; 0 if none are lent.
    ///
    /// LIMIT: the product counts shares for longer than that, until all reports have come. Here a report comes at once or never.
    /// There, a node learns with its renewals that others lend quotas; here, each node knows it from the beginning.
    pub ahead: Ticks,
    /// The rule that is missing.
    pub mutation: Option<Mutation>,
    /// Things that nodes do.
    pub acts: Acts,
    /// Things that go wrong, at most so many times in a run.
    pub faults: Faults,
    /// By how many ticks the store's clock is set forward or back.
    pub step: Ticks,
    /// See [`crate::world::World::is_loss_unknown`].
    pub has_witness: bool,
}

/// Things that nodes do beside growth, takes from shares and renewals.
#[derive(Clone, Copy, Debug, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a part of the model that a test turns on"
)]
pub struct Acts {
    /// Time may pass between a request of the first node, its performance and its answer. Else a call is one step.
    pub has_delays: bool,
    /// Nodes give back free units.
    pub shrinks: bool,
    /// Units are taken at the store.
    pub takes_strictly: bool,
    /// Nodes stop.
    pub leaves: bool,
    /// Nodes start again after they stopped or crashed, and find their file of counters.
    pub takes_over: bool,
}

/// Things that go wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Faults {
    /// A call reads the clock, and takes its unit later.
    pub slow_calls: u8,
    /// A node loses its memory, and is gone.
    pub crashes: u8,
    /// A node starts with a copy of the file of one that runs.
    pub copied_files: u8,
    /// A request or its answer is lost, and the node has to connect again.
    pub lost_messages: u8,
    /// A request arrives after its node has given it up.
    pub late_requests: u8,
    /// The store loses its data.
    pub losses: u8,
    /// Another server goes on with an older copy of the store's data.
    pub failovers: u8,
    /// The store's clock is set forward.
    pub steps_forward: u8,
    /// The store's clock is set back.
    pub steps_back: u8,
}

impl Rules {
    /// True if the model lacks a rule.
    pub fn lacks(&self, mutation: Mutation) -> bool {
        self.mutation == Some(mutation)
    }

    /// The time for which a node uses a lease.
    ///
    /// The product stays a thousandth of a lease below, for clocks that do not run alike. Here all run alike, so the bound
    /// itself is safe: units whose stamps are a whole window apart are in no window together.
    pub fn used(&self) -> Ticks {
        if self.lacks(Mutation::WholeLeaseUsed) {
            self.lease
        } else {
            self.lease / 2
        }
    }

    /// The beginning of an epoch whose recovery had ended before the oldest time.
    pub const fn oldest_beginning(&self) -> Ticks {
        -self.memory() - self.lease - self.ahead - self.window
    }

    /// The age beyond which nothing makes a difference any more.
    pub const fn memory(&self) -> Ticks {
        self.lease + self.ahead + self.window + self.step + 1
    }
}
