//! `make bench-core`: the cost of a decision, compared with the least possible cost.
//!
//! One thread, one histogram per subject, rounds interleaved so that a change of the machine's speed affects all of
//! them. The floor is the work that no decision point can avoid: scan the arguments once, hit two counters, look up one
//! name. Each call is timed by itself, because criterion gives no p99; the measured cost of reading the clock is
//! subtracted.

#![expect(clippy::expect_used, reason = "a bench that cannot be set up stops")]
#![expect(clippy::panic, reason = "likewise")]

#[path = "../../counters/benches/common/mod.rs"]
mod common;

use std::hint::black_box;
use std::time::Instant;

use callgate_core::engine::Policies;
use callgate_core::json::{Tape, Value};
use callgate_core::policy::{Catalogue, Format, Source, parse};
use callgate_core::{Args, Caller, Engine, EngineConfig, Now, Outcome, Pep, Request, Scratch, State};
use callgate_counters::{CountKey, CountShape, Counters, Demand, Micros, Window};
use common::Options;
use hashbrown::HashMap;
use hdrhistogram::Histogram;

const GRANTS: usize = 10_000;
const ROUNDS: usize = 20;
const CALLS_PER_ROUND: usize = 20_000;
/// Simulated time between calls: every grant calls once in three seconds, so nothing is refused.
const STEP_US: u64 = 300;
const FLOOR: &str = "floor: scan + two counters + look-up";
const SCAN: &str = "  of it: the scan";

fn policy(tools: usize) -> String {
    let entries: Vec<String> = (0..tools)
        .map(|n| {
            format!(
                r#""tool_{n}": {{
                    "require": [{{"conditions": [{{"path": "args.region", "op": "in", "value": ["eu-west-1", "eu-central-1"]}}]}}],
                    "deny_if": [{{"conditions": [{{"path": "args.instance.count", "op": "gt", "value": 50}}]}}],
                    "limits": [
                        {{"counter": "tool_{n}_minute", "window": "minute", "max": 30, "scope": "grant"}},
                        {{"counter": "tool_{n}_day", "window": "day", "max": 100000, "scope": "grant"}}
                    ]
                }}"#
            )
        })
        .collect();
    format!(
        r#"{{"version": "1", "default": "deny", "tools": {{{}}}}}"#,
        entries.join(",")
    )
}

/// An argument object of 310 bytes.
fn arguments() -> Vec<u8> {
    let head = r#"{"name": "nightly-image", "region": "eu-west-1", "instance": {"id": "i-0abc123def4567890", "type": "m7i.large", "count": 3}, "tags": [{"key": "team", "value": "platform"}, {"key": "cost", "value": "4711"}], "no_reboot": true, "timeout_s": 900.5, "note": ""#;
    let tail = r#""}"#;
    let filler = "x".repeat(310 - head.len() - tail.len());
    format!("{head}{filler}{tail}").into_bytes()
}

fn engine(tools: usize) -> Engine {
    let text = policy(tools);
    let source = Source {
        name: "bench",
        stem: "bench",
        format: Format::Json,
        bytes: text.as_bytes(),
    };
    let policy = parse(&source).expect("the policy is valid");
    let state =
        State::build(Policies::EveryServer(policy), Catalogue::default()).expect("the policy compiles");
    let config = EngineConfig {
        counter_capacity: 1_000_000,
        counters_per_grant: 10_000,
        reservation_ttl_ms: 30_000,
        reservations: callgate_counters::ReservationLimits::in_all(10_000),
        hash_key: [9; 16],
    };
    Engine::new(state, config)
}

struct Subject {
    name: String,
    histogram: Histogram<u64>,
    call: Box<dyn FnMut(usize, Now)>,
}

/// Times decisions under a policy of `tools` tools, of which `asked` are called. A low `asked` separates the effect of
/// a larger policy from that of more memory in use.
fn decide_subject(
    tools: usize,
    asked: usize,
    grants: &'static [String],
    names: &'static [String],
    args: &'static [u8],
) -> Subject {
    let engine = engine(tools);
    let mut scratch = Scratch::default();
    let call = move |grant: usize, now: Now| {
        let request = Request {
            caller: Caller::named(&grants[grant]),
            pep: Pep::UNNAMED,
            tool: &names[grant % asked * (tools / asked)],
            server: "srv",
            session: None,
            args: Args::Json(args),
            reserve: None,
            pins: None,
            unseen_member: None,
        };
        let state = engine.snapshot();
        let decision = engine.decide(&state, &request, now, &mut scratch);
        assert_eq!(decision.outcome, Outcome::Allow, "{decision:?}");
        black_box(&decision);
    };
    Subject {
        name: decide_name(tools, asked),
        histogram: histogram(),
        call: Box::new(call),
    }
}

fn floor_subject(names: &'static [String], args: &'static [u8]) -> Subject {
    let counters = Counters::new(1_000_000, 1_000_000, &[9; 16]);
    let tools: HashMap<String, usize> = names
        .iter()
        .take(800)
        .cloned()
        .enumerate()
        .map(|(n, name)| (name, n))
        .collect();
    let mut tape = Tape::new();
    let shape = |window_us, max| CountShape {
        window: Window::Sliding { window_us },
        max: Micros(max * Micros::ONE.0),
        whole_units: true,
        sharing: callgate_counters::Sharing::Local,
    };
    let (minute, day) = (shape(60_000_000, 30), shape(86_400_000_000, 100_000));
    let call = move |grant: usize, now: Now| {
        let scanned = tape.parse(args, 64).map(Value::len);
        assert_eq!(scanned, Ok(7));
        assert!(tools.contains_key(&names[grant % 800]));
        // Well-mixed identities, like those of a hash.
        let key = (grant as u128 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835);
        for (n, shape) in [(0, minute), (1, day)] {
            let mut demand = [Demand::new(CountKey(key ^ n), shape, Micros::ONE)];
            assert!(counters.take(&mut demand, "g", now).is_ok());
            black_box(&demand);
        }
    };
    Subject {
        name: FLOOR.to_owned(),
        histogram: histogram(),
        call: Box::new(call),
    }
}

fn scan_subject(args: &'static [u8]) -> Subject {
    let mut tape = Tape::new();
    let call = move |_: usize, _: Now| {
        assert_eq!(black_box(tape.parse(args, 64)).map(Value::len), Ok(7));
    };
    Subject {
        name: SCAN.to_owned(),
        histogram: histogram(),
        call: Box::new(call),
    }
}

/// The subjects whose name contains `only`; the others are not even set up, so a profile shows calls alone.
fn subjects(
    only: &str,
    grants: &'static [String],
    names: &'static [String],
    args: &'static [u8],
) -> Vec<Subject> {
    let mut subjects = Vec::new();
    if FLOOR.contains(only) {
        subjects.push(floor_subject(names, args));
    }
    if SCAN.contains(only) {
        subjects.push(scan_subject(args));
    }
    for (tools, asked) in [(8, 8), (800, 8), (8_000, 8), (800, 800), (8_000, 8_000)] {
        if decide_name(tools, asked).contains(only) {
            subjects.push(decide_subject(tools, asked, grants, names, args));
        }
    }
    subjects
}

fn decide_name(tools: usize, asked: usize) -> String {
    format!("decide, {tools} tools, {asked} of them asked")
}

fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 1_000_000_000, 3).expect("the bounds are valid")
}

/// Nanoseconds of a pair of clock readings, the median of many.
fn clock_ns() -> u64 {
    let mut histogram = histogram();
    for _ in 0..100_000 {
        let start = Instant::now();
        let elapsed = black_box(start).elapsed();
        histogram.saturating_record(nanoseconds(elapsed));
    }
    histogram.value_at_quantile(0.5)
}

fn nanoseconds(elapsed: std::time::Duration) -> u64 {
    u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX)
}

#[expect(clippy::print_stdout, reason = "a bench prints its table")]
#[expect(clippy::cast_precision_loss, reason = "ratios of nanoseconds")]
fn main() {
    let options = Options::read();
    let rounds = if options.quick { 1 } else { ROUNDS };
    let args: &'static [u8] = arguments().leak();
    assert_eq!(args.len(), 310);
    let grants: &'static [String] = (0..GRANTS)
        .map(|n| format!("grant-{n:05}"))
        .collect::<Vec<_>>()
        .leak();
    let names: &'static [String] = (0..8_000).map(|n| format!("tool_{n}")).collect::<Vec<_>>().leak();
    let mut subjects = subjects(&options.only, grants, names, args);

    let clock_ns = clock_ns();
    let mut order: Vec<usize> = (0..GRANTS).collect();
    let mut random = 0x2545_F491_4F6C_DD1D_u64;
    let mut time_us = 1_000_000_000_000_000_u64;
    for round in 0..=rounds {
        // A new random order of grants in each round, the same for every subject, so that counters are not cached by
        // habit.
        for place in (1..order.len()).rev() {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            order.swap(place, usize::try_from(random % (place as u64 + 1)).unwrap_or(0));
        }
        for subject in &mut subjects {
            for call in 0..CALLS_PER_ROUND {
                let now = Now::from_unix_us(time_us + call as u64 * STEP_US);
                let grant = order[call % GRANTS];
                let start = Instant::now();
                (subject.call)(grant, now);
                let elapsed = nanoseconds(start.elapsed()).saturating_sub(clock_ns).max(1);
                // The first round creates the counters and warms the caches.
                if round > 0 {
                    subject.histogram.saturating_record(elapsed);
                }
            }
        }
        time_us += CALLS_PER_ROUND as u64 * STEP_US;
    }

    println!(
        "{} calls each, one thread, 310-byte arguments, {GRANTS} grants, two conditions, two limits; ns, less {clock_ns} for the clock",
        rounds * CALLS_PER_ROUND
    );
    println!(
        "{:<40} {:>8} {:>8} {:>8} {:>8} {:>9} {:>9}",
        "", "p50", "p90", "p99", "p99.9", "p50/floor", "p99/floor"
    );
    let floor = [0.5, 0.99].map(|q| subjects[0].histogram.value_at_quantile(q) as f64);
    let mut rows = Vec::new();
    for subject in &subjects {
        let at = |q| subject.histogram.value_at_quantile(q);
        println!(
            "{:<40} {:>8} {:>8} {:>8} {:>8} {:>9.2} {:>9.2}",
            subject.name,
            at(0.5),
            at(0.9),
            at(0.99),
            at(0.999),
            at(0.5) as f64 / floor[0],
            at(0.99) as f64 / floor[1],
        );
        let percentiles = [
            ("p50_ns", 0.5),
            ("p90_ns", 0.9),
            ("p99_ns", 0.99),
            ("p99.9_ns", 0.999),
        ];
        rows.push((
            subject.name.clone(),
            percentiles.map(|(name, q)| (name, at(q) as f64)).to_vec(),
        ));
    }
    options.write(&rows);
}
