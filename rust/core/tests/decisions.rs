//! Runs every case of `tests/cases/decisions` through the engine. The tests of the protocols run the same files.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test helper that cannot go on fails its test"
)]

use std::path::{Path, PathBuf};

use callgate_core::engine::Policies;
use callgate_core::freeze::{Freeze, FreezeScope, FreezeSource};
use callgate_core::json;
use callgate_core::policy::{Catalogue, Format, Source, parse};
use callgate_core::{
    Args, Caller, Decision, Engine, EngineConfig, Now, Outcome, Pep, Request, Scratch, State,
};
use serde_json::{Value, json as object};

fn cases_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/cases")
}

/// The exact text of a member of a case, because the order of keys and the spelling of numbers must not change.
fn document<'d>(bytes: &'d [u8], case: json::Value<'d>, key: &str) -> &'d [u8] {
    case.get(key).map_or(&[], |value| &bytes[value.span()])
}

fn engine(case: &Value, policy: &[u8]) -> Engine {
    let source = Source {
        name: "<policy>",
        stem: "policy",
        format: Format::Json,
        bytes: policy,
    };
    let policy = parse(&source).unwrap_or_else(|error| panic!("{}: {error}", case["name"]));
    let state = State::build(Policies::EveryServer(policy), catalogue(case)).unwrap();
    let config = EngineConfig {
        counter_capacity: 4_096,
        counters_per_grant: 1_024,
        reservation_ttl_ms: 30_000,
        reservations: callgate_counters::ReservationLimits::in_all(64),
        hash_key: [7; 16],
    };
    let engine = Engine::new(state, config);
    engine.set_freezes(FreezeSource::Program, freezes(case));
    engine
}

/// The freezes of a case, whose ends are simulated seconds.
fn freezes(case: &Value) -> Vec<Freeze> {
    let freeze = |freeze: &Value| {
        let name = |field| freeze.get(field).map(text);
        let scope = FreezeScope::new(name("server"), name("tool"), name("grant")).unwrap();
        let until_us = freeze
            .get("until")
            .map(|until| until.as_u64().unwrap() * 1_000_000);
        Freeze::new(scope, text(&freeze["reason"]), until_us).unwrap()
    };
    let freezes = case.get("freezes").and_then(Value::as_array);
    freezes.into_iter().flatten().map(freeze).collect()
}

/// The short form in cases: tool to category, at the server that all cases call.
fn catalogue(case: &Value) -> Catalogue {
    let Some(tools) = case.get("catalogue").and_then(Value::as_object) else {
        return Catalogue::default();
    };
    let tools: serde_json::Map<String, Value> = tools
        .iter()
        .map(|(tool, category)| (tool.clone(), object!({ "category": category })))
        .collect();
    let document = object!({"version": "1", "servers": {"srv": {"tools": tools}}}).to_string();
    let source = Source {
        name: "<catalogue>",
        stem: "catalogue",
        format: Format::Json,
        bytes: document.as_bytes(),
    };
    Catalogue::parse(&source).unwrap()
}

/// Simulated seconds, rounded to the nearest microsecond: the files contain sums of binary fractions.
fn at(call: &Value) -> Now {
    let seconds: f64 = call["at"].to_string().parse().unwrap();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "times of cases are small and positive"
    )]
    let micros = (seconds * 1e6).round() as u64;
    Now::from_unix_us(micros)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("a string: {value}"))
}

/// Passes the request of one call to `see`.
fn with_request<R>(call: &Value, args_json: &[u8], see: impl FnOnce(&Request<'_>) -> R) -> R {
    let labels: Vec<(&str, &str)> = call
        .get("labels")
        .and_then(Value::as_object)
        .map(|labels| {
            labels
                .iter()
                .map(|(name, value)| (name.as_str(), text(value)))
                .collect()
        })
        .unwrap_or_default();
    see(&Request {
        caller: Caller::Named {
            grant: text(&call["grant"]),
            labels: &labels,
        },
        pep: Pep::UNNAMED,
        tool: text(&call["tool"]),
        server: call.get("server").map_or("srv", text),
        session: call.get("session").and_then(Value::as_str),
        args: Args::Json(args_json),
        reserve: None,
        pins: None,
        unseen_member: None,
    })
}

/// The decision in the words of the cases: only the expected fields, and always the shadow.
fn seen(decision: &Decision<'_>, expected: &Value) -> Value {
    let mut seen = object!({"outcome": decision.outcome.as_str(), "rule": decision.rule});
    if expected.get("message").is_some() {
        seen["message"] = object!(decision.message);
    }
    if expected.get("retry_after_ms").is_some() {
        seen["retry_after_ms"] = object!(decision.retry_after_ms);
    }
    if let Some(shadow) = &decision.shadow {
        seen["shadow"] = object!({"outcome": shadow.outcome.as_str(), "rule": shadow.rule});
    }
    seen
}

/// A decision without what the call itself changes in it: the units left after an admission.
fn before_the_call(mut decision: Decision<'static>) -> Decision<'static> {
    if decision.outcome == Outcome::Allow {
        for limit in &mut decision.limits {
            limit.remaining = callgate_counters::Micros(0);
            limit.reset_after_ms = 0;
        }
        decision.decided_at_us = 0;
    }
    decision
}

fn run(file: &str) {
    let path = cases_dir().join("decisions").join(file);
    let bytes = std::fs::read(path).unwrap();
    let cases: Value = serde_json::from_slice(&bytes).unwrap();
    let mut tape = json::Tape::new();
    let texts = tape.parse(&bytes, 100).unwrap();
    let mut calls = 0;
    let mut wrong = Vec::new();
    for (case, case_text) in cases.as_array().unwrap().iter().zip(texts.elements()) {
        if case["format"] != "callgate" {
            continue;
        }
        let engine = engine(case, document(&bytes, case_text, "policy"));
        let mut scratch = Scratch::default();
        let call_texts = case_text.get("calls").unwrap().elements();
        for (index, (call, call_text)) in case["calls"]
            .as_array()
            .unwrap()
            .iter()
            .zip(call_texts)
            .enumerate()
        {
            let snapshot = engine.snapshot();
            with_request(call, document(&bytes, call_text, "args"), |request| {
                let place = || format!("{} call {index} {call}", case["name"]);
                let explained = engine.explain(&snapshot, request, at(call), &mut scratch);
                let counters = engine.counters();
                let peeked = engine.peek(&snapshot, request, at(call), &mut scratch).decision;
                assert_eq!(engine.counters(), counters, "a peek made a counter: {}", place());
                let peeked = peeked.map(Decision::into_owned);
                let decision = engine.decide(&snapshot, request, at(call), &mut scratch);
                assert_eq!(
                    peeked.map(before_the_call),
                    Some(before_the_call(decision.clone().into_owned())),
                    "peeked: {}",
                    place()
                );
                let got = seen(&decision, &call["expect"]);
                if got != call["expect"] {
                    wrong.push(format!("{}\n   got {got} {}", place(), decision.message));
                }
                // An explanation takes nothing, and reaches the same decision.
                assert_eq!(
                    seen(&explained.decision, &call["expect"]),
                    got,
                    "explained: {}",
                    place()
                );
                assert_eq!(
                    decision.message.is_empty(),
                    got["outcome"] == "allow",
                    "{}",
                    place()
                );
            });
            calls += 1;
        }
    }
    assert!(calls > 0, "no cases in {file}");
    assert!(
        wrong.is_empty(),
        "{} wrong of {calls}:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

#[test]
fn at_max() {
    run("at_max.json");
}

#[test]
fn conditions() {
    run("conditions.json");
}

#[test]
fn freezes_of_operators() {
    run("freezes.json");
}

#[test]
fn limits() {
    run("limits.json");
}

#[test]
fn operators() {
    run("operators.json");
}

#[test]
fn order() {
    run("order.json");
}

#[test]
fn patterns() {
    run("patterns.json");
}

#[test]
fn seeds() {
    run("seeds.json");
}

#[test]
fn shadow() {
    run("shadow.json");
}

#[test]
fn no_file_is_left_out() {
    let mut files: Vec<String> = std::fs::read_dir(cases_dir().join("decisions"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| {
            std::path::Path::new(name)
                .extension()
                .is_some_and(|ending| ending == "json")
        })
        .collect();
    files.sort();
    let run = [
        "at_max",
        "conditions",
        "freezes",
        "limits",
        "operators",
        "order",
        "patterns",
        "seeds",
        "shadow",
    ];
    assert_eq!(files, run.map(|name| format!("{name}.json")));
}
