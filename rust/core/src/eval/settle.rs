//! Settle: an approval that is missing is asked for; else all units of a call are taken together, or none (`docs/policy.md`
//! section 2, steps 6 to 8).

use std::borrow::Cow;

use callgate_counters::{Demand, Refusal};

use super::trace::Trace;
use super::weigh::Weighed;
use super::{Counting, message, need};
use crate::{Decision, Outcome};

/// The rule of a denial because there is no room for a new count.
const CAPACITY: &str = "(counter capacity)";
pub(super) const STORE_MESSAGE: &str = "the store of the counters that nodes share does not answer; nothing was taken, try again later, or tell \
                             callgate's operator";
pub(super) const UNAVAILABLE: &str = "(counter store unavailable)";
const UNAVAILABLE_MESSAGE: &str = "the counters cannot be reached: their file was closed, or belongs to the process that \
                                   this one was forked from, or the process that keeps it does not answer; try again \
                                   later, or ask callgate's operator";

impl<'s> Counting<'_, 's> {
    /// Asks for the approval that is missing, or takes the units.
    pub(crate) fn settle<T: Trace>(&self, weighed: &mut Weighed<'s, '_>) -> Decision<'s> {
        if !weighed.needs.is_empty() {
            return self.approval_required(weighed);
        }
        match self.take::<T>(weighed) {
            Ok(stamp_us) => self.allowed::<T>(weighed, stamp_us),
            Err(refusal) => self.refused_by(weighed, refusal),
        }
    }

    /// The decision on a call whose units could not be taken.
    pub(super) fn refused_by(&self, weighed: &Weighed<'s, '_>, refusal: Refusal) -> Decision<'s> {
        let mut decision = match refusal {
            Refusal::RateLimited => return self.rate_limited(weighed),
            Refusal::Capacity { .. } => self.denied(
                CAPACITY,
                "too many counters are alive, so no new one can be kept; try again later",
            ),
            Refusal::Unavailable => self.unavailable(),
        };
        weighed.indexes.complete(self.state, &mut decision);
        decision
    }

    fn approval_required(&self, weighed: &Weighed<'s, '_>) -> Decision<'s> {
        let rule = need::first_rule(&weighed.needs);
        let message = match self.exceeded(weighed, &rule) {
            Some(limit) => message::approval_at_max(&weighed.tool, limit, message::APPROVAL_NOT_ASKED),
            None => message::approval_required(&weighed.tool, message::APPROVAL_NOT_ASKED),
        };
        let mut decision = Decision {
            fingerprint: weighed.fingerprint,
            ..Decision::bare(
                Outcome::ApprovalRequired,
                rule,
                message.into(),
                self.now.unix_us(),
            )
        };
        decision.limits.extend(self.limit_states(weighed));
        weighed.indexes.complete(self.state, &mut decision);
        decision
    }

    pub(super) fn allowed<T: Trace>(
        &self,
        weighed: &mut Weighed<'s, '_>,
        stamp_us: Option<u64>,
    ) -> Decision<'s> {
        let decided_at_us = stamp_us.map_or(self.now.unix_us(), |stamp_us| self.now.unix_us_of(stamp_us));
        let reservation = if T::TAKES { weighed.reserve } else { None };
        let taken = weighed.wanted();
        if let (Some(id), Some(taken)) = (reservation, weighed.counts.demands.get(..taken)) {
            self.reservations
                .open(id, weighed.pep, &weighed.grant, taken, self.now);
        }
        let mut decision = Decision::bare(
            Outcome::Allow,
            Cow::Borrowed(""),
            Cow::Borrowed(""),
            decided_at_us,
        );
        decision.limits.extend(self.limit_states(weighed));
        decision.shadow = std::mem::take(&mut weighed.shadowing).into_answer();
        decision.reservation = reservation;
        weighed.indexes.complete(self.state, &mut decision);
        decision
    }

    /// The denial because the counters cannot be reached.
    pub(super) fn unavailable(&self) -> Decision<'s> {
        self.denied(UNAVAILABLE, UNAVAILABLE_MESSAGE)
    }

    pub(super) fn denied(&self, rule: &'static str, message: &'static str) -> Decision<'s> {
        Decision::bare(
            Outcome::Deny,
            Cow::Borrowed(rule),
            Cow::Borrowed(message),
            self.now.unix_us(),
        )
    }

    /// Takes units: from every count if full enforcement allows the call, else from the enforced ones. Reads the others
    /// without taking.
    pub(super) fn take<T: Trace>(&self, weighed: &mut Weighed<'s, '_>) -> Result<Option<u64>, Refusal> {
        loop {
            let wanted = weighed.wanted();
            let demands = &mut weighed.counts.demands;
            let (take, rest) = demands.split_at_mut_checked(wanted).unwrap_or_default();
            // To look at nothing still announces a reader to other threads.
            if !rest.is_empty() {
                self.counters.look(rest, self.now);
            }
            let refusal = match self.take_or_look::<T>(&weighed.grant, take) {
                Ok(stamp_us) => return Ok(stamp_us),
                Err(refusal) => refusal,
            };
            let counts = &weighed.counts;
            let enforced = counts.enforced();
            // Between the look and the take another call may have used up a count that only shadowed limits meet: full
            // enforcement would have refused, so the enforced ones are tried alone. That happens at most once, because
            // now there is an answer and only enforced counts are left.
            match refusal {
                Refusal::RateLimited if counts.first_waiting(enforced).is_none() && wanted > enforced => {
                    let rule = counts
                        .first_refusing(wanted)
                        .map_or("", |one| self.rule(weighed.indexes.policy, one.limit));
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
        match self.counters.peek(demands, grant, self.now) {
            Ok(()) => self.complete_peeked(demands),
            Err(Refusal::RateLimited) => {
                self.complete_peeked(demands);
                if demands.iter().any(|demand| demand.view.wait_us > 0) {
                    return Err(Refusal::RateLimited);
                }
            }
            Err(refusal) => return Err(refusal),
        }
        Ok(None)
    }
}
