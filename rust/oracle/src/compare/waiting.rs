//! Calls that wait for an answer about their approval, in both.

use std::collections::HashMap;

use callgate_core::approval::{Answer as EngineAnswer, HeldCall, Question};
use callgate_core::engine::Snapshot;
use callgate_core::freeze::{Freeze, FreezeScope, FreezeSource};
use callgate_core::{Engine, Looked};

use super::{AgreedDecision, Method, allowed, now};
use crate::{Call, Oracle, Reply, ReplyKind, Verdict};

/// The calls that wait, in their order.
pub(super) struct WaitingCalls<'e> {
    engine: &'e Engine,
    snapshot: &'e Snapshot,
    freezes: Vec<Freeze>,
    waiting: Vec<WaitingCall>,
    /// The fingerprint of each call so far, by what it is made of.
    fingerprints: HashMap<String, String>,
}

struct WaitingCall {
    index: usize,
    call: Call,
    reply: Reply,
    /// The verdicts that ask because of the same rules.
    asked: Vec<Verdict>,
    looked: Looked<'static, 'static>,
}

impl<'e> WaitingCalls<'e> {
    /// No calls yet; `freezes` are those of the case.
    pub(super) fn new(engine: &'e Engine, snapshot: &'e Snapshot, freezes: Vec<Freeze>) -> Self {
        Self {
            engine,
            snapshot,
            freezes,
            waiting: Vec::new(),
            fingerprints: HashMap::new(),
        }
    }

    /// Adds a call about which the engine asks; an error if no verdict asks because of the same rules.
    pub(super) fn add(
        &mut self,
        index: usize,
        call: &Call,
        held: HeldCall,
        verdicts: &[Verdict],
    ) -> Result<(), String> {
        let HeldCall { looked, question, .. } = held;
        let question = question.ok_or("held without a question")?;
        let needs: Vec<String> = question.needs.iter().map(|need| need.rule.clone()).collect();
        let is_asked = |verdict: &&Verdict| !needs.is_empty() && verdict.needs == needs;
        let asked: Vec<Verdict> = verdicts.iter().filter(is_asked).cloned().collect();
        if asked.is_empty() {
            return Err(format!("asked because of {needs:?}\nallowed: {verdicts:#?}"));
        }
        self.check(call, &question)?;
        let reply = call.reply.ok_or("asked of nobody")?;
        self.waiting.push(WaitingCall {
            index,
            call: call.clone(),
            reply,
            asked,
            looked,
        });
        Ok(())
    }

    /// Checks that the question is about this call, and that its fingerprint is that of the same calls alone.
    fn check(&mut self, call: &Call, question: &Question) -> Result<(), String> {
        let names = [
            (&question.grant, &call.grant),
            (&question.server, &call.server),
            (&question.tool, &call.tool),
        ];
        let args = call.well_formed().ok_or("a question about an invalid request")?;
        if names.iter().any(|(asked, called)| asked != called)
            || question.session.as_deref().unwrap_or_default() != call.session
        {
            return Err(format!("a question about another call: {question:?}"));
        }
        let identity = format!(
            "{:?} {:?} {:?} {}",
            call.server,
            call.grant,
            call.tool,
            args.key()
        );
        let fingerprint = question.fingerprint.to_string();
        let is_new = |known: &HashMap<String, String>| !known.values().any(|other| *other == fingerprint);
        match self.fingerprints.get(&identity) {
            Some(known) if *known == fingerprint => Ok(()),
            None if is_new(&self.fingerprints) => {
                self.fingerprints.insert(identity, fingerprint);
                Ok(())
            }
            other => Err(format!("{identity} has fingerprint {fingerprint}, not {other:?}")),
        }
    }

    /// Settles the calls that wait for no later one than the call of this index, at the time of `latest`.
    pub(super) fn settle(
        &mut self,
        oracle: &mut Oracle,
        until_index: usize,
        latest: &Call,
    ) -> Result<Vec<AgreedDecision>, String> {
        let is_due = |waiting: &mut WaitingCall| waiting.index + waiting.reply.calls_meanwhile <= until_index;
        let due: Vec<WaitingCall> = self.waiting.extract_if(.., is_due).collect();
        due.into_iter()
            .map(|waiting| self.settle_one(oracle, waiting, latest))
            .collect()
    }

    fn settle_one(
        &self,
        oracle: &mut Oracle,
        waiting: WaitingCall,
        latest: &Call,
    ) -> Result<AgreedDecision, String> {
        let WaitingCall {
            index,
            call,
            reply,
            asked,
            looked,
        } = waiting;
        let later = Call {
            boot_ns: latest.boot_ns,
            unix_offset_us: latest.unix_offset_us,
            ..call.clone()
        };
        let verdicts: Vec<Verdict> = asked
            .iter()
            .flat_map(|asked| oracle.settled(&call, &later, reply, asked))
            .collect();
        let meanwhile = reply.is_frozen.then(everything).transpose()?;
        self.set_freezes(meanwhile);
        let rule = asked.first().and_then(|asked| asked.needs.first());
        let answer = engine_answer(reply.kind, rule.map_or("", String::as_str));
        let decision = self
            .engine
            .settle_answered(self.snapshot, looked, Some(&answer), None, now(&later));
        let agreed = allowed(&verdicts, &decision, Method::Decide);
        let agreed = agreed
            .map_err(|difference| format!("answer to call {index}: {later:?}\nsettle: {difference}"))?;
        let is_allowed = agreed.answer.outcome == "allow";
        if is_allowed && decision.approval != ID {
            return Err(format!(
                "call {index} was allowed without its approval: {decision:#?}"
            ));
        }
        self.set_freezes(None);
        oracle.settle(&later, agreed);
        Ok(AgreedDecision {
            verdict: agreed.clone(),
            has_waited: true,
        })
    }

    fn set_freezes(&self, meanwhile: Option<Freeze>) {
        let freezes = self.freezes.iter().cloned().chain(meanwhile).collect();
        self.engine.set_freezes(FreezeSource::Program, freezes);
    }
}

/// The id of every approval.
const ID: &str = "a";

fn everything() -> Result<Freeze, String> {
    Freeze::new(FreezeScope::new(None, None, None)?, "stopped", None)
}

fn engine_answer(kind: ReplyKind, rule: &str) -> EngineAnswer {
    let (id, rule) = (ID.to_owned(), rule.to_owned());
    match kind {
        ReplyKind::Approved => EngineAnswer::Approved { id },
        ReplyKind::Denied => EngineAnswer::Denied {
            id,
            rule,
            reason: String::new(),
            until_us: 0,
        },
        ReplyKind::Waiting => EngineAnswer::Waiting {
            id,
            rule,
            approvers: Vec::new(),
            until_us: 0,
        },
        ReplyKind::AtCapacity => EngineAnswer::AtCapacity { of_grant: true },
        ReplyKind::Unavailable => EngineAnswer::Unavailable,
    }
}
