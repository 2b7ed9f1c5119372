//! Settle: an approval that is missing is asked for; else all units of a call are taken together, or none (`docs/policy.md`
//! section 2, steps 6 to 8).

use std::borrow::Cow;

use callgate_counters::{Demand, Refusal};

use super::look::{Demands, Looked, enforced, first_waiting};
use super::trace::Trace;
use super::weigh::{NeededApproval, Weighed};
use super::{Counting, message};
use crate::{Decision, Outcome};

/// The rule of a denial because there is no room for a new count.
const CAPACITY: &str = "(counter capacity)";
const UNAVAILABLE: &str = "(counter store unavailable)";

impl<'s> Counting<'_, 's> {
    /// Asks for the approval that is missing, or takes the units.
    pub(crate) fn settle<T: Trace>(&self, looked: Looked<'s, '_>) -> Decision<'s> {
        let Looked {
            mut weighed,
            mut demands,
        } = looked;
        if let Some(approval) = weighed.approval.take() {
            return self.approval_required(&weighed, approval, &demands);
        }
        let enforced = enforced(&weighed.counts);
        let decision = match self.take::<T>(&mut weighed, &mut demands, enforced) {
            Ok(stamp_us) => return self.allowed::<T>(weighed, &demands, enforced, stamp_us),
            Err(Refusal::RateLimited) => return self.rate_limited(&weighed, &demands),
            Err(Refusal::Capacity { .. }) => self.denied(
                CAPACITY,
                "too many counters are alive, so no new one can be kept; try again later",
            ),
            Err(Refusal::Unavailable) => self.denied(
                UNAVAILABLE,
                "the counters' file was closed, or belongs to the process that this one was forked from; ask callgate's \
                 operator",
            ),
        };
        weighed.indexes.complete(self.state, decision)
    }

    fn approval_required(
        &self,
        weighed: &Weighed<'s, '_>,
        approval: NeededApproval<'s>,
        demands: &Demands,
    ) -> Decision<'s> {
        let message = message::approval_required(&weighed.tool).into();
        let decision = Decision {
            limits: self.limit_states(weighed, demands),
            fingerprint: Some(approval.fingerprint),
            ..Decision::bare(
                Outcome::ApprovalRequired,
                approval.rule,
                message,
                self.now.unix_us(),
            )
        };
        weighed.indexes.complete(self.state, decision)
    }

    fn allowed<T: Trace>(
        &self,
        weighed: Weighed<'s, '_>,
        demands: &Demands,
        enforced: usize,
        stamp_us: Option<u64>,
    ) -> Decision<'s> {
        let decided_at_us = stamp_us.map_or(self.now.unix_us(), |stamp_us| self.now.unix_us_of(stamp_us));
        let reservation = if T::TAKES { weighed.reserve } else { None };
        let taken = if weighed.shadowing.has_answer() {
            enforced
        } else {
            demands.len()
        };
        if let (Some(id), Some(taken)) = (reservation, demands.get(..taken)) {
            self.reservations
                .open(id, weighed.pep, &weighed.grant, taken, self.now);
        }
        let limits = self.limit_states(&weighed, demands);
        let decision = Decision {
            limits,
            shadow: weighed.shadowing.into_answer(),
            reservation,
            ..Decision::bare(
                Outcome::Allow,
                Cow::Borrowed(""),
                Cow::Borrowed(""),
                decided_at_us,
            )
        };
        weighed.indexes.complete(self.state, decision)
    }

    fn denied(&self, rule: &'static str, message: &'static str) -> Decision<'s> {
        Decision::bare(
            Outcome::Deny,
            Cow::Borrowed(rule),
            Cow::Borrowed(message),
            self.now.unix_us(),
        )
    }

    /// Takes units: from every count if full enforcement allows the call, else from the enforced ones. Reads the others
    /// without taking.
    fn take<T: Trace>(
        &self,
        weighed: &mut Weighed<'s, '_>,
        demands: &mut Demands,
        enforced: usize,
    ) -> Result<Option<u64>, Refusal> {
        loop {
            let wanted = if weighed.shadowing.has_answer() {
                enforced
            } else {
                demands.len()
            };
            let (take, rest) = demands.split_at_mut_checked(wanted).unwrap_or_default();
            self.counters.look(rest, self.now);
            let refusal = match self.take_or_look::<T>(&weighed.grant, take) {
                Ok(stamp_us) => return Ok(stamp_us),
                Err(refusal) => refusal,
            };
            // Between the look and the take another call may have used up a count that only shadowed limits meet: full
            // enforcement would have refused, so the enforced ones are tried alone. That happens at most once, because
            // now there is an answer and only enforced counts are left.
            match refusal {
                Refusal::RateLimited if first_waiting(demands, enforced).is_none() && wanted > enforced => {
                    let waiting = first_waiting(demands, wanted).and_then(|index| weighed.counts.get(index));
                    let rule = waiting.map_or("", |counted| self.rule(weighed.indexes.policy, counted));
                    weighed.shadowing.note(Outcome::RateLimited, rule);
                }
                Refusal::Capacity { demand } if demand >= enforced => {
                    weighed.shadowing.note(Outcome::Deny, CAPACITY);
                }
                Refusal::Unavailable if enforced == 0 => weighed.shadowing.note(Outcome::Deny, UNAVAILABLE),
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
}
