//! The demand of a call on a count, and the answer to it.

use serde::{Deserialize, Serialize};

use crate::slots::Taken;
use crate::{CountKey, Micros, Window};

/// The place at which a count is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Sharing {
    /// In this process, or in its file.
    #[default]
    Local,
    /// In a store that several nodes share, which lends this node a share of `max`.
    Leased,
    /// In a store that several nodes share: it is asked for every unit.
    Strict,
}

/// The window, maximum and kind of units of a count; the same for every limit of a policy that names the count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CountShape {
    /// Length or calendar period.
    pub window: Window,
    /// Units per window.
    pub max: Micros,
    /// Every limit on this count has a fixed cost of whole units.
    pub whole_units: bool,
    /// The place of the count.
    pub sharing: Sharing,
}

/// The units in use of a leased count of which this node has no share: more than any `max`, so that nothing is admitted.
pub(crate) const NO_SHARE: u64 = 1 << 63;

/// One less than the greatest sum, at which additions saturate.
const MOST: u64 = u64::MAX - 1;

/// The units that one call wants from one count.
#[derive(Clone, Debug)]
pub struct Demand {
    /// The identity of the count.
    pub key: CountKey,
    /// The shape of the count.
    pub shape: CountShape,
    /// Units wanted, at most `shape.max` unless they are wanted `beyond` it; 0 takes nothing and is never refused.
    pub cost: Micros,
    /// The units are taken also above `shape.max`. Only for a count that is kept in a ledger.
    pub beyond: bool,
    /// Filled in by [`crate::Counters::look`] and [`crate::Counters::take`].
    pub view: View,
    pub(crate) hold: Hold,
}

impl Demand {
    /// A demand that has not been looked up yet.
    pub const fn new(key: CountKey, shape: CountShape, cost: Micros) -> Self {
        Self {
            key,
            shape,
            cost,
            beyond: false,
            view: View::EMPTY,
            hold: Hold::None,
        }
    }

    /// Takes `amount` out of this demand, as a demand of its own: of units that were taken, a part.
    #[must_use]
    pub fn split_off(&mut self, amount: Micros) -> Self {
        let cost = Micros(amount.0.min(self.cost.0));
        self.cost = Micros(self.cost.0 - cost.0);
        Self { cost, ..self.clone() }
    }

    /// The greatest number of units that the count may have in use for this call.
    pub(crate) const fn most(&self) -> u64 {
        match self.shape.sharing {
            _ if self.beyond => MOST,
            // What this node has no share of is in use there: see `Layout::Leased`.
            Sharing::Leased => NO_SHARE,
            Sharing::Local | Sharing::Strict => self.shape.max.0,
        }
    }

    /// True if the store is asked for every unit.
    pub(crate) const fn is_strict(&self) -> bool {
        matches!(self.shape.sharing, Sharing::Strict)
    }

    /// True if the count takes units here: a strict one takes them from the store, before.
    pub(crate) const fn takes_here(&self) -> bool {
        self.cost.0 > 0 && !matches!(self.shape.sharing, Sharing::Strict)
    }
}

/// The units that a call has from a count.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Hold {
    /// No units.
    None,
    /// Units in the gate of a ledger, not written down.
    Gate,
    /// Slots.
    Slots(Taken),
    /// Too few slots; this number of them could not be given back yet.
    Missing(usize),
    /// Units taken for good, unless they are given back.
    Taken {
        /// Boot microseconds of the admission.
        stamp_us: u64,
        /// The quantum and the entry under which a ledger wrote them down.
        written: Option<(u64, usize)>,
    },
    /// Units that a shared store took, under its own stamp.
    Remote {
        /// Microseconds of the store's clock.
        stamp_us: u64,
        /// The number of the policy, see [`crate::lease::Shared::policy_numbered`].
        policy: u32,
    },
}

/// A count as seen at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct View {
    /// Microseconds until the units of this cost are free; 0 if they are free now, or wanted beyond `max` and countable.
    pub wait_us: u64,
    /// Units free; after a successful take, the units left.
    pub remaining: Micros,
    /// Units taken above `max`.
    pub over: Micros,
    /// Microseconds until the whole of `max` is free again.
    pub reset_after_us: u64,
    /// Length of the window; of the current period for a calendar window.
    pub window_us: u64,
}

impl View {
    const EMPTY: Self = Self {
        wait_us: 0,
        remaining: Micros(0),
        over: Micros(0),
        reset_after_us: 0,
        window_us: 0,
    };
}

/// A leased count as this node has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LeasedUnits {
    /// The part of this node's share that is free.
    pub free: Micros,
    /// The units that are in use: microseconds until they expire, and their number. Units that were taken ahead expire
    /// later than a window from now.
    pub used: Vec<(u64, Micros)>,
}

/// The reason why nothing was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Refusal {
    /// One or more counts have too little left: those whose `view.wait_us` is not 0.
    RateLimited,
    /// The count of this demand is new, and counters are at their cap (in all, or for this grant).
    Capacity {
        /// Index into the demands.
        demand: usize,
    },
    /// The file of counters was closed, or belongs to the process that this one was forked from, or the process that keeps
    /// it does not answer.
    Unavailable,
}
