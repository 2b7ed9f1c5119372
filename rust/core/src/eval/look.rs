//! Look: the counts of a weighed call, with nothing taken (`docs/policy.md` section 2, step 5).

use std::borrow::Cow;
use std::ops::ControlFlow;

use callgate_counters::Demand;
use smallvec::SmallVec;

use super::explain::{StepKind, StepResult};
use super::limits::{Use, first_waiting};
use super::trace::Trace;
use super::weigh::Weighed;
use super::{Counting, message};
use crate::compile::{CompiledPolicy, Need};
use crate::decision::Fingerprint;
use crate::{Decision, LimitState, Outcome};

/// A weighed call whose counts were looked at. It can wait for an approval before it is settled.
#[derive(Debug)]
pub struct Looked<'s, 'r> {
    pub(crate) weighed: Weighed<'s, 'r>,
}

impl Looked<'_, '_> {
    /// The fingerprint of the call, if it needs an approval that it does not have.
    pub fn needed_approval(&self) -> Option<&Fingerprint> {
        self.weighed
            .approval
            .as_ref()
            .map(|approval| &approval.fingerprint)
    }

    /// The rules that ask for that approval, in the order of `docs/policy.md` section 6; empty if none is needed.
    pub fn needs(&self) -> impl Iterator<Item = &Need> {
        let needs = self.weighed.approval.iter().flat_map(|approval| &approval.needs);
        needs.map(|need| &***need)
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
        }
    }
}

impl<'s> Counting<'_, 's> {
    /// Looks at the counts. Breaks with the decision where a call that needs an approval has too little left on a limit:
    /// nobody is asked about a call that could not be made.
    pub(crate) fn look<T: Trace>(
        &self,
        weighed: &mut Weighed<'s, '_>,
        trace: &mut T,
    ) -> ControlFlow<Decision<'s>> {
        if T::ON {
            self.counters.look(&mut weighed.counts.demands, self.now);
            self.trace_limits(weighed, trace);
        }
        if !weighed.shadowing.has_answer() {
            self.look_fully(weighed);
        }
        if let Some(rule) = weighed.shadow_approval.take() {
            weighed.shadowing.note(Outcome::ApprovalRequired, rule);
        }
        if weighed.approval.is_some() {
            self.counters.look(&mut weighed.counts.demands, self.now);
            if weighed.counts.first_waiting(weighed.counts.enforced()).is_some() {
                return ControlFlow::Break(self.rate_limited(weighed));
            }
        }
        ControlFlow::Continue(())
    }

    /// Notes the verdict of full enforcement on the counts, where it can differ from what is enforced.
    fn look_fully(&self, weighed: &mut Weighed<'s, '_>) {
        if weighed.counts.iter().all(|(one, _)| one.enforced) {
            return;
        }
        let (uses, mut demands) = weighed.counts.in_order();
        self.counters.look(&mut demands, self.now);
        let waiting = first_waiting(&demands, demands.len()).and_then(|index| uses.get(index));
        if let Some(one) = waiting {
            weighed
                .shadowing
                .note(Outcome::RateLimited, self.rule(weighed.indexes.policy, one.limit));
        }
    }

    pub(super) fn rate_limited(&self, weighed: &Weighed<'s, '_>) -> Decision<'s> {
        let counts = &weighed.counts;
        let enforced = counts.enforced();
        let waits = counts
            .demands
            .iter()
            .take(enforced)
            .map(|demand| demand.view.wait_us);
        let longest_us = waits.max().unwrap_or_default();
        let first = counts
            .first_waiting(enforced)
            .and_then(|index| counts.use_of(index));
        let limit = first.and_then(|one| self.policy(weighed)?.limit(one.limit));
        let (rule, message) = limit.map_or((Cow::Borrowed(""), Cow::Borrowed("")), |limit| {
            let message = match &limit.on_deny {
                Some(on_deny) => Cow::Borrowed(on_deny.as_str()),
                None => Cow::Owned(message::rate_limited(&weighed.tool, limit, longest_us)),
            };
            (Cow::Borrowed(limit.rule.as_str()), message)
        });
        let mut decision = Decision {
            retry_after_ms: Some(longest_us.div_ceil(1_000)),
            limits: self.limit_states(weighed),
            ..Decision::bare(Outcome::RateLimited, rule, message, self.now.unix_us())
        };
        weighed.indexes.complete(self.state, &mut decision);
        decision
    }

    pub(super) fn limit_states(&self, weighed: &Weighed<'_, '_>) -> SmallVec<[LimitState<'s>; 4]> {
        let Some(policy) = self.policy(weighed) else {
            return SmallVec::new();
        };
        let state = |(one, demand): (Use, &Demand)| {
            let limit = policy.limit(one.limit)?;
            Some(LimitState {
                counter: Cow::Borrowed(limit.counter.as_str()),
                rule: Cow::Borrowed(limit.rule.as_str()),
                max: limit.shape.max,
                remaining: demand.view.remaining,
                reset_after_ms: demand.view.reset_after_us.div_ceil(1_000),
                window_ms: demand.view.window_us.div_ceil(1_000),
            })
        };
        weighed.counts.iter().filter_map(state).collect()
    }

    /// The rule of the limit with this index in the policy.
    pub(super) fn rule(&self, policy: u32, limit: u32) -> &'s str {
        let policy = self.state.compiled(policy);
        let limit = policy.and_then(|policy| policy.limit(limit));
        limit.map_or("", |limit| &limit.rule)
    }

    fn policy(&self, weighed: &Weighed<'_, '_>) -> Option<&'s CompiledPolicy> {
        self.state.compiled(weighed.indexes.policy)
    }

    fn trace_limits<T: Trace>(&self, weighed: &Weighed<'_, '_>, trace: &mut T) {
        for (one, demand) in weighed.counts.iter() {
            let result = StepResult::stopped(demand.view.wait_us > 0);
            let rule = self.rule(weighed.indexes.policy, one.limit);
            trace.step(StepKind::Limit, rule, !one.enforced, result);
        }
    }
}
