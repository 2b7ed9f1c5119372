//! The remaining units of each limit, for [`crate::Engine::peek`].

use std::ops::ControlFlow;

use callgate_counters::{Counters, Demand, Micros, View};

use super::admission::Decider;
use super::call::EvaluatedCall;
use super::stages::Places;
use super::trace::Silent;
use super::walk::{Reached, walk};
use super::weigh::Weighed;
use super::{Evaluation, INVALID, frozen, limits, store};
use crate::compile::{CompiledLimit, CompiledPolicy, Place};
use crate::json::{ObjectWriter, Tape, ValueWriter};
use crate::policy::ast::Scope;
use crate::{Decision, Outcome};

/// The remaining units for a caller; nothing was taken.
#[derive(Clone, Debug, PartialEq)]
pub struct Peek<'s> {
    /// The decision that the call would get now, with its limits as they are before it; without a tool, the denial of a
    /// caller that is not admitted, or whose calls a freeze stops, else `None`.
    pub decision: Option<Decision<'s>>,
    /// The name of the policy that decides; empty if none was reached.
    pub policy: &'s str,
    /// Its version, as in [`Decision::policy_version`].
    pub policy_version: &'s str,
    /// The limits of the tool in the order in which they are examined; without a tool, all limits of the policy in the order
    /// of the document. Empty if the request is malformed or its caller is not admitted.
    pub limits: Vec<PeekedLimit<'s>>,
}

/// One limit, as a request would meet it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeekedLimit<'s> {
    /// The counter name of the limit.
    pub counter: &'s str,
    /// Its rule pointer.
    pub rule: &'s str,
    /// Units per window.
    pub max: Micros,
    /// True if the limit is in shadow and refuses no call.
    pub shadowed: bool,
    /// The state of the count; `None` if the request does not name everything that the limit counts by.
    pub count: Option<PeekedCount>,
    /// The parts that the request lacks for the scope or the cost of the limit: `tool`, and paths of arguments.
    pub missing: Vec<&'s str>,
}

/// The state of one count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeekedCount {
    /// Units left now.
    pub remaining: Micros,
    /// Milliseconds until the whole of `max` is free again, rounded up.
    pub reset_after_ms: u64,
    /// Milliseconds until the units of this call are free, rounded up: 0 for now; `None` if its cost is not known, or above
    /// `max`.
    pub retry_after_ms: Option<u64>,
    /// Milliseconds of the window; for a calendar window the length of the current one.
    pub window_ms: u64,
}

/// The deciding policy, the state of its limits, and the denial of a frozen caller.
type PeekedPolicy<'s> = (&'s CompiledPolicy, Vec<PeekedLimit<'s>>, Option<Decision<'s>>);

impl<'s> Evaluation<'_, 's, '_> {
    /// Returns the deciding policy, the state of its limits, and, without a tool, the denial of a caller who is frozen;
    /// breaks with the denial of a request that is malformed or whose caller is not admitted.
    pub(crate) fn peek_limits(
        &self,
        counters: &Counters,
        tape: &mut Tape,
    ) -> ControlFlow<Decision<'s>, PeekedPolicy<'s>> {
        let has_tool = !self.request.tool.is_empty();
        let fault = if has_tool {
            self.request.name_fault()
        } else {
            self.request.name_fault_without_tool()
        };
        let args = match self.arguments(tape, fault) {
            Ok(args) => args,
            Err(message) => {
                let denial = self.refuse_request(INVALID, message, &mut Silent);
                return ControlFlow::Break(denial);
            }
        };
        let (admitted, Decider { policy, policy_index }) = match self.admit() {
            Ok(admitted) => admitted,
            Err(refusal) => {
                let denial = self.refuse_request(refusal.rule, refusal.message, &mut Silent);
                return ControlFlow::Break(denial);
            }
        };
        let call = EvaluatedCall {
            request: &admitted,
            args,
            args_are_seen: self.request.args.are_seen(),
            facts: self.state.facts().of(admitted.server, admitted.tool),
            now: self.now,
        };
        let shared_resets = self.shared_resets(policy);
        let keys = self.keys(shared_resets.as_deref());
        let peek = |limit, place| self.peek_limit(counters, &call, limit, place, keys.of(place));
        let limits = if has_tool {
            let places = Places::find(policy, call.facts, policy.names.find(admitted.tool));
            let places = places.iter();
            places
                .flat_map(|place| policy.limits_of(place).map(|(_, limit)| peek(limit, place)))
                .collect()
        } else {
            let places = policy.places();
            places
                .flat_map(|place| policy.limits_of(place).map(|(_, limit)| peek(limit, place)))
                .collect()
        };
        let mut weighed = Weighed::default();
        weighed.admit(&admitted, policy_index, None);
        let frozen = self
            .freezes
            .as_ref()
            .filter(|_| !has_tool)
            .and_then(|freezes| frozen::decision(freezes, self.state, &weighed, self.now));
        ControlFlow::Continue((policy, limits, frozen))
    }

    fn peek_limit(
        &self,
        counters: &Counters,
        call: &EvaluatedCall<'_>,
        limit: &'s CompiledLimit,
        place: &Place,
        keys: limits::Keys<'_>,
    ) -> PeekedLimit<'s> {
        let mut missing: Vec<&str> = Vec::new();
        for scope in &limit.scope {
            match scope {
                Scope::Tool if call.request.tool.is_empty() => missing.push("tool"),
                Scope::Args(path) if !matches!(walk(call.args, path, 0), Reached::Value(_)) => {
                    missing.push(&path.text);
                }
                _ => {}
            }
        }
        let has_scope = missing.is_empty();
        let cost = limits::cost(call, limit);
        if let Err(path) = &cost
            && !missing.contains(&&*path.text)
        {
            missing.push(&path.text);
        }
        let cost = cost.ok().filter(|cost| *cost <= limit.shape.max);
        let key = limits::key(call.request, Some(call.args), keys, limit).ok();
        let count = key.filter(|_| has_scope).map(|key| {
            let mut demand = Demand::new(
                key,
                limit.shape(keys.shared_key.is_some()),
                cost.unwrap_or_default(),
            );
            let looked = std::slice::from_mut(&mut demand);
            counters.look(looked, self.now);
            store::peeked(counters, looked, self.now);
            let View {
                wait_us,
                remaining,
                over: _,
                reset_after_us,
                window_us,
            } = demand.view;
            PeekedCount {
                remaining,
                reset_after_ms: reset_after_us.div_ceil(1_000),
                retry_after_ms: cost.map(|_| wait_us.div_ceil(1_000)),
                window_ms: window_us.div_ceil(1_000),
            }
        });
        PeekedLimit {
            counter: &limit.counter,
            rule: &limit.rule,
            max: limit.shape.max,
            shadowed: place.shadowed,
            count,
            missing,
        }
    }
}

impl PeekedLimit<'_> {
    fn write_json(&self, json: ValueWriter<'_>) {
        json.object(|limit| {
            limit.field("counter").text(self.counter);
            limit.field("rule").text(self.rule);
            limit.field("max").number(self.max);
            if let Some(count) = &self.count {
                count.write_json(limit);
            }
            limit.field("shadow").boolean(self.shadowed);
            limit.field("missing").texts(self.missing.iter().copied());
        });
    }
}

impl PeekedCount {
    fn write_json(&self, limit: &mut ObjectWriter<'_>) {
        limit.field("remaining").number(self.remaining);
        limit.field("reset_after_ms").integer(self.reset_after_ms);
        if let Some(retry_after_ms) = self.retry_after_ms {
            limit.field("retry_after_ms").integer(retry_after_ms);
        }
        limit.field("window_ms").integer(self.window_ms);
    }
}

impl<'s> Peek<'s> {
    /// Appends the answer as one JSON object, without absent fields; the decision is that of [`Decision::write_json`].
    pub fn write_json(&self, json: &mut String) {
        ValueWriter::new(json).object(|peek| {
            if let Some(decision) = &self.decision {
                peek.field("decision").with(|json| decision.write_json(json));
            }
            peek.field("policy").text(self.policy);
            peek.field("policy_version").text(self.policy_version);
            peek.field("limits").list(|limits| {
                for limit in &self.limits {
                    limit.write_json(limits.element());
                }
            });
        });
    }

    /// The answer to a request that is denied before any policy is asked.
    pub(crate) const fn refused(denial: Decision<'s>) -> Self {
        Self {
            decision: Some(denial),
            policy: "",
            policy_version: "",
            limits: Vec::new(),
        }
    }

    /// The outcome of the decision; allow if there is none, because the caller is admitted.
    pub fn outcome(&self) -> Outcome {
        self.decision
            .as_ref()
            .map_or(Outcome::Allow, |decision| decision.outcome)
    }
}
