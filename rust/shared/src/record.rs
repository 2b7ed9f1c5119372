//! The share that this node has of one count.

use std::sync::Arc;

use callgate_counters::{CountKey, CountShape, Demand, Micros, Window};

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
    /// True if nothing was in use when the worker looked last.
    pub(crate) was_idle: bool,
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
            was_idle: false,
        }
    }

    pub(crate) const fn key(&self) -> CountKey {
        self.demand.key
    }

    pub(crate) const fn shape(&self) -> &CountShape {
        &self.demand.shape
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
