//! The comparison of the engine with the oracle.

use callgate_core::engine::Policies;
use callgate_core::freeze::{Freeze, FreezeScope, FreezeSource};
use callgate_core::policy::{Catalogue, Format, Source, parse};
use callgate_core::{Args, Caller, Decision, Engine, EngineConfig, Now, Pep, Request, Scratch, State};

use crate::{Answer, Call, Case, Oracle, Verdict};

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
    /// The answer to each call.
    Answers(Vec<Answer>),
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
    match freezes(case) {
        Ok(freezes) => engine.set_freezes(FreezeSource::Program, freezes),
        Err(refused) => return Ok(Agreement::NotLoaded(refused)),
    }
    let mut oracle = Oracle::new(&case.policy, &case.catalogue, &case.freezes)
        .map_err(|fault| format!("the oracle cannot read a policy that the engine loads: {fault}"))?;
    let mut scratch = Scratch::default();
    let mut answers = Vec::new();
    for (index, call) in case.calls.iter().enumerate() {
        let verdicts = oracle.verdicts(call);
        let agreed = ask(&engine, call, &mut scratch, |explained, decision| {
            allowed(&verdicts, explained, Method::Explain)
                .map_err(|difference| format!("call {index}: {call:?}\nexplain: {difference}"))?;
            allowed(&verdicts, decision, Method::Decide)
                .map_err(|difference| format!("call {index}: {call:?}\ndecide: {difference}"))
        })?;
        oracle.settle(call, agreed);
        answers.push(agreed.answer.clone());
    }
    Ok(Agreement::Answers(answers))
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

/// Compares the engine's explanation, then its decision.
fn ask<R>(
    engine: &Engine,
    call: &Call,
    scratch: &mut Scratch,
    see: impl FnOnce(&Decision<'_>, &Decision<'_>) -> R,
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
    let now = Now {
        boot_ns: call.boot_ns,
        unix_offset_us: call.unix_offset_us,
    };
    let snapshot = engine.snapshot();
    let explained = engine.explain(&snapshot, &request, now, scratch).decision;
    let decision = engine.decide(&snapshot, &request, now, scratch);
    see(&explained, &decision)
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

/// Compares the limits, which are reported if they were examined: on `allow` and on `rate_limited`.
fn limits_agree(verdict: &Verdict, decision: &Decision<'_>) -> bool {
    if !matches!(verdict.answer.outcome, "allow" | "rate_limited") {
        return true;
    }
    verdict.limits.iter().all(|wanted| {
        decision.limits.iter().any(|limit| {
            limit.rule == wanted.rule
                && i128::from(limit.max.0) == wanted.max
                && wanted.remaining.holds(&i128::from(limit.remaining.0))
        })
    })
}
