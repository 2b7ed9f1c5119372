//! The counts of a request.

use callgate_counters::{Demand, Micros};
use smallvec::SmallVec;

use super::find::Limit;

/// Counts without duplicates, enforced ones first.
#[derive(Default)]
pub(super) struct Counts {
    pub(super) demands: SmallVec<[Demand; 2]>,
    /// Facts about each demand.
    pub(super) facts: SmallVec<[Facts; 2]>,
    pub(super) enforced: usize,
}

/// Facts about one demand.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Facts {
    pub(super) verdict: Verdict,
    /// A refused request still takes its hits, as far as there is room.
    pub(super) count_refused: bool,
    /// The requested cost, whatever the demand currently contains.
    pub(super) cost: Micros,
}

/// The verdict of a count on a demand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The demand fits, as far as is known.
    #[default]
    Fits,
    /// The demand does not fit now; its view contains the wait.
    Over,
    /// The demand exceeds the limit and never fits.
    Never,
    /// The count could not be examined.
    Unknown,
}

impl Facts {
    /// Returns whether it cannot be admitted.
    pub(super) fn is_over(&self) -> bool {
        self.verdict != Verdict::Fits
    }

    /// Stores the result of a look or a take.
    pub(super) const fn look(&mut self, demand: &Demand) {
        self.verdict = if demand.view.wait_us > 0 {
            Verdict::Over
        } else {
            Verdict::Fits
        };
    }
}

impl Counts {
    /// Adds a limit to those from `begin` on. A limit with the same count is merged: it takes the hits of both, within
    /// the smaller maximum.
    pub(super) fn add(&mut self, begin: usize, limit: &Limit<'_>, hits: u64) {
        let cost = Micros(hits.saturating_mul(Micros::ONE.0));
        let shape = limit.quota.shape;
        let count_refused = limit.configured.is_some_and(|limit| limit.count_refused);
        let known = self.demands.iter_mut().zip(&mut self.facts).skip(begin);
        for (demand, facts) in known {
            if demand.key == limit.key {
                demand.cost = Micros(demand.cost.0.saturating_add(cost.0));
                demand.shape.max = demand.shape.max.min(shape.max);
                demand.shape.whole_units &= shape.whole_units;
                facts.cost = demand.cost;
                facts.count_refused |= count_refused;
                return;
            }
        }
        self.demands.push(Demand::new(limit.key, shape, cost));
        self.facts.push(Facts {
            verdict: Verdict::Fits,
            count_refused,
            cost,
        });
    }

    /// Returns whether an enforced count has too little left.
    pub(super) fn is_refused(&self) -> bool {
        self.facts.iter().take(self.enforced).any(Facts::is_over)
    }

    /// Marks the demands that have to wait, after a take that found too little.
    pub(super) fn mark_waiting(&mut self) {
        let enforced = self.demands.iter().zip(&mut self.facts).take(self.enforced);
        for (demand, facts) in enforced {
            facts.look(demand);
        }
    }

    /// The count of a limit.
    pub(super) fn of(&self, limit: &Limit<'_>) -> Option<(&Demand, &Facts)> {
        let (from, to) = if limit.is_shadow() {
            (self.enforced, self.demands.len())
        } else {
            (0, self.enforced)
        };
        let mut counts = self.demands.iter().zip(&self.facts).take(to).skip(from);
        counts.find(|(demand, _)| demand.key == limit.key)
    }
}
