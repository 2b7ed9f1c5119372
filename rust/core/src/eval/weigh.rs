//! Weigh: the verdict of the compiled state and of freezes (`docs/policy.md` section 2, steps 1 to 4), and everything that later
//! steps need of the request.

use std::borrow::Cow;
use std::ops::ControlFlow;
use std::sync::Arc;

use callgate_counters::{CountKey, Counters, Resets};

use super::admission::{AdmittedRequest, Decider};
use super::call::EvaluatedCall;
use super::explain::{StepKind, StepResult};
use super::fingerprint::fingerprint;
use super::limits::{self, Counts};
use super::need::{self, Needs};
use super::ruling::{Flow, Shadowing};
use super::seen::Seen;
use super::stages::Places;
use super::trace::Trace;
use super::{Evaluation, INVALID, frozen, message, operand, stages};
use crate::compile::{AppliedEntry, CompiledPolicy};
use crate::decision::Fingerprint;
use crate::freeze::FROZEN;
use crate::json::{Kind, Tape, Value};
use crate::request::MAX_ARGS_DEPTH;
use crate::state::State;
use crate::{Args, Decision, PepId, ReservationId};

/// A call that the compiled state does not refuse. It needs neither its arguments nor their buffer any more. It is too large to
/// be moved from step to step: who wants one makes it empty, and lends it to the steps.
#[derive(Debug, Default)]
pub(crate) struct Weighed<'s, 'r> {
    pub(super) grant: Cow<'r, str>,
    pub(super) server: Cow<'r, str>,
    pub(super) tool: Cow<'r, str>,
    pub(super) pep: PepId,
    pub(super) reserve: Option<ReservationId>,
    pub(super) indexes: DecisionIndexes,
    pub(super) counts: Counts,
    /// The resets whose numbers are in the keys of shared counts.
    pub(super) shared_resets: Option<Arc<Resets>>,
    pub(super) shadowing: Shadowing<'s>,
    /// The rules that ask for an approval; a look adds the limits among them.
    pub(super) needs: Needs<'s>,
    /// The entries that apply to a call that can need an approval.
    pub(super) entries: Vec<Arc<AppliedEntry>>,
    /// The fingerprint of the call, if it needs an approval.
    pub(super) fingerprint: Option<Fingerprint>,
    /// The rule of the approval that full enforcement would need.
    pub(super) shadow_approval: Option<Cow<'s, str>>,
}

/// The indexes of a decision in its state.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct DecisionIndexes {
    pub(super) policy: u32,
    grant: Option<u32>,
    tool: Option<u32>,
}

impl<'r> Weighed<'_, 'r> {
    /// Takes the names of an admitted call, and its indexes.
    pub(super) fn admit(&mut self, admitted: &AdmittedRequest<'r>, policy: u32, tool: Option<u32>) {
        self.grant = Cow::Borrowed(admitted.grant);
        self.server = Cow::Borrowed(admitted.server);
        self.tool = Cow::Borrowed(admitted.tool);
        self.indexes = DecisionIndexes {
            policy,
            grant: admitted.grant_index(),
            tool,
        };
    }
}

impl Weighed<'_, '_> {
    /// True if nobody has to be asked.
    pub(crate) fn needs_nobody(&self) -> bool {
        self.needs.is_empty()
    }

    /// The number of counts that units are taken from: all if full enforcement allows the call, else the enforced ones.
    pub(super) fn wanted(&self) -> usize {
        if self.shadowing.has_answer() {
            self.counts.enforced()
        } else {
            self.counts.demands.len()
        }
    }

    /// The same call with owned data, so that it outlives its request. It is settled by the state that weighed it.
    #[must_use]
    pub(crate) fn into_owned(self) -> Weighed<'static, 'static> {
        Weighed {
            grant: Cow::Owned(self.grant.into_owned()),
            server: Cow::Owned(self.server.into_owned()),
            tool: Cow::Owned(self.tool.into_owned()),
            pep: self.pep,
            reserve: self.reserve,
            indexes: self.indexes,
            counts: self.counts,
            shared_resets: self.shared_resets,
            shadowing: self.shadowing.into_owned(),
            needs: need::into_owned(self.needs),
            entries: self.entries,
            fingerprint: self.fingerprint,
            shadow_approval: self.shadow_approval.map(|rule| Cow::Owned(rule.into_owned())),
        }
    }
}

impl DecisionIndexes {
    /// True if the grant is a configured one.
    pub(super) const fn has_grant(self) -> bool {
        self.grant.is_some()
    }

    /// Adds the policy, the grant and the tool that these indexes name.
    pub(super) fn complete<'s>(self, state: &'s State, decision: &mut Decision<'s>) {
        let policy = state.compiled(self.policy);
        decision.policy = Cow::Borrowed(policy.map_or("", |policy| &policy.name));
        decision.policy_version = Cow::Borrowed(policy.map_or("", CompiledPolicy::version));
        decision.grant_index = self.grant;
        decision.policy_index = Some(self.policy);
        decision.tool_index = self.tool;
    }
}

impl<'s> Evaluation<'_, 's, '_> {
    /// Weighs the call into `weighed`, with `tape` as the buffer for the arguments, and passes the arguments of a well-formed
    /// call to `see`. Breaks with the decision if the state alone refuses.
    pub(crate) fn weigh<'c, T: Trace>(
        &self,
        counters: &Counters,
        weighed: &mut Weighed<'s, 'c>,
        tape: &mut Tape,
        trace: &mut T,
        see: impl FnOnce(Seen<'_>),
    ) -> ControlFlow<Decision<'s>>
    where
        Self: 'c,
        's: 'c,
    {
        if let Some(fault) = self.fault(self.request.name_fault()) {
            return ControlFlow::Break(self.refuse_request(INVALID, Cow::Borrowed(fault), trace));
        }
        let (admitted, Decider { policy, policy_index }) = match self.admit() {
            Ok(admitted) => admitted,
            Err(refusal) => {
                let args = match self.read_arguments(tape) {
                    Ok(args) => args,
                    Err(message) => return ControlFlow::Break(self.refuse_request(INVALID, message, trace)),
                };
                see(Seen::new(args, self.request.args.are_seen(), None));
                let decision = self.refuse_request(refusal.rule, refusal.message, trace);
                return ControlFlow::Break(Decision {
                    grant_index: refusal.grant_index,
                    ..decision
                });
            }
        };
        let facts = self.state.facts().of(admitted.server, admitted.tool);
        let found = policy.names.find(admitted.tool);
        let places = Places::find(policy, facts, found);
        // Before the arguments are read: so the memory of the counts comes meanwhile.
        weighed.shared_resets = self.shared_resets(policy);
        let keys = self.keys(weighed.shared_resets.as_deref());
        let early = limits::early_keys(&admitted, keys, policy, &places);
        counters.prefetch(&early);
        let args = match self.read_arguments(tape) {
            Ok(args) => args,
            Err(message) => return ControlFlow::Break(self.refuse_request(INVALID, message, trace)),
        };
        trace.step(StepKind::Request, "", false, StepResult::Passed);
        let call = EvaluatedCall {
            request: &admitted,
            args,
            args_are_seen: self.request.args.are_seen(),
            facts,
            now: self.now,
        };
        see(Seen::new(args, call.args_are_seen, Some((policy, &admitted))));
        weighed.admit(&admitted, policy_index, found.listed);
        weighed.pep = self.request.pep.id;
        weighed.reserve = self.request.reserve;
        if let Some(freezes) = &self.freezes {
            let frozen = frozen::decision(freezes, self.state, weighed, self.now);
            let rule = frozen.as_ref().map_or("", |_| FROZEN);
            let result = StepResult::stopped(frozen.is_some());
            trace.step(StepKind::Frozen, rule, false, result);
            if let Some(decision) = frozen {
                return ControlFlow::Break(decision);
            }
        }
        let ControlFlow::Break(refused) = self.judge(&call, policy, &places, &early, weighed, trace) else {
            return ControlFlow::Continue(());
        };
        let mut decision = Decision::bare(refused.outcome, refused.rule, refused.message, self.now.unix_us());
        weighed.indexes.complete(self.state, &mut decision);
        ControlFlow::Break(decision)
    }

    fn judge<T: Trace>(
        &self,
        call: &EvaluatedCall<'_>,
        policy: &'s CompiledPolicy,
        places: &Places<'s>,
        early: &[CountKey],
        weighed: &mut Weighed<'s, '_>,
        trace: &mut T,
    ) -> Flow<'s> {
        let Weighed {
            counts,
            shadowing,
            shared_resets,
            ..
        } = weighed;
        stages::before_limits(call, policy, places, shadowing, trace)?;
        let keys = limits::Keys {
            early,
            ..self.keys(shared_resets.as_deref())
        };
        limits::resolve(call, keys, policy, places, shadowing, counts, trace)?;
        let (needs, shadowed) = stages::needs(call, places, trace);
        if !needs.is_empty() || weighed.counts.can_ask() {
            weighed.entries = places.iter().filter_map(|place| place.entry.clone()).collect();
        }
        weighed.needs = needs;
        weighed.shadow_approval = shadowed.map(|need| Cow::Borrowed(need.rule.as_str()));
        ControlFlow::Continue(())
    }

    /// Adds the fingerprint to a call that needs an approval. Reads the arguments once more: most calls need no fingerprint, and
    /// only a look tells about some.
    pub(crate) fn complete(&self, weighed: &mut Weighed<'s, '_>, tape: &mut Tape) {
        if weighed.needs.is_empty() {
            return;
        }
        // Neither fails: the call was weighed by the same state at the same instant.
        if let (Ok(args), Ok((admitted, Decider { policy, .. }))) = (self.arguments(tape, None), self.admit())
        {
            weighed.fingerprint = Some(fingerprint(&admitted, args, policy));
        }
    }

    /// Passes the arguments to `see`, as weighing does.
    pub(crate) fn see(&self, tape: &mut Tape, see: impl FnOnce(Seen<'_>)) {
        if let Ok(args) = self.arguments(tape, self.request.name_fault()) {
            let admitted = self.admit().ok();
            let decider = admitted
                .as_ref()
                .map(|(admitted, decider)| (decider.policy, admitted));
            see(Seen::new(args, self.request.args.are_seen(), decider));
        }
    }

    /// Reads the arguments if the request is well formed, else returns its fault: that of its names, if there is one. The
    /// arguments are read whole, even if no rule looks at them: a malformed request is malformed under every policy.
    pub(super) fn arguments<'t>(
        &self,
        tape: &'t mut Tape,
        name_fault: Option<&'static str>,
    ) -> Result<Value<'t>, Cow<'s, str>>
    where
        Self: 't,
    {
        match self.fault(name_fault) {
            Some(fault) => Err(Cow::Borrowed(fault)),
            None => self.read_arguments(tape),
        }
    }

    /// Returns the fault of a request that is malformed whatever its arguments are: that of its names, if there is one.
    fn fault(&self, name_fault: Option<&'static str>) -> Option<&'static str> {
        name_fault.or_else(|| self.caller_fault())
    }

    fn read_arguments<'t>(&self, tape: &'t mut Tape) -> Result<Value<'t>, Cow<'s, str>>
    where
        Self: 't,
    {
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
}

/// Requires the arguments to be one object.
fn object(args: Value<'_>) -> Result<Value<'_>, Cow<'static, str>> {
    match args.kind() {
        Kind::Object => Ok(args),
        kind => Err(Cow::Owned(message::not_an_object(operand::type_words(kind)))),
    }
}
