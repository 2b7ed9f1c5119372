//! Steps 5 to 8 of `docs/policy.md` section 2: reads the counts of the limits, asks for an approval, and takes all
//! units together or none.

use std::borrow::Cow;

use smallvec::SmallVec;

use super::call::Call;
use super::explain::{StepKind, StepResult};
use super::fingerprint::fingerprint;
use super::limits::{Counted, Counts};
use super::ruling::{Refused, Shadowing};
use super::stages::{Places, approval_needed};
use super::trace::Trace;
use super::{Evaluation, message};
use crate::compile::CompiledPolicy;
use crate::limit::{Demand, Refusal};
use crate::{Decision, LimitState, Outcome};

type Demands = SmallVec<[Demand; 4]>;

/// The rule of a denial because there is no room for a new count.
const CAPACITY: &str = "(counter capacity)";
const UNAVAILABLE: &str = "(counter store unavailable)";

impl<'s> Evaluation<'_, 's, '_> {
    /// Looks at the counts, asks for the approval, and takes the units.
    pub(super) fn settle<T: Trace>(
        &self,
        call: &Call<'_>,
        policy: &CompiledPolicy,
        places: &Places<'s>,
        counts: &Counts<'s>,
        mut shadowing: Shadowing<'s>,
        trace: &mut T,
    ) -> Decision<'s> {
        let enforced = counts.iter().filter(|counted| counted.enforced).count();
        let mut demands: Demands = counts
            .iter()
            .map(|counted| Demand::new(counted.key, counted.limit.shape, counted.cost))
            .collect();
        if T::ON {
            self.counters.look(&mut demands, self.now);
            trace_limits(counts, &demands, trace);
        }
        let [approval, shadow_approval] = approval_needed(call, places, trace);

        if !shadowing.has_answer() {
            self.look_fully(counts, &mut shadowing);
        }
        if let (Some(approval), false) = (shadow_approval, shadowing.has_answer()) {
            shadowing.note(Outcome::ApprovalRequired, &approval.rule);
        }
        if let Some(approval) = approval {
            self.counters.look(&mut demands, self.now);
            if first_waiting(&demands, enforced).is_some() {
                return self.rate_limited(call, counts, &demands, enforced);
            }
            let message = message::approval_required(call.request.tool).into();
            let rule = Cow::Borrowed(approval.rule.as_str());
            let decision = Decision::bare(Outcome::ApprovalRequired, rule, message, self.now.unix_us());
            let limits = limit_states(counts, &demands);
            return Decision {
                limits,
                fingerprint: Some(fingerprint(call, policy)),
                ..decision
            };
        }

        let taken = self.take::<T>(call.request.grant, counts, &mut demands, enforced, &mut shadowing);
        match taken {
            Ok(stamp_us) => {
                let decided_at_us =
                    stamp_us.map_or(self.now.unix_us(), |stamp_us| self.now.unix_us_of(stamp_us));
                let reservation = if T::TAKES { self.request.reserve } else { None };
                let taken = if shadowing.has_answer() {
                    enforced
                } else {
                    demands.len()
                };
                if let (Some(id), Some(taken)) = (reservation, demands.get(..taken)) {
                    let pep = self.request.pep.id;
                    self.reservations
                        .open(id, pep, call.request.grant, taken, self.now);
                }
                Decision {
                    limits: limit_states(counts, &demands),
                    shadow: shadowing.into_answer(),
                    reservation,
                    ..Decision::bare(
                        Outcome::Allow,
                        Cow::Borrowed(""),
                        Cow::Borrowed(""),
                        decided_at_us,
                    )
                }
            }
            Err(Refusal::RateLimited) => self.rate_limited(call, counts, &demands, enforced),
            Err(Refusal::Capacity { .. }) => self.refused(Refused {
                outcome: Outcome::Deny,
                rule: Cow::Borrowed(CAPACITY),
                message: Cow::Borrowed(
                    "too many counters are alive, so no new one can be kept; try again later",
                ),
            }),
            Err(Refusal::Unavailable) => self.refused(Refused {
                outcome: Outcome::Deny,
                rule: Cow::Borrowed(UNAVAILABLE),
                message: Cow::Borrowed(
                    "the counters' file was closed, or belongs to the process that this one was forked from; ask callgate's \
                     operator",
                ),
            }),
        }
    }

    /// Computes the answer of full enforcement from the counts, if it can differ from the enforced one.
    fn look_fully(&self, counts: &Counts<'s>, shadowing: &mut Shadowing<'s>) {
        if counts.iter().all(|counted| counted.enforced) {
            return;
        }
        let mut full: SmallVec<[&Counted<'s>; 4]> = counts.iter().collect();
        full.sort_by_key(|counted| counted.order);
        let demand = |counted: &&Counted<'s>| Demand::new(counted.key, counted.limit.shape, counted.cost);
        let mut demands: Demands = full.iter().map(demand).collect();
        self.counters.look(&mut demands, self.now);
        let waiting = first_waiting(&demands, demands.len()).and_then(|index| full.get(index));
        if let Some(counted) = waiting {
            shadowing.note(Outcome::RateLimited, &counted.limit.rule);
        }
    }

    /// Takes units: from every count if full enforcement allows the call, else from the enforced ones. Reads the others
    /// without taking.
    fn take<T: Trace>(
        &self,
        grant: &str,
        counts: &Counts<'s>,
        demands: &mut Demands,
        enforced: usize,
        shadowing: &mut Shadowing<'s>,
    ) -> Result<Option<u64>, Refusal> {
        loop {
            let wanted = if shadowing.has_answer() {
                enforced
            } else {
                demands.len()
            };
            let (take, rest) = demands.split_at_mut_checked(wanted).unwrap_or_default();
            self.counters.look(rest, self.now);
            let refusal = match self.take_or_look::<T>(grant, take) {
                Ok(stamp_us) => return Ok(stamp_us),
                Err(refusal) => refusal,
            };
            // Between the look and the take another call may have used up a count that only shadowed limits meet: full
            // enforcement would have refused, so the enforced ones are tried alone. That happens at most once, because
            // now there is an answer and only enforced counts are left.
            match refusal {
                Refusal::RateLimited if first_waiting(demands, enforced).is_none() && wanted > enforced => {
                    let waiting = first_waiting(demands, wanted).and_then(|index| counts.get(index));
                    shadowing.note(
                        Outcome::RateLimited,
                        waiting.map_or("", |counted| &counted.limit.rule),
                    );
                }
                Refusal::Capacity { demand } if demand >= enforced => shadowing.note(Outcome::Deny, CAPACITY),
                Refusal::Unavailable if enforced == 0 => shadowing.note(Outcome::Deny, UNAVAILABLE),
                refusal => return Err(refusal),
            }
        }
    }

    fn take_or_look<T: Trace>(&self, grant: &str, demands: &mut [Demand]) -> Result<Option<u64>, Refusal> {
        if demands.is_empty() {
            return Ok(None);
        }
        if T::TAKES {
            return self.counters.take(demands, grant, self.now).map(Some);
        }
        self.counters.look(demands, self.now);
        if first_waiting(demands, demands.len()).is_some() {
            Err(Refusal::RateLimited)
        } else {
            Ok(None)
        }
    }

    fn rate_limited(
        &self,
        call: &Call<'_>,
        counts: &Counts<'s>,
        demands: &Demands,
        enforced: usize,
    ) -> Decision<'s> {
        let waits = demands.iter().take(enforced).map(|demand| demand.view.wait_us);
        let longest_us = waits.max().unwrap_or_default();
        let first = first_waiting(demands, enforced).and_then(|index| counts.get(index));
        let (rule, message) = first.map_or((Cow::Borrowed(""), Cow::Borrowed("")), |counted| {
            let message = match &counted.limit.on_deny {
                Some(on_deny) => Cow::Borrowed(on_deny.as_str()),
                None => Cow::Owned(message::rate_limited(
                    call.request.tool,
                    counted.limit,
                    longest_us,
                )),
            };
            (Cow::Borrowed(counted.limit.rule.as_str()), message)
        });
        Decision {
            retry_after_ms: Some(longest_us.div_ceil(1_000)),
            limits: limit_states(counts, demands),
            ..Decision::bare(Outcome::RateLimited, rule, message, self.now.unix_us())
        }
    }
}

/// Returns the first of the first `among` demands that has to wait.
fn first_waiting(demands: &[Demand], among: usize) -> Option<usize> {
    demands
        .iter()
        .take(among)
        .position(|demand| demand.view.wait_us > 0)
}

fn limit_states<'s>(counts: &Counts<'s>, demands: &Demands) -> SmallVec<[LimitState<'s>; 4]> {
    let state = |(counted, demand): (&Counted<'s>, &Demand)| LimitState {
        counter: Cow::Borrowed(counted.limit.counter.as_str()),
        rule: Cow::Borrowed(counted.limit.rule.as_str()),
        max: counted.limit.shape.max,
        remaining: demand.view.remaining,
        reset_after_ms: demand.view.reset_after_us.div_ceil(1_000),
        window_ms: demand.view.window_us.div_ceil(1_000),
    };
    counts.iter().zip(demands).map(state).collect()
}

fn trace_limits<T: Trace>(counts: &Counts<'_>, demands: &Demands, trace: &mut T) {
    for (counted, demand) in counts.iter().zip(demands) {
        let result = StepResult::stopped(demand.view.wait_us > 0);
        trace.step(StepKind::Limit, &counted.limit.rule, !counted.enforced, result);
    }
}
