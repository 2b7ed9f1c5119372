//! Look: the counts of a weighed call, with nothing taken (`docs/policy.md` section 2, step 5).

use std::borrow::Cow;
use std::ops::ControlFlow;

use callgate_counters::Demand;
use smallvec::SmallVec;

use super::explain::{StepKind, StepResult};
use super::limits::{Counted, Counts};
use super::trace::Trace;
use super::weigh::Weighed;
use super::{Counting, message};
use crate::compile::CompiledPolicy;
use crate::decision::Fingerprint;
use crate::{Decision, LimitState, Outcome};

/// The units that a call wants, one demand for each of its counts.
pub(super) type Demands = SmallVec<[Demand; 4]>;

/// A weighed call whose counts were looked at. It can wait for an approval before it is settled.
#[derive(Debug)]
pub struct Looked<'s, 'r> {
    pub(super) weighed: Weighed<'s, 'r>,
    pub(super) demands: Demands,
}

impl Looked<'_, '_> {
    /// The fingerprint of the call, if it needs an approval that it does not have.
    pub fn needed_approval(&self) -> Option<&Fingerprint> {
        self.weighed
            .approval
            .as_ref()
            .map(|approval| &approval.fingerprint)
    }

    /// The same call with its approval.
    #[must_use]
    pub fn approved(mut self) -> Self {
        self.weighed.approval = None;
        self
    }

    /// The same call with owned data, so that it outlives its request. It is settled by the state that weighed it.
    #[must_use]
    pub fn into_owned(self) -> Looked<'static, 'static> {
        Looked {
            weighed: self.weighed.into_owned(),
            demands: self.demands,
        }
    }
}

impl<'s> Counting<'_, 's> {
    /// Looks at the counts. Breaks with the decision where a call that needs an approval has too little left on a limit:
    /// nobody is asked about a call that could not be made.
    pub(crate) fn look<'r, T: Trace>(
        &self,
        mut weighed: Weighed<'s, 'r>,
        trace: &mut T,
    ) -> ControlFlow<Decision<'s>, Looked<'s, 'r>> {
        let mut demands: Demands = weighed.counts.iter().map(demand).collect();
        if T::ON {
            self.counters.look(&mut demands, self.now);
            self.trace_limits(&weighed, &demands, trace);
        }
        if !weighed.shadowing.has_answer() {
            self.look_fully(&mut weighed);
        }
        if let Some(rule) = weighed.shadow_approval.take() {
            weighed.shadowing.note(Outcome::ApprovalRequired, rule);
        }
        if weighed.approval.is_some() {
            self.counters.look(&mut demands, self.now);
            if first_waiting(&demands, enforced(&weighed.counts)).is_some() {
                return ControlFlow::Break(self.rate_limited(&weighed, &demands));
            }
        }
        ControlFlow::Continue(Looked { weighed, demands })
    }

    /// Notes the verdict of full enforcement on the counts, where it can differ from what is enforced.
    fn look_fully(&self, weighed: &mut Weighed<'s, '_>) {
        if weighed.counts.iter().all(|counted| counted.enforced) {
            return;
        }
        let mut full = weighed.counts.clone();
        full.sort_by_key(|counted| counted.order);
        let mut demands: Demands = full.iter().map(demand).collect();
        self.counters.look(&mut demands, self.now);
        let waiting = first_waiting(&demands, demands.len()).and_then(|index| full.get(index));
        if let Some(counted) = waiting {
            weighed
                .shadowing
                .note(Outcome::RateLimited, self.rule(weighed.indexes.policy, counted));
        }
    }

    pub(super) fn rate_limited(&self, weighed: &Weighed<'s, '_>, demands: &Demands) -> Decision<'s> {
        let enforced = enforced(&weighed.counts);
        let waits = demands.iter().take(enforced).map(|demand| demand.view.wait_us);
        let longest_us = waits.max().unwrap_or_default();
        let first = first_waiting(demands, enforced).and_then(|index| weighed.counts.get(index));
        let limit = first.and_then(|counted| self.policy(weighed)?.limit(counted.limit));
        let (rule, message) = limit.map_or((Cow::Borrowed(""), Cow::Borrowed("")), |limit| {
            let message = match &limit.on_deny {
                Some(on_deny) => Cow::Borrowed(on_deny.as_str()),
                None => Cow::Owned(message::rate_limited(&weighed.tool, limit, longest_us)),
            };
            (Cow::Borrowed(limit.rule.as_str()), message)
        });
        let decision = Decision {
            retry_after_ms: Some(longest_us.div_ceil(1_000)),
            limits: self.limit_states(weighed, demands),
            ..Decision::bare(Outcome::RateLimited, rule, message, self.now.unix_us())
        };
        weighed.indexes.complete(self.state, decision)
    }

    pub(super) fn limit_states(
        &self,
        weighed: &Weighed<'_, '_>,
        demands: &Demands,
    ) -> SmallVec<[LimitState<'s>; 4]> {
        let Some(policy) = self.policy(weighed) else {
            return SmallVec::new();
        };
        let state = |(counted, demand): (&Counted, &Demand)| {
            let limit = policy.limit(counted.limit)?;
            Some(LimitState {
                counter: Cow::Borrowed(limit.counter.as_str()),
                rule: Cow::Borrowed(limit.rule.as_str()),
                max: limit.shape.max,
                remaining: demand.view.remaining,
                reset_after_ms: demand.view.reset_after_us.div_ceil(1_000),
                window_ms: demand.view.window_us.div_ceil(1_000),
            })
        };
        weighed.counts.iter().zip(demands).filter_map(state).collect()
    }

    /// The rule of the limit that answers for a count.
    pub(super) fn rule(&self, policy: u32, counted: &Counted) -> &'s str {
        let policy = self.state.compiled(policy);
        let limit = policy.and_then(|policy| policy.limit(counted.limit));
        limit.map_or("", |limit| &limit.rule)
    }

    fn policy(&self, weighed: &Weighed<'_, '_>) -> Option<&'s CompiledPolicy> {
        self.state.compiled(weighed.indexes.policy)
    }

    fn trace_limits<T: Trace>(&self, weighed: &Weighed<'_, '_>, demands: &Demands, trace: &mut T) {
        for (counted, demand) in weighed.counts.iter().zip(demands) {
            let result = StepResult::stopped(demand.view.wait_us > 0);
            let rule = self.rule(weighed.indexes.policy, counted);
            trace.step(StepKind::Limit, rule, !counted.enforced, result);
        }
    }
}

/// Returns the number of counts that are enforced; they stand before the others.
pub(super) fn enforced(counts: &Counts) -> usize {
    counts.iter().filter(|counted| counted.enforced).count()
}

/// Returns the first of the first `among` demands that has to wait.
pub(super) fn first_waiting(demands: &[Demand], among: usize) -> Option<usize> {
    demands
        .iter()
        .take(among)
        .position(|demand| demand.view.wait_us > 0)
}

fn demand(counted: &Counted) -> Demand {
    Demand::new(counted.key, counted.shape, counted.cost)
}
