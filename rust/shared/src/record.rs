//! The share that this node has of one count.

use std::sync::Arc;

use callgate_counters::{CountKey, CountShape, Demand, Micros, Now, Window};

/// Refusals of the store, one after the other, after which a count is asked for with renewals alone.
const QUICK_REFUSALS: u32 = 3;

/// The share that this node has of one count.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    /// The count, for its counter here.
    pub(crate) demand: Demand,
    /// The grant that is charged for the counter.
    pub(crate) owner: Arc<str>,
    /// Millionths of units that were lent to the counter.
    pub(crate) lent: u64,
    /// Millionths of units that the counter has to give back as soon as they are free: the store does not count them as ours.
    pub(crate) owed: u64,
    /// The lease under which the store counts the share: its epoch and its node.
    pub(crate) lease: (Arc<str>, Arc<str>),
    /// Boot microseconds of the last ask for more.
    pub(crate) asked_us: u64,
    /// The times that the store had too little left, since it had enough or no call wanted any.
    pub(crate) refusals: u32,
    /// True while it is among the lease's refused records.
    pub(crate) is_refused: bool,
    /// True if nothing was in use when the worker looked last.
    pub(crate) was_idle: bool,
    /// Boot microseconds of the last units that were given.
    pub(crate) given_us: u64,
    /// Boot microseconds until which the store cannot say what is left, as far as it has said.
    pub(crate) unknown_until_us: u64,
    /// True once units were wanted ahead.
    pub(crate) is_ahead: bool,
    /// Boot microseconds until which nothing is given back: what was wanted ahead has just come, and is not taken yet.
    pub(crate) kept_until_us: u64,
}

impl Record {
    /// No share yet.
    pub(crate) fn new(demand: Demand, owner: Arc<str>, lease: (Arc<str>, Arc<str>)) -> Self {
        Self {
            demand,
            owner,
            lent: 0,
            owed: 0,
            lease,
            asked_us: 0,
            refusals: 0,
            is_refused: false,
            was_idle: false,
            given_us: 0,
            unknown_until_us: 0,
            is_ahead: false,
            kept_until_us: 0,
        }
    }

    pub(crate) const fn key(&self) -> CountKey {
        self.demand.key
    }

    pub(crate) const fn shape(&self) -> &CountShape {
        &self.demand.shape
    }

    /// True if calls do not ask the store for this count: others give units back with their renewals, so a quicker pace learns
    /// little, and costs a call of the script for each count at each node.
    pub(crate) const fn is_asked_with_renewals(&self) -> bool {
        self.refusals >= QUICK_REFUSALS
    }

    /// True while nothing is given back.
    pub(crate) const fn is_kept(&self, now: Now) -> bool {
        now.look_us() < self.kept_until_us
    }

    /// True while the store cannot say what is left: it counts what was granted before it lost its data.
    pub(crate) const fn is_unknown(&self, now: Now) -> bool {
        now.look_us() < self.unknown_until_us
    }

    /// Length of the window in microseconds; 0 for a calendar window, which is never leased.
    pub(crate) const fn window_us(&self) -> u64 {
        match self.demand.shape.window {
            Window::Sliding { window_us } => window_us,
            Window::Calendar(_) => 0,
        }
    }
}

/// The smallest part of a share: whole units, where all costs are whole.
pub(crate) const fn unit(shape: &CountShape) -> u64 {
    if shape.whole_units { Micros::ONE.0 } else { 1 }
}
