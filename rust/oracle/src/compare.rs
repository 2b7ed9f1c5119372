//! The comparison of the engine with the oracle.

mod waiting;

use callgate_core::approval::Decided;
use callgate_core::engine::{Policies, Snapshot};
use callgate_core::freeze::{Freeze, FreezeScope, FreezeSource};
use callgate_core::policy::{Catalogue, Format, Source, parse};
use callgate_core::{Args, Caller, Decision, Engine, EngineConfig, Now, Pep, Request, Scratch, State};

use crate::{Answer, Call, Case, Oracle, Verdict};
use waiting::WaitingCalls;

/// No arguments of a case are longer.
const MAX_ARGS_BYTES: usize = 1 << 20;

/// The examined answer of the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Method {
    /// Takes nothing, so the remaining units differ from those after a decision.
    Explain,
    Decide,
}

/// The result of a case on which both agree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Agreement {
    /// The engine refuses the policy, the catalogue or a freeze with this error.
    NotLoaded(String),
    /// The decisions, in the order in which they were made.
    Decisions(Vec<AgreedDecision>),
}

/// A decision on which both agree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgreedDecision {
    /// The decision.
    pub verdict: Verdict,
    /// The call has waited for an answer.
    pub has_waited: bool,
}

/// Runs every call of a case through both.
///
/// # Errors
///
/// The first call on which they differ, with both answers.
pub fn run(case: &Case) -> Result<Agreement, String> {
    let state = match state(case) {
        Ok(state) => state,
        Err(refused) => return Ok(Agreement::NotLoaded(refused)),
    };
    let engine = Engine::new(
        state,
        EngineConfig {
            counter_capacity: 4_096,
            counters_per_grant: 4_096,
            reservation_ttl_ms: 30_000,
            reservations: callgate_counters::ReservationLimits::in_all(64),
            hash_key: [7; 16],
        },
    );
    let freezes = match freezes(case) {
        Ok(freezes) => freezes,
        Err(refused) => return Ok(Agreement::NotLoaded(refused)),
    };
    engine.set_freezes(FreezeSource::Program, freezes.clone());
    let mut oracle = Oracle::new(&case.policy, &case.catalogue, &case.freezes)
        .map_err(|fault| format!("the oracle cannot read a policy that the engine loads: {fault}"))?;
    let snapshot = engine.snapshot();
    let mut waiting = WaitingCalls::new(&engine, &snapshot, freezes);
    let mut scratch = Scratch::default();
    let mut decisions = Vec::new();
    for (index, call) in case.calls.iter().enumerate() {
        let verdicts = oracle.verdicts(call);
        let ends = |difference| format!("call {index}: {call:?}\n{difference}");
        let asked = ask(&engine, &snapshot, call, &mut scratch, |explained, decided| {
            allowed(&verdicts, explained, Method::Explain)
                .map_err(|difference| format!("explain: {difference}"))?;
            match decided {
                Decided::Decision(decision) => allowed(&verdicts, &decision, Method::Decide)
                    .map(|verdict| Some(verdict.clone()))
                    .map_err(|difference| format!("decide: {difference}")),
                Decided::Asked(held) => waiting
                    .add(index, call, *held, &verdicts)
                    .map(|()| None)
                    .map_err(|difference| format!("ask: {difference}")),
            }
        });
        if let Some(verdict) = asked.map_err(ends)? {
            oracle.settle(call, &verdict);
            decisions.push(AgreedDecision {
                verdict,
                has_waited: false,
            });
        }
        let is_last = index + 1 == case.calls.len();
        let until = if is_last { usize::MAX } else { index };
        decisions.extend(waiting.settle(&mut oracle, until, call)?);
    }
    Ok(Agreement::Decisions(decisions))
}

/// The verdict that equals a decision.
fn allowed<'v>(
    verdicts: &'v [Verdict],
    decision: &Decision<'_>,
    method: Method,
) -> Result<&'v Verdict, String> {
    verdicts
        .iter()
        .find(|verdict| {
            agrees(verdict, decision) && (method == Method::Explain || limits_agree(verdict, decision))
        })
        .ok_or_else(|| format!("{decision:#?}\nallowed: {verdicts:#?}"))
}

fn state(case: &Case) -> Result<State, String> {
    let policy = parse(&document("<policy>", &case.policy)).map_err(|error| error.to_string())?;
    let catalogue =
        Catalogue::parse(&document("<catalogue>", &case.catalogue)).map_err(|error| error.to_string())?;
    State::build(Policies::EveryServer(policy), catalogue).map_err(|error| error.to_string())
}

fn freezes(case: &Case) -> Result<Vec<Freeze>, String> {
    let freeze = |freeze: &crate::Freeze| {
        let [server, tool, grant] = [&freeze.server, &freeze.tool, &freeze.grant].map(Option::as_deref);
        Freeze::new(FreezeScope::new(server, tool, grant)?, "stopped", freeze.until_us)
    };
    case.freezes.iter().map(freeze).collect()
}

fn document<'a>(name: &'a str, text: &'a str) -> Source<'a> {
    Source {
        name,
        stem: "policy",
        format: Format::Json,
        bytes: text.as_bytes(),
    }
}

/// Compares the engine's explanation, then its decision or its question.
fn ask<R>(
    engine: &Engine,
    snapshot: &Snapshot,
    call: &Call,
    scratch: &mut Scratch,
    see: impl FnOnce(&Decision<'_>, Decided<'_>) -> R,
) -> R {
    let labels: Vec<(&str, &str)> = call
        .labels
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    let request = Request {
        caller: Caller::new(&call.grant, "", &labels),
        pep: Pep::UNNAMED,
        tool: &call.tool,
        server: &call.server,
        session: Some(&call.session),
        args: Args::Json(call.args.as_bytes()),
        reserve: None,
        pins: None,
        unseen_member: None,
    };
    let now = now(call);
    let explained = engine.explain(snapshot, &request, now, scratch).decision;
    let decided = if call.reply.is_some() {
        engine.decide_or_ask(snapshot, &request, now, scratch, MAX_ARGS_BYTES, |_| ())
    } else {
        Decided::Decision(engine.decide(snapshot, &request, now, scratch))
    };
    see(&explained, decided)
}

const fn now(call: &Call) -> Now {
    Now {
        boot_ns: call.boot_ns,
        unix_offset_us: call.unix_offset_us,
    }
}

fn agrees(verdict: &Verdict, decision: &Decision<'_>) -> bool {
    let is = |answer: &Answer, outcome: callgate_core::Outcome, rule: &str| {
        answer.outcome == outcome.as_str() && answer.rule == rule
    };
    let shadow = match (&verdict.shadow, &decision.shadow) {
        (None, None) => true,
        (Some(answer), Some(shadow)) => is(answer, shadow.outcome, &shadow.rule),
        _ => false,
    };
    let retry = match (&verdict.retry_after_ms, decision.retry_after_ms) {
        (None, None) => true,
        (Some(bounds), Some(retry_after_ms)) => bounds.holds(&retry_after_ms),
        _ => false,
    };
    is(&verdict.answer, decision.outcome, &decision.rule) && shadow && retry
}

/// Compares the limits, which are reported if they were examined: on all but `deny`.
fn limits_agree(verdict: &Verdict, decision: &Decision<'_>) -> bool {
    if verdict.answer.outcome == "deny" {
        return true;
    }
    verdict.limits.iter().all(|wanted| {
        decision.limits.iter().any(|limit| {
            limit.rule == wanted.rule
                && i128::from(limit.max.0) == wanted.max
                && wanted.remaining.holds(&i128::from(limit.remaining.0))
                && wanted.over.holds(&i128::from(limit.over.0))
        })
    })
}
