//! Look: the counts of a weighed call, with nothing taken (`docs/policy.md` section 2, step 5).

use std::borrow::Cow;
use std::ops::ControlFlow;

use smallvec::SmallVec;

use super::explain::{StepKind, StepResult};
use super::limits::{Use, is_short};
use super::settle::UNAVAILABLE;
use super::trace::Trace;
use super::weigh::Weighed;
use super::{Counting, message};
use crate::compile::{CompiledLimit, CompiledPolicy, Need};
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
        self.weighed.fingerprint.as_ref()
    }

    /// The rules that ask for that approval, in the order of `docs/policy.md` section 6; empty if none is needed.
    pub fn needs(&self) -> impl Iterator<Item = &Need> {
        self.weighed.needs.iter().map(|need| &***need)
    }

    /// The same call with its approval.
    #[must_use]
    pub fn approved(mut self) -> Self {
        self.weighed.needs.clear();
        self.weighed.fingerprint = None;
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
    /// Looks at the counts, and adds the limits that ask for an approval to the needs. Breaks with the decision where a call that
    /// needs one has too little left on another limit: nobody is asked about a call that could not be made.
    pub(crate) fn look<T: Trace>(
        &self,
        weighed: &mut Weighed<'s, '_>,
        trace: &mut T,
    ) -> ControlFlow<Decision<'s>> {
        if T::ON {
            self.look_at(&mut weighed.counts.demands);
            self.trace_limits(weighed, trace);
        }
        if !weighed.shadowing.has_answer() {
            self.look_fully(weighed);
        }
        if weighed.needs.is_empty() && !weighed.counts.can_ask() {
            return ControlFlow::Continue(());
        }
        let is_reached = self.look_at(&mut weighed.counts.demands);
        if !is_reached && weighed.counts.enforced() > 0 {
            let mut decision = self.unavailable();
            weighed.indexes.complete(self.state, &mut decision);
            return ControlFlow::Break(decision);
        }
        let is_refused = weighed.counts.short().any(|(one, _)| one.enforced && !one.asks);
        if is_refused {
            return ControlFlow::Break(self.rate_limited(weighed));
        }
        self.ask_at_max(weighed);
        ControlFlow::Continue(())
    }

    /// Adds the enforced limits that have too little left, and that a person may pass, to the needs.
    fn ask_at_max(&self, weighed: &mut Weighed<'s, '_>) {
        let Some(policy) = self.policy(weighed) else {
            return;
        };
        let asking: SmallVec<[(Use, usize); 4]> =
            weighed.counts.short().filter(|(one, _)| one.enforced).collect();
        for (one, index) in asking {
            let need = policy.limit(one.limit).and_then(|limit| limit.at_max.as_ref());
            if let (Some(need), Some(demand)) = (need, weighed.counts.demands.get_mut(index)) {
                weighed.needs.push(Cow::Borrowed(need));
                demand.beyond = true;
            }
        }
    }

    /// Notes the verdict of full enforcement on the counts and the approvals, where it can differ from what is enforced.
    fn look_fully(&self, weighed: &mut Weighed<'s, '_>) {
        let short = if weighed.counts.iter().all(|(one, _)| one.enforced) {
            SmallVec::new()
        } else {
            self.all_short(weighed)
        };
        let rule = |one: &Use| self.rule(weighed.indexes.policy, one.limit);
        if let Some(one) = short.iter().find(|one| !one.asks) {
            weighed.shadowing.note(Outcome::RateLimited, rule(one));
        } else if let Some(rule) = weighed.shadow_approval.take() {
            weighed.shadowing.note(Outcome::ApprovalRequired, rule);
        } else if let Some(one) = short.iter().find(|one| !one.enforced) {
            weighed.shadowing.note(Outcome::ApprovalRequired, rule(one));
        }
    }

    /// The counts that have too little left, shadowed ones among them, in the order of their limits.
    fn all_short(&self, weighed: &mut Weighed<'s, '_>) -> SmallVec<[Use; 4]> {
        let (uses, mut demands) = weighed.counts.in_order();
        if !self.look_at(&mut demands) {
            weighed.shadowing.note(Outcome::Deny, UNAVAILABLE);
            return SmallVec::new();
        }
        let both = uses.into_iter().zip(&demands);
        both.filter_map(|(one, demand)| is_short(demand).then_some(one))
            .collect()
    }

    pub(super) fn rate_limited(&self, weighed: &Weighed<'s, '_>) -> Decision<'s> {
        let counts = &weighed.counts;
        let refusing = || {
            let enforced = counts.iter().take(counts.enforced());
            enforced.filter(|(one, demand)| !one.asks && demand.view.wait_us > 0)
        };
        let first_refusing = refusing().next().map(|(one, _)| one);
        let (first, longest_us) = if first_refusing.is_some() {
            let waits = refusing().map(|(_, demand)| demand.view.wait_us);
            (first_refusing, waits.max().unwrap_or_default())
        } else {
            // Other calls took the units of a limit that asks between the look and the take: the next try asks a person.
            let waiting = counts.first_waiting(counts.enforced());
            (waiting.and_then(|index| counts.use_of(index)), 1)
        };
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
            ..Decision::bare(Outcome::RateLimited, rule, message, self.now.unix_us())
        };
        decision.limits.extend(self.limit_states(weighed));
        weighed.indexes.complete(self.state, &mut decision);
        decision
    }

    /// The states of the limits. Whoever fills a decision that stays where it is extends its list, which is too large to be
    /// moved for nothing.
    pub(super) fn limit_states(&self, weighed: &Weighed<'_, '_>) -> impl Iterator<Item = LimitState<'s>> {
        let policy = self.policy(weighed);
        weighed.counts.iter().filter_map(move |(one, demand)| {
            let limit = policy?.limit(one.limit)?;
            Some(LimitState {
                counter: Cow::Borrowed(limit.counter.as_str()),
                rule: Cow::Borrowed(limit.rule.as_str()),
                max: limit.shape.max,
                remaining: demand.view.remaining,
                over: demand.view.over,
                reset_after_ms: demand.view.reset_after_us.div_ceil(1_000),
                window_ms: demand.view.window_us.div_ceil(1_000),
            })
        })
    }

    /// The limit with this rule that asks, because it has too little left for the call.
    pub(super) fn exceeded(&self, weighed: &Weighed<'_, '_>, rule: &str) -> Option<&'s CompiledLimit> {
        let policy = self.policy(weighed)?;
        let limits = weighed
            .counts
            .iter()
            .filter_map(|(one, _)| policy.limit(one.limit));
        limits.into_iter().find(|limit| limit.rule == rule)
    }

    /// The rule of the limit with this index in the policy.
    pub(super) fn rule(&self, policy: u32, limit: u32) -> &'s str {
        let policy = self.state.compiled(policy);
        let limit = policy.and_then(|policy| policy.limit(limit));
        limit.map_or("", |limit| &limit.rule)
    }

    pub(super) fn policy(&self, weighed: &Weighed<'_, '_>) -> Option<&'s CompiledPolicy> {
        self.state.compiled(weighed.indexes.policy)
    }

    fn trace_limits<T: Trace>(&self, weighed: &Weighed<'_, '_>, trace: &mut T) {
        for (one, demand) in weighed.counts.iter() {
            let result = StepResult::stopped(is_short(demand));
            let rule = self.rule(weighed.indexes.policy, one.limit);
            trace.step(StepKind::Limit, rule, !one.enforced, result);
        }
    }
}
