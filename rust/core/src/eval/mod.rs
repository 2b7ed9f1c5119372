//! One decision: the order of `docs/policy.md` section 2.

mod admission;
mod call;
mod condition;
pub(crate) mod explain;
mod fingerprint;
mod folder;
mod limits;
mod message;
mod operand;
mod operators;
mod ruling;
mod schema;
pub(crate) mod seen;
mod settle;
mod stages;
#[cfg(test)]
mod tests;
mod trace;
mod truth;
mod url;
mod walk;

use std::borrow::Cow;
use std::ops::ControlFlow;

use self::admission::Decider;
use self::call::Call;
use self::explain::{StepKind, StepResult};
use self::ruling::{Refused, Shadowing};
use self::seen::Seen;
use self::trace::Trace;
use crate::compile::CompiledPolicy;
use crate::engine::Listing;
use crate::json::{Kind, Tape, Value};
use crate::limit::{Counters, Reservations};
use crate::request::MAX_ARGS_DEPTH;
use crate::{Args, Decision, Now, Outcome, Request, State};

pub(crate) use trace::Silent;

/// The inputs of one decision.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Evaluation<'e, 's, 'r> {
    pub(crate) state: &'s State,
    pub(crate) request: &'e Request<'r>,
    pub(crate) now: Now,
    pub(crate) counters: &'e Counters,
    pub(crate) reservations: &'e Reservations,
    pub(crate) hash_key: &'e [u8; 16],
}

impl<'s> Evaluation<'_, 's, '_> {
    /// Decides, with `tape` as the buffer for the arguments, and passes the arguments of a well-formed call to `see`.
    pub(crate) fn run<T: Trace>(
        &self,
        tape: &mut Tape,
        trace: &mut T,
        see: impl FnOnce(Seen<'_>),
    ) -> Decision<'s> {
        let args = match self.arguments(tape) {
            Ok(args) => args,
            Err(message) => return self.refuse_request("(invalid request)", message, trace),
        };
        let (admitted, decider) = match self.admit() {
            Ok(admitted) => admitted,
            Err(refusal) => {
                see(Seen::new(args, None));
                let decision = self.refuse_request(refusal.rule, refusal.message, trace);
                return Decision {
                    grant_index: refusal.grant_index,
                    ..decision
                };
            }
        };
        trace.step(StepKind::Request, "", false, StepResult::Passed);
        let facts = self.state.facts().of(admitted.server, admitted.tool);
        let call = Call {
            request: &admitted,
            args,
            args_are_seen: self.request.args.are_seen(),
            facts,
            now: self.now,
        };
        let Decider { policy, policy_index } = decider;
        see(Seen::new(args, Some(policy)));
        let found = policy.names.find(admitted.tool);
        let decision = self.judge(&call, policy, found, trace);
        Decision {
            policy: Cow::Borrowed(&policy.name),
            policy_version: Cow::Borrowed(policy.version()),
            grant_index: admitted.grant_index(),
            policy_index: Some(policy_index),
            tool_index: found.listed,
            ..decision
        }
    }

    /// Performs step 1 alone, for a request without a tool: identifies the caller and the policy that would decide.
    pub(crate) fn recognise(&self) -> Decision<'s> {
        let fault = self.request.name_fault_without_tool();
        if let Some(fault) = fault.or_else(|| self.caller_fault()) {
            return self.refuse_request("(invalid request)", Cow::Borrowed(fault), &mut Silent);
        }
        match self.admit() {
            Ok((admitted, Decider { policy, policy_index })) => Decision {
                policy: Cow::Borrowed(&policy.name),
                policy_version: Cow::Borrowed(policy.version()),
                grant_index: admitted.grant_index(),
                policy_index: Some(policy_index),
                ..Decision::bare(Outcome::Allow, "".into(), "".into(), self.now.unix_us())
            },
            Err(refusal) => Decision {
                grant_index: refusal.grant_index,
                ..self.refuse_request(refusal.rule, refusal.message, &mut Silent)
            },
        }
    }

    /// Returns the rules for the caller's lists of tools; `None` if the caller is not admitted.
    pub(crate) fn listing<'l>(&self) -> Option<Listing<'l>>
    where
        Self: 'l,
        's: 'l,
    {
        let fault = self.request.name_fault_without_tool();
        if fault.or_else(|| self.caller_fault()).is_some() {
            return None;
        }
        let (admitted, Decider { policy, .. }) = self.admit().ok()?;
        Some(Listing {
            policy,
            facts: self.state.facts(),
            server: admitted.server,
        })
    }

    /// Reads the arguments if the request is well formed, else returns its fault. The arguments are read whole, even if
    /// no rule looks at them: a malformed request is malformed under every policy.
    fn arguments<'t>(&self, tape: &'t mut Tape) -> Result<Value<'t>, Cow<'s, str>>
    where
        Self: 't,
    {
        if let Some(fault) = self.request.name_fault().or_else(|| self.caller_fault()) {
            return Err(Cow::Borrowed(fault));
        }
        let json: &[u8] = match self.request.args {
            Args::Read(value) => return object(value),
            Args::Json([]) | Args::Unseen => b"{}",
            Args::Json(bytes) => bytes,
        };
        let args = tape
            .parse(json, MAX_ARGS_DEPTH)
            .map_err(|error| Cow::Owned(message::not_json(&error)))?;
        object(args)
    }

    fn refuse_request<T: Trace>(
        &self,
        rule: &'static str,
        message: Cow<'s, str>,
        trace: &mut T,
    ) -> Decision<'s> {
        trace.step(StepKind::Request, rule, false, StepResult::Stopped);
        Decision::bare(Outcome::Deny, Cow::Borrowed(rule), message, self.now.unix_us())
    }

    fn judge<T: Trace>(
        &self,
        call: &Call<'_>,
        policy: &'s CompiledPolicy,
        found: crate::compile::NameFacts,
        trace: &mut T,
    ) -> Decision<'s> {
        let mut shadowing = Shadowing::default();
        match stages::before_limits(call, policy, found, &mut shadowing, trace) {
            ControlFlow::Break(refused) => self.refused(refused),
            ControlFlow::Continue(places) => {
                match limits::resolve(call, self.hash_key, &places, &mut shadowing, trace) {
                    ControlFlow::Break(refused) => self.refused(refused),
                    ControlFlow::Continue(counted) => {
                        self.settle(call, policy, &places, &counted, shadowing, trace)
                    }
                }
            }
        }
    }

    fn refused(&self, refused: Refused<'s>) -> Decision<'s> {
        Decision::bare(refused.outcome, refused.rule, refused.message, self.now.unix_us())
    }
}

/// Requires the arguments to be one object.
fn object(args: Value<'_>) -> Result<Value<'_>, Cow<'static, str>> {
    match args.kind() {
        Kind::Object => Ok(args),
        kind => Err(Cow::Owned(message::not_an_object(operand::type_words(kind)))),
    }
}
