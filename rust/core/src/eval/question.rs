//! The question about a call that needs an approval, and the decision after its answer (`docs/policy.md` section 6).

use std::borrow::Cow;
use std::sync::Arc;

use super::admission::Decider;
use super::stages::UNSEEN;
use super::weigh::Weighed;
use super::{Counting, Evaluation, Looked, message, need};
use crate::approval::{Answer, Decided, HeldCall, Question};
use crate::json::{Kind, Tape, Value, ValueWriter};
use crate::state::State;
use crate::{Decision, LimitState, Outcome};

const UNAVAILABLE: &str = "(approval store unavailable)";
const UNAVAILABLE_MESSAGE: &str = "the call needs a person's approval, and the store of approvals does not answer; nothing was \
                                   taken, try again later, or tell callgate's operator";
const CAPACITY: &str = "(approval capacity)";

impl<'s> Counting<'_, 's> {
    /// Denies a call of which people would not see everything, or that is longer than they can read; else makes the question about it. `tape` is a buffer for
    /// the arguments.
    pub(crate) fn ask(
        &self,
        evaluation: &Evaluation<'_, 's, '_>,
        mut weighed: Weighed<'s, '_>,
        tape: &mut Tape,
        max_args_bytes: usize,
    ) -> Decided<'s> {
        evaluation.complete(&mut weighed, tape);
        // Neither fails: the call was weighed by the same state at the same instant.
        let (Ok(args), Ok((admitted, Decider { policy, .. })), Some(fingerprint)) = (
            evaluation.arguments(tape, None),
            evaluation.admit(),
            weighed.fingerprint,
        ) else {
            return Decided::Decision(self.unreachable(&weighed));
        };
        if let Some(member) = evaluation.request.unseen_member {
            let message = message::unseen_member(&weighed.tool, member);
            return Decided::Decision(self.refused(&weighed, Cow::Borrowed(UNSEEN), message));
        }
        let (mut canonical, mut args_json) = (String::new(), String::new());
        args.write_canonical(&mut canonical);
        write_as_written(args, ValueWriter::new(&mut args_json));
        // A number is read as it was written, with all its zeros; either form may be the longer one.
        let names = admitted.tool.len() + admitted.session.map_or(0, str::len);
        if canonical.len().max(args_json.len()).saturating_add(names) > max_args_bytes {
            let rule = need::first_rule(&weighed.needs);
            let message = message::approval_too_long(&weighed.tool, max_args_bytes);
            return Decided::Decision(self.refused(&weighed, rule, message));
        }
        let facts = self.state.facts().of(admitted.server, admitted.tool);
        let question = Question {
            fingerprint,
            grant: admitted.grant.to_owned(),
            labels: admitted.labels(),
            server: admitted.server.to_owned(),
            tool: admitted.tool.to_owned(),
            category: facts.and_then(|facts| facts.category),
            risk: facts.and_then(|facts| facts.risk),
            session: admitted.session.map(str::to_owned),
            args_json,
            policy: policy.name.clone(),
            policy_digest: policy.digest_hex.clone(),
            pin_digest: admitted.pins.and_then(|pins| pins.digest(admitted.tool)),
            needs: weighed.needs.iter().map(|need| Arc::clone(need)).collect(),
            entries: weighed.entries.clone(),
            limits: self.limit_states(&weighed).map(LimitState::into_owned).collect(),
        };
        let store = self.store_ask(&weighed);
        let looked = Looked {
            weighed: weighed.into_owned(),
        };
        Decided::Asked(Box::new(HeldCall {
            looked,
            question: Some(question),
            store,
        }))
    }

    /// The decision that an answer leads to; `None` if the call is approved and has to be settled.
    pub(crate) fn answered(&self, weighed: &Weighed<'_, '_>, answer: &Answer) -> Option<Decision<'s>> {
        let decision = match answer {
            Answer::Approved { .. } => return None,
            Answer::Denied {
                id,
                rule,
                reason,
                until_us,
            } => Decision {
                approval: Cow::Owned(id.clone()),
                ..self.refused(
                    weighed,
                    Cow::Owned(rule.clone()),
                    message::approval_denied(&weighed.tool, reason, *until_us),
                )
            },
            Answer::Waiting {
                id,
                rule,
                approvers,
                until_us,
            } => self.waiting(weighed, (id, rule), approvers, *until_us),
            Answer::AtCapacity { of_grant } => self.refused(
                weighed,
                Cow::Borrowed(CAPACITY),
                message::approval_capacity(*of_grant),
            ),
            Answer::TooManyWait { of_grant } => self.refused(
                weighed,
                Cow::Borrowed(CAPACITY),
                message::too_many_wait(*of_grant),
            ),
            Answer::Unavailable => self.refused(
                weighed,
                Cow::Borrowed(UNAVAILABLE),
                UNAVAILABLE_MESSAGE.to_owned(),
            ),
        };
        Some(decision)
    }

    /// The denial of a call whose grant was revoked, or has gone or ended, while it waited; `current` is the state in force.
    pub(crate) fn withdrawn(&self, weighed: &Weighed<'_, '_>, current: &State) -> Option<Decision<'s>> {
        let grants = current.grants();
        let found = grants.by_id(&weighed.grant).and_then(|index| grants.get(index));
        let (rule, message) = match found {
            Some(grant) if grant.is_revoked() => ("(grant revoked)", message::grant_revoked(&weighed.grant)),
            Some(grant) if grant.is_expired(self.now.unix_us()) => {
                ("(grant expired)", message::grant_expired(&weighed.grant))
            }
            None if weighed.indexes.has_grant() => {
                ("(unknown grant)", message::unknown_grant(&weighed.grant))
            }
            Some(_) | None => return None,
        };
        Some(self.refused(weighed, Cow::Borrowed(rule), message))
    }

    fn waiting(
        &self,
        weighed: &Weighed<'_, '_>,
        (id, rule): (&str, &str),
        approvers: &[String],
        until_us: u64,
    ) -> Decision<'s> {
        let waits = message::approval_waits(id, approvers, until_us);
        let message = match self.exceeded(weighed, rule) {
            Some(limit) => message::approval_at_max(&weighed.tool, limit, &waits),
            None => message::approval_required(&weighed.tool, &waits),
        };
        let mut decision = Decision {
            limits: self.limit_states(weighed).collect(),
            fingerprint: weighed.fingerprint,
            approval: Cow::Owned(id.to_owned()),
            ..Decision::bare(
                Outcome::ApprovalRequired,
                Cow::Owned(rule.to_owned()),
                message.into(),
                self.now.unix_us(),
            )
        };
        weighed.indexes.complete(self.state, &mut decision);
        decision
    }

    fn unreachable(&self, weighed: &Weighed<'_, '_>) -> Decision<'s> {
        self.refused(
            weighed,
            Cow::Borrowed(UNAVAILABLE),
            UNAVAILABLE_MESSAGE.to_owned(),
        )
    }

    fn refused(&self, weighed: &Weighed<'_, '_>, rule: Cow<'s, str>, message: String) -> Decision<'s> {
        let mut decision = Decision::bare(Outcome::Deny, rule, message.into(), self.now.unix_us());
        weighed.indexes.complete(self.state, &mut decision);
        decision
    }
}

/// Writes a value without white space; numbers keep their text, and members their order.
fn write_as_written(value: Value<'_>, out: ValueWriter<'_>) {
    match value.kind() {
        Kind::Object => out.object(|object| {
            for (name, value) in value.members() {
                write_as_written(value, object.member(name));
            }
        }),
        Kind::Array => out.list(|list| {
            for value in value.elements() {
                write_as_written(value, list.element());
            }
        }),
        Kind::String => out.text(value.as_str().unwrap_or_default()),
        Kind::Null | Kind::Bool | Kind::Number => out.json(value.raw()),
    }
}
