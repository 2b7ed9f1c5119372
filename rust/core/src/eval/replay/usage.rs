//! The units that calls of a log take under another policy: those that surely were taken, and those that may have been.
//!
//! Units that surely were taken are in counters as a sidecar has them, so that a log without gaps is decided as a sidecar would
//! decide. Beside them stand the units of calls that cannot be judged. A call is refused for sure if the former leave too little,
//! and admitted for sure if both leave enough.

use callgate_counters::{
    CountKey, CountShape, Counters, Demand, Micros, SpecDigest, Window, period_bounds_us,
};
use hashbrown::HashMap;
use smallvec::SmallVec;

use crate::Now;

/// Counters alive at once.
const CAPACITY: usize = 1 << 20;
/// Entries of one count beside its counter; older ones are put together.
const MOST_ENTRIES: usize = 64;
/// Calls after which some counters and entries are looked through, and the number of counters.
const SWEPT_EVERY: u32 = 256;
const SWEPT: usize = 1_024;
/// Calls after which expired entries are forgotten.
const FORGOTTEN_EVERY: u32 = 1 << 16;

/// The units that a call wants of one count.
#[derive(Clone, Debug)]
pub(super) struct Want {
    /// Index of the limit in the policy.
    pub(super) limit: u32,
    /// The count; `None` if an argument of its scope was not logged.
    pub(super) key: Option<CountKey>,
    pub(super) spec: SpecDigest,
    pub(super) shape: CountShape,
    /// The least and the greatest cost that the call can have.
    pub(super) cost: (Micros, Micros),
    /// True if a person may allow units above `max`.
    pub(super) asks: bool,
}

/// Whether a count has too little left for a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Short {
    No,
    Perhaps,
    Yes,
}

/// Units that may have been taken, each with the time at which they expire.
type Entries = SmallVec<[(u64, Micros); 2]>;

/// The units that calls have taken so far.
#[derive(Debug)]
pub(super) struct Usage {
    counters: Counters,
    possible: HashMap<CountKey, Entries>,
    /// The end of the last units of any count of a limit.
    taken_until_us: HashMap<SpecDigest, u64>,
    /// The end of the time in which units may have been taken from any count of a limit.
    unknown_until_us: HashMap<SpecDigest, u64>,
    calls: u32,
}

impl Usage {
    pub(super) fn new(hash_key: &[u8; 16]) -> Self {
        Self {
            counters: Counters::new(CAPACITY, CAPACITY, hash_key),
            possible: HashMap::new(),
            taken_until_us: HashMap::new(),
            unknown_until_us: HashMap::new(),
            calls: 0,
        }
    }

    /// Returns whether a count has too little left for a call.
    pub(super) fn short(&self, want: &Want, now: Now) -> Short {
        let (least, most) = want.cost;
        let is_sure = |at_least: Short, at_most: Short| {
            if at_least == at_most {
                at_least
            } else {
                Short::Perhaps
            }
        };
        let now_us = now.unix_us();
        let Some(key) = want.key else {
            let is_used = is_later(self.taken_until_us.get(&want.spec), now_us)
                || is_later(self.unknown_until_us.get(&want.spec), now_us);
            let if_free = |cost: Micros| {
                if cost > want.shape.max {
                    Short::Yes
                } else {
                    Short::No
                }
            };
            return if !is_used || most == Micros(0) || least > want.shape.max {
                is_sure(if_free(least), if_free(most))
            } else {
                Short::Perhaps
            };
        };
        let seen = |cost: Micros| {
            let mut demand = [Demand::new(key, want.shape, cost)];
            self.counters.look(&mut demand, now);
            let [demand] = demand;
            let is_short = demand.view.wait_us > 0 || cost > want.shape.max;
            (
                if is_short { Short::Yes } else { Short::No },
                demand.view.remaining,
            )
        };
        let (at_least, remaining) = seen(least);
        if at_least == Short::Yes || most == Micros(0) {
            return at_least;
        }
        let at_most = if most == least { at_least } else { seen(most).0 };
        if is_later(self.unknown_until_us.get(&want.spec), now_us) {
            return Short::Perhaps;
        }
        let possible = self.possible_units(key, now_us);
        if possible == Micros(0) || at_most == Short::Yes {
            return is_sure(at_least, at_most);
        }
        if possible.0.saturating_add(most.0) <= remaining.0 {
            Short::No
        } else {
            Short::Perhaps
        }
    }

    /// Takes the units of a call that is surely allowed. Those whose count or cost is not known may have been taken.
    pub(super) fn take<'w>(&mut self, wants: impl IntoIterator<Item = &'w Want>, grant: &str, now: Now) {
        let is_known = |want: &&Want| want.key.is_some() && want.cost.0 == want.cost.1;
        let (known, vague): (Vec<&Want>, Vec<&Want>) = wants.into_iter().partition(is_known);
        let mut demands: SmallVec<[Demand; 4]> = known
            .iter()
            .filter_map(|want| {
                let mut demand = Demand::new(want.key?, want.shape, want.cost.0);
                demand.beyond = want.asks;
                Some(demand)
            })
            .collect();
        // Not all at once, as a call takes them: that each has enough is known, and one that fails must not undo the others.
        for (want, demand) in known.iter().zip(&mut demands) {
            let now_us = now.unix_us();
            match self.counters.take(std::slice::from_mut(demand), grant, now) {
                Ok(_) => extend(&mut self.taken_until_us, want, expiry_us(want, now_us)),
                // No room for the counter: the units are remembered otherwise.
                Err(_) => self.add_possible(want, now_us),
            }
        }
        for want in vague {
            self.add_possible(want, now.unix_us());
        }
        self.tend(now);
    }

    /// Notes that a call may have been allowed.
    pub(super) fn take_perhaps<'w>(&mut self, wants: impl IntoIterator<Item = &'w Want>, now: Now) {
        for want in wants {
            self.add_possible(want, now.unix_us());
        }
        self.tend(now);
    }

    /// Notes that units may have been taken from any count of a limit.
    pub(super) fn take_somewhere(&mut self, want: &Want, now: Now) {
        extend(&mut self.unknown_until_us, want, expiry_us(want, now.unix_us()));
    }

    fn add_possible(&mut self, want: &Want, now_us: u64) {
        let most = want.cost.1;
        if most == Micros(0) {
            return;
        }
        let until_us = expiry_us(want, now_us);
        extend(&mut self.taken_until_us, want, until_us);
        let Some(key) = want.key.filter(|_| self.possible.len() < CAPACITY) else {
            extend(&mut self.unknown_until_us, want, until_us);
            return;
        };
        let entries = self.possible.entry(key).or_default();
        entries.retain(|(end_us, _)| *end_us > now_us);
        if entries.len() >= MOST_ENTRIES {
            // As if all of the two had been taken at the later time: never too few.
            let (first_end_us, first) = entries.remove(0);
            if let Some((end_us, units)) = entries.first_mut() {
                *end_us = first_end_us.max(*end_us);
                units.0 = units.0.saturating_add(first.0);
            }
        }
        entries.push((until_us, most));
    }

    fn possible_units(&self, key: CountKey, now_us: u64) -> Micros {
        let entries = self.possible.get(&key).into_iter().flatten();
        let alive = entries.filter(|(end_us, _)| *end_us > now_us);
        Micros(alive.fold(0_u64, |sum, (_, units)| sum.saturating_add(units.0)))
    }

    fn tend(&mut self, now: Now) {
        self.calls = self.calls.wrapping_add(1);
        if self.calls.is_multiple_of(SWEPT_EVERY) {
            self.counters.sweep(now, SWEPT);
            self.counters.turn(SWEPT / 32);
        }
        if self.calls.is_multiple_of(FORGOTTEN_EVERY) {
            let now_us = now.unix_us();
            self.possible
                .retain(|_, entries| entries.iter().any(|(end_us, _)| *end_us > now_us));
        }
    }
}

/// Returns whether a call at `now_us` can meet units that were taken before the log began, at `first_us`.
pub(super) fn began_before(window: Window, first_us: u64, now_us: u64) -> bool {
    match window {
        Window::Sliding { window_us } => now_us.saturating_sub(first_us) < window_us,
        Window::Calendar(period) => period_bounds_us(period, now_us).0 <= first_us,
    }
}

/// The time from which on units that are taken now surely are free again.
fn expiry_us(want: &Want, now_us: u64) -> u64 {
    match want.shape.window {
        // Of a large count they may come back late by a 64th of the window.
        Window::Sliding { window_us } => now_us
            .saturating_add(window_us)
            .saturating_add(window_us / 64 + 1),
        Window::Calendar(period) => period_bounds_us(period, now_us).1,
    }
}

fn extend(ends: &mut HashMap<SpecDigest, u64>, want: &Want, until_us: u64) {
    let end_us = ends.entry(want.spec).or_default();
    *end_us = until_us.max(*end_us);
}

fn is_later(end_us: Option<&u64>, now_us: u64) -> bool {
    end_us.is_some_and(|end_us| *end_us > now_us)
}
