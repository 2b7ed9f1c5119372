//! Counts that nodes share: what the store is asked for, and the decision with its answer (`docs/scaling.md`).

use std::sync::Arc;

use callgate_counters::lease::{CountScopes, ScopeOfCount, Shared, SharedPolicy, Verdict};
use callgate_counters::{Counters, Demand, Micros, Refusal, Sharing};

use super::Counting;
use super::limits::Use;
use super::settle::STORE_MESSAGE;
use super::trace::Silent;
use super::weigh::Weighed;
use crate::approval::{StoreAnswer, StoreAsk};
use crate::compile::CompiledPolicy;
use crate::{Decision, Now};

/// A share runs low where less than this part of `max` is left of it.
const LOW: u64 = 8;

impl<'s> Counting<'_, 's> {
    /// Takes the units where this node can do so alone: no count is shared, or its shares suffice. Else what the store has to be
    /// asked for.
    pub(crate) fn settle_here(&self, weighed: &mut Weighed<'s, '_>) -> Result<Decision<'s>, StoreAsk> {
        let has_shared = self.counters.shared().is_some() && weighed.counts.shared().next().is_some();
        let policy = if has_shared {
            self.shared_policy(weighed)
        } else {
            None
        };
        let Some(policy) = policy else {
            return Ok(self.settle::<Silent>(weighed));
        };
        let is_strict = |demand: &Demand| demand.shape.sharing == Sharing::Strict;
        let asks = weighed.counts.shared().any(|(_, demand)| is_strict(demand));
        // Before the units are taken: see `SharedPolicy::lease_end_us`.
        let lease_end_us = policy.lease_end_us();
        if asks || self.now.stamp_us() > lease_end_us {
            if self.is_refused_here(weighed) {
                return Ok(self.rate_limited(weighed));
            }
            return Err(ask_of(&policy, self.policy(weighed), weighed));
        }
        match self.take::<Silent>(weighed) {
            Ok(stamp_us) => {
                if self.is_after(stamp_us, lease_end_us, weighed) {
                    return Err(ask_of(&policy, self.policy(weighed), weighed));
                }
                self.complete_views(&policy, weighed);
                Ok(self.allowed::<Silent>(weighed, stamp_us))
            }
            Err(Refusal::RateLimited) if !waits_here(weighed) && !self.is_refused_there(weighed) => {
                Err(ask_of(&policy, self.policy(weighed), weighed))
            }
            Err(refusal) => Ok(self.refused_by(weighed, refusal)),
        }
    }

    /// The units that the store has to be asked for; `None` if no count of the call is shared.
    pub(crate) fn store_ask(&self, weighed: &Weighed<'_, '_>) -> Option<StoreAsk> {
        weighed.counts.shared().next()?;
        Some(ask_of(
            &self.shared_policy(weighed)?,
            self.policy(weighed),
            weighed,
        ))
    }

    /// Takes the units with the answer of the store.
    pub(crate) fn settle_counted(&self, weighed: &mut Weighed<'s, '_>, store: StoreAnswer) -> Decision<'s> {
        let StoreAnswer { asked, counted } = store;
        match counted.verdict {
            Verdict::Unavailable => {
                if let Some(decision) = self.without_store(weighed, &asked) {
                    return decision;
                }
            }
            Verdict::Refused | Verdict::Granted => {
                let keys = if counted.keys.is_empty() {
                    asked.demands.iter().map(|demand| demand.key).collect()
                } else {
                    // They may have been reset since they were weighed.
                    weighed.counts.rename_shared(&counted.keys);
                    counted.keys.clone()
                };
                counted.apply(&mut weighed.counts.demands, &keys);
                if counted.verdict == Verdict::Refused {
                    return self.rate_limited(weighed);
                }
            }
        }
        let lease_end_us = asked.policy.lease_end_us();
        match self.take::<Silent>(weighed) {
            Ok(stamp_us) => {
                if self.is_after(stamp_us, lease_end_us, weighed) {
                    return self.without_answer(weighed);
                }
                // What the store took is the call's from here on.
                counted.taken.spend();
                self.complete_views(&asked.policy, weighed);
                self.allowed::<Silent>(weighed, stamp_us)
            }
            Err(refusal) => self.refused_by(weighed, refusal),
        }
    }

    /// Leaves out the counts of a store that does not answer, where their limits say so; else the denial.
    fn without_store(&self, weighed: &mut Weighed<'s, '_>, asked: &StoreAsk) -> Option<Decision<'s>> {
        let policy = self.policy(weighed);
        let passes = |limit| {
            let limit = policy.and_then(|policy| policy.limit(limit));
            limit.is_some_and(|limit| limit.passes_without_store)
        };
        if weighed.counts.shared().any(|(one, _)| !passes(one.limit)) {
            return Some(self.without_answer(weighed));
        }
        for demand in &mut weighed.counts.demands {
            if asked.demands.iter().any(|asked| asked.key == demand.key) {
                demand.cost = Micros(0);
                demand.view.wait_us = 0;
            }
        }
        None
    }

    fn without_answer(&self, weighed: &Weighed<'s, '_>) -> Decision<'s> {
        let mut decision = self.denied(super::settle::UNAVAILABLE, STORE_MESSAGE);
        weighed.indexes.complete(self.state, &mut decision);
        decision
    }

    /// Gives everything back where the units were stamped after the lease, which covers no share then.
    fn is_after(&self, stamp_us: Option<u64>, lease_end_us: u64, weighed: &Weighed<'_, '_>) -> bool {
        let is_leased = |demand: &Demand| demand.shape.sharing == Sharing::Leased && demand.cost.0 > 0;
        let is_after = stamp_us.is_some_and(|stamp_us| stamp_us > lease_end_us)
            && weighed.counts.demands.iter().any(is_leased);
        if is_after {
            let taken = weighed.counts.demands.iter().take(weighed.wanted());
            for demand in taken.filter(|demand| demand.shape.sharing != Sharing::Strict) {
                self.counters.give_back(demand, self.now);
            }
        }
        is_after
    }

    /// True if the store would be asked in vain, since a count of this node alone has too little left.
    fn is_refused_here(&self, weighed: &mut Weighed<'_, '_>) -> bool {
        let is_local = |demand: &Demand| demand.shape.sharing == Sharing::Local;
        if !weighed.counts.demands.iter().any(is_local) {
            return false;
        }
        self.counters.look(&mut weighed.counts.demands, self.now);
        for demand in &mut weighed.counts.demands {
            if !is_local(demand) {
                demand.view.wait_us = 0;
            }
        }
        waits_here(weighed)
    }

    /// True if the store has said a moment ago that a count has too little left. Sets how long the call has to wait.
    fn is_refused_there(&self, weighed: &mut Weighed<'_, '_>) -> bool {
        let Some(shared) = self.counters.shared() else {
            return false;
        };
        let enforced = weighed.counts.enforced();
        let demands = weighed.counts.demands.iter_mut().take(enforced);
        let mut is_refused = false;
        for demand in demands.filter(|demand| demand.view.wait_us > 0) {
            if let Some(wait_us) = shared.refused(demand.key, demand.cost, self.now) {
                demand.view.wait_us = wait_us;
                is_refused = true;
            }
        }
        is_refused
    }

    /// Tells which shares run low, so that the store is asked before a call has to wait for it. What is left of a count is what is
    /// left of the share, and what was left at the store when it was asked last.
    fn complete_views(&self, policy: &Arc<SharedPolicy>, weighed: &mut Weighed<'_, '_>) {
        let Some(shared) = self.counters.shared() else {
            return;
        };
        let leased = |demand: &&mut Demand| demand.shape.sharing == Sharing::Leased;
        for demand in weighed.counts.demands.iter_mut().filter(leased) {
            let left = demand.view.remaining;
            if left.0 < demand.shape.max.0 / LOW && has_halved(left, demand.cost) {
                shared.low(policy, demand, &weighed.grant, self.now);
            }
            add_left(shared, demand);
        }
    }

    /// Looks at counts, takes nothing: see [`Counters::look`].
    pub(super) fn look_at(&self, demands: &mut [Demand]) -> bool {
        let is_reached = self.counters.look(demands, self.now);
        self.complete_peeked(demands);
        is_reached
    }

    /// Completes the views of counts from which nothing is taken.
    pub(super) fn complete_peeked(&self, demands: &mut [Demand]) {
        peeked(self.counters, demands, self.now);
    }

    fn shared_policy(&self, weighed: &Weighed<'_, '_>) -> Option<Arc<SharedPolicy>> {
        let policy = self.policy(weighed)?;
        let shared = self.counters.shared()?;
        Some(Arc::clone(
            policy.shared.get_or_init(|| shared.policy(&policy.name)),
        ))
    }
}

/// True if these units took what is left of a share below a power of two. The worker knows the size of the share, calls do not:
/// so it is told each time that a share has halved, and not by each call.
const fn has_halved(left: Micros, taken: Micros) -> bool {
    left.0.leading_zeros() > left.0.saturating_add(taken.0).leading_zeros()
}

/// Adds what the store had left to what is left of a share.
fn add_left(shared: &Shared, demand: &mut Demand) {
    let left = shared.left(demand.key).unwrap_or_default().0;
    let all = demand.view.remaining.0.saturating_add(left);
    demand.view.remaining = Micros(all.min(demand.shape.max.0));
}

/// Completes the views of shared counts that were looked at, and not taken from: too little in a share refuses nothing, unless
/// the store has just said so.
pub(super) fn peeked(counters: &Counters, demands: &mut [Demand], now: Now) {
    let Some(shared) = counters.shared() else {
        return;
    };
    for demand in demands {
        match demand.shape.sharing {
            Sharing::Local => continue,
            Sharing::Leased => add_left(shared, demand),
            Sharing::Strict => {
                let left = shared.left(demand.key).unwrap_or(demand.shape.max);
                demand.view.remaining = left.min(demand.shape.max);
            }
        }
        let wait_us = shared.refused(demand.key, demand.cost, now);
        demand.view.wait_us = wait_us.filter(|_| demand.view.wait_us > 0).unwrap_or(0);
    }
}

/// True if a count of this node alone has too little left.
fn waits_here(weighed: &Weighed<'_, '_>) -> bool {
    let enforced = weighed.counts.iter().take(weighed.counts.enforced());
    enforced
        .into_iter()
        .any(|(_, demand)| demand.shape.sharing == Sharing::Local && demand.view.wait_us > 0)
}

fn ask_of(
    policy: &Arc<SharedPolicy>,
    compiled: Option<&CompiledPolicy>,
    weighed: &Weighed<'_, '_>,
) -> StoreAsk {
    let scope = |one: Use| {
        let limit = compiled.and_then(|policy| policy.limit(one.limit));
        limit.map_or_else(ScopeOfCount::default, |limit| ScopeOfCount {
            spec: limit.spec,
            is_by_grant: limit.counts_by_grant(),
            is_by_tool: limit.counts_by_tool(),
        })
    };
    let (counts, demands) = weighed
        .counts
        .shared()
        .map(|(one, demand)| (scope(one), demand.clone()))
        .unzip();
    StoreAsk {
        policy: Arc::clone(policy),
        grant: Arc::from(&*weighed.grant),
        demands,
        scopes: CountScopes {
            tool: Arc::from(&*weighed.tool),
            resets: weighed.shared_resets.clone(),
            counts,
        },
    }
}
