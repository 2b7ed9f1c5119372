//! Checks that a replay of a log comes to what the engine decides about the calls themselves.

use std::ops::ControlFlow;

use callgate_core::engine::{Policies, Seen};
use callgate_core::json::ValueWriter;
use callgate_core::policy::{Catalogue, Format, Source, ast, parse};
use callgate_core::replay::{Judgement, Replay, ReplaySetup, Replayed, Unknown};
use callgate_core::{Args, Caller, Engine, EngineConfig, Now, Outcome, Pep, Request, Scratch, State};
use callgate_oracle::{Call, Case, generate};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

/// Paths that a policy may log, beside those of all arguments.
const PATHS: [&str; 12] = [
    "args.a",
    "args.b",
    "args.list",
    "args.obj",
    "args.obj.a",
    "args.list[0]",
    "args[\"a.b\"]",
    "args.url",
    "args.list[*]",
    "args.list[*].a",
    "args.obj.list[*]",
    "args.A",
];
const LABELS: [&str; 2] = ["team", "a.b"];

/// The number of cases per property; `PROPTEST_CASES` overrides it.
fn cases() -> u32 {
    let asked = std::env::var("PROPTEST_CASES").ok();
    asked.and_then(|asked| asked.parse().ok()).unwrap_or(1_000)
}

/// What the log keeps beside names and keys.
struct Kept {
    paths: Vec<&'static str>,
    labels: Vec<&'static str>,
}

impl Kept {
    fn everything() -> Self {
        Self {
            paths: vec!["args"],
            labels: LABELS.to_vec(),
        }
    }

    /// A choice for each bit.
    fn of(bits: u16) -> Self {
        let chosen = |index: usize| bits >> index & 1 == 1;
        let pick = |list: &[&'static str], from: usize| {
            let all = list.iter().enumerate();
            all.filter(|(index, _)| chosen(from + index))
                .map(|(_, one)| *one)
                .collect()
        };
        Self {
            paths: pick(&PATHS, 0),
            labels: pick(&LABELS, PATHS.len()),
        }
    }

    fn policy(&self) -> String {
        let mut text = String::new();
        ValueWriter::new(&mut text).object(|policy| {
            policy.field("version").text("1");
            policy.field("default").text("allow");
            policy.field("log_args").texts(self.paths.iter().copied());
            policy.field("log_labels").texts(self.labels.iter().copied());
        });
        text
    }
}

fn policy(text: &str) -> Option<ast::Policy> {
    parse(&source("<policy>", text)).ok()
}

fn source<'a>(name: &'a str, text: &'a str) -> Source<'a> {
    Source {
        name,
        stem: "policy",
        format: Format::Json,
        bytes: text.as_bytes(),
    }
}

fn catalogue(case: &Case) -> Option<Catalogue> {
    Catalogue::parse(&source("<catalogue>", &case.catalogue)).ok()
}

fn engine(policy: ast::Policy, catalogue: Catalogue) -> Option<Engine> {
    let config = EngineConfig {
        counter_capacity: 4_096,
        counters_per_grant: 4_096,
        reservation_ttl_ms: 30_000,
        reservations: callgate_counters::ReservationLimits::in_all(64),
        hash_key: [7; 16],
    };
    let state = State::build(Policies::EveryServer(policy), catalogue).ok()?;
    Some(Engine::new(state, config))
}

fn with_request<R>(call: &Call, use_it: impl FnOnce(&Request<'_>) -> R) -> R {
    let labels: Vec<(&str, &str)> = call
        .labels
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    use_it(&Request {
        caller: Caller::new(&call.grant, "", &labels),
        pep: Pep::UNNAMED,
        tool: &call.tool,
        server: &call.server,
        session: Some(&call.session),
        args: Args::Json(call.args.as_bytes()),
        reserve: None,
        pins: None,
        unseen_member: None,
    })
}

/// The line of a call that an engine with the policy of [`Kept::policy`] allows; `None` for a malformed call.
fn line(logging: &Engine, call: &Call, now: Now) -> Option<String> {
    let mut text = String::new();
    let mut is_seen = false;
    let snapshot = logging.snapshot();
    ValueWriter::new(&mut text).object(|line| {
        line.field("decided_at_us").integer(now.unix_us());
        line.field("protocol").text("grpc");
        line.field("server").text(&call.server);
        line.field("grant").text(&call.grant);
        line.field("session").text(&call.session);
        line.field("tool").text(&call.tool);
        line.field("outcome").text("allow");
        line.field("rule").text("");
        line.field("policy").text("policy");
        let see = |seen: Seen<'_>| {
            is_seen = true;
            line.field("args_keys").texts(seen.keys());
            line.field("args").object(|args| {
                for path in seen.logged() {
                    let mut values = Vec::new();
                    seen.each_value(path, |value| {
                        values.push(value.raw());
                        ControlFlow::Continue(())
                    });
                    match (values.as_slice(), path.is_many()) {
                        ([], _) => {}
                        (values, true) => args.member(path.text()).list(|list| {
                            for value in values {
                                list.element().json(value);
                            }
                        }),
                        (values, false) => args.member(path.text()).json(values[0]),
                    }
                }
            });
            let Some(labels) = seen.labels() else { return };
            match labels.digest() {
                None => line.field("labels_digest").null(),
                Some(bits) => line.field("labels_digest").plain(format_args!("{bits:016x}")),
            }
            line.field("labels").object(|members| {
                for (name, value) in labels.logged() {
                    match value {
                        None => members.member(name).null(),
                        Some(value) => members.member(name).text(value),
                    }
                }
            });
        };
        with_request(call, |request| {
            logging.decide_seen(&snapshot, request, now, &mut Scratch::default(), see)
        });
    });
    is_seen.then_some(text)
}

/// A call of a case: the engine's decision, and what a replay makes of its line.
struct ReplayedCall {
    line: String,
    decided: (Outcome, String),
    replayed: Replayed,
}

impl ReplayedCall {
    fn judgement(&self) -> Option<&Judgement> {
        match &self.replayed {
            Replayed::Decided(judgement) => Some(judgement),
            Replayed::Skipped(_) | Replayed::Malformed(_) => None,
        }
    }
}

/// Each well-formed call of a case; `None` if the case does not load.
fn replayed(case: &Case, kept: &Kept) -> Option<Vec<ReplayedCall>> {
    let deciding = engine(policy(&case.policy)?, catalogue(case)?)?;
    let logging = engine(policy(&kept.policy())?, Catalogue::default())?;
    let setup = ReplaySetup {
        hash_key: [3; 16],
        ..ReplaySetup::default()
    };
    let mut replay = Replay::new(policy(&case.policy)?, catalogue(case)?, setup).ok()?;
    let snapshot = deciding.snapshot();
    let mut calls: Vec<&Call> = case.calls.iter().collect();
    calls.sort_by_key(|call| call.boot_ns);
    let mut results = Vec::new();
    for call in calls {
        let now = Now::from_unix_us(call.boot_ns / 1_000);
        let Some(line) = line(&logging, call, now) else {
            continue;
        };
        let decided = with_request(call, |request| {
            deciding
                .decide(&snapshot, request, now, &mut Scratch::default())
                .into_owned()
        });
        results.push(ReplayedCall {
            replayed: replay.decide(line.as_bytes()),
            decided: (decided.outcome, decided.rule.to_string()),
            line,
        });
    }
    Some(results)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), max_shrink_iters: 20_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_log_of_everything_is_decided_as_the_calls(bytes in vec(any::<u8>(), 0..1_200)) {
        let case = generate::case(&bytes);
        for call in replayed(&case, &Kept::everything()).into_iter().flatten() {
            let answers = call.judgement().map(|judgement| judgement.new.as_slice());
            let decided = std::slice::from_ref(&call.decided);
            prop_assert_eq!(answers, Some(decided), "{}\n{}", call.line, case.to_json());
        }
    }

    #[test]
    fn a_log_of_parts_never_says_what_is_not_so(bytes in vec(any::<u8>(), 0..1_200), bits in any::<u16>()) {
        let case = generate::case(&bytes);
        for call in replayed(&case, &Kept::of(bits)).into_iter().flatten() {
            let is_among = call.judgement().is_some_and(|judgement| {
                judgement.new.contains(&call.decided) && (judgement.change.is_some() || !judgement.reasons.is_empty())
            });
            prop_assert!(is_among, "{:?} {:?}\n{}\n{}", call.decided, call.replayed, call.line, case.to_json());
        }
    }
}

/// Without this test, the properties above would also hold for logs of which nothing is judged, or everything.
#[test]
fn logs_of_parts_are_judged_in_part() {
    let mut runner = TestRunner::deterministic();
    let (mut judged, mut unknown, mut by_counts) = (0, 0, 0);
    for bits in 0..300_u16 {
        let bytes = vec(any::<u8>(), 300..1_200)
            .new_tree(&mut runner)
            .unwrap()
            .current();
        let kept = Kept::of(bits.wrapping_mul(2_557));
        let calls = replayed(&generate::case(&bytes), &kept).unwrap_or_default();
        for judgement in calls.iter().filter_map(ReplayedCall::judgement) {
            judged += usize::from(judgement.change.is_some());
            unknown += usize::from(judgement.change.is_none());
            let is_of_counts = |reason: &Unknown| matches!(reason, Unknown::Counts(_));
            by_counts += usize::from(judgement.reasons.iter().any(is_of_counts));
        }
    }
    assert!(
        judged > 500 && unknown > 200 && by_counts > 20,
        "{judged} judged, {unknown} not, {by_counts} by counts"
    );
}
