//! `make bench-proxies`, its last part: the cost of Envoy's services without a network.
//!
//! One thread. Rounds take turns. A round is the mean of some calls, so short that most rounds end before anything
//! interrupts them; the printed values are percentiles of rounds. The floor of external authorization is one scan of
//! the body.
//!
//! A decoded message exists when its decision or answer begins. The decision ends when it is known whether the call may
//! go on; the answer ends when it is in Envoy's form and the message is released.

#![expect(clippy::expect_used, reason = "a bench that cannot be set up stops")]
#![expect(clippy::panic, reason = "likewise")]

use std::fs;
use std::hint::black_box;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use callgate_core::engine::{Policies, Setup};
use callgate_core::json::Tape;
use callgate_core::policy::{Catalogue, Format, Source, parse};
use callgate_core::request::MAX_ARGS_DEPTH;
use callgate_core::{Engine, EngineConfig, Outcome, State, rate};

use callgate_proto::pb::envoy::service::auth::v3::check_response::HttpResponse;
use callgate_proto::pb::envoy::service::auth::v3::{CheckRequest, CheckResponse};
use callgate_proto::pb::envoy::service::ratelimit::v3::rate_limit_response::Code;
use callgate_proto::pb::envoy::service::ratelimit::v3::{RateLimitRequest, RateLimitResponse};
use callgate_server::{Clock, IdentitySource, ProxyConfig, ServerSource, SystemClock, bench};
use prost::Message;
use serde_json::json;
use tonic::Status;

/// The allocator of `callgate serve`.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const ROUNDS: usize = 2_000;
/// Messages of one round, made before it is timed. So few that they stay in the cache, like a message that has just
/// arrived.
const CALLS: u32 = 32;
/// The name of the subject that all others are compared with.
const FLOOR: &str = "scan of the body";

/// A measured operation.
struct Subject {
    name: &'static str,
    /// Runs the calls of one round; returns the time that they took.
    round: Box<dyn FnMut() -> Duration>,
    /// Nanoseconds per call, by round.
    ns: Vec<f64>,
}

impl Subject {
    fn new(name: &'static str, round: impl FnMut() -> Duration + 'static) -> Self {
        Self {
            name,
            round: Box::new(round),
            ns: Vec::new(),
        }
    }

    /// Times `work` on decoded messages, which it consumes.
    fn taking<M: Message + Clone + 'static>(
        name: &'static str,
        message: M,
        mut work: impl FnMut(M) + 'static,
    ) -> Self {
        Self::new(name, move || {
            let messages = copies(&message);
            timed(|| messages.into_iter().for_each(&mut work))
        })
    }

    /// Times `work` on decoded messages, which it borrows.
    fn looking<M: Message + Clone + 'static>(
        name: &'static str,
        message: M,
        mut work: impl FnMut(&M) + 'static,
    ) -> Self {
        Self::new(name, move || {
            let messages = copies(&message);
            timed(|| messages.iter().for_each(&mut work))
        })
    }
}

fn percentile(values: impl Iterator<Item = f64>, percent: usize) -> f64 {
    let mut sorted: Vec<f64> = values.collect();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() * percent / 100]
}

/// Makes the messages of one round.
fn copies<M: Clone>(message: &M) -> Vec<M> {
    (0..CALLS).map(|_| message.clone()).collect()
}

fn main() {
    let options = Options::read();
    let mut subjects = of_authorization(&options);
    subjects.extend(of_rate_limits(&options));
    subjects.retain(|subject| subject.name.contains(&options.only));
    let rounds = if options.quick { 2 } else { ROUNDS };
    // The first round warms up.
    for round in 0..=rounds {
        for subject in &mut subjects {
            let took = (subject.round)() / CALLS;
            if round > 0 {
                subject.ns.push(took.as_secs_f64() * 1e9);
            }
        }
    }
    options.tell(&subjects);
}

/// The subjects of authorization: a scan of the body; from a message to the decision, and to the answer; from a
/// message's bytes to those of the answer.
fn of_authorization(options: &Options) -> Vec<Subject> {
    let bytes = fs::read(&options.check).expect("the message can be read");
    let message = CheckRequest::decode(bytes.as_slice()).expect("the file is a `CheckRequest`");
    let body = body_of(&message).to_vec();
    let (engine, clock, proxies) = of_policy();
    let outcome = bench::outcomes(engine, clock, proxies);
    let (engine, clock, proxies) = of_policy();
    let service = bench::authorization(engine, clock, proxies);
    let service = Arc::new(service);
    let for_all = Arc::clone(&service);
    // Both are asked before anything is timed, and held to it at every call.
    allowed(&outcome(&message));
    black_box(check(&*service, message.clone()));
    let mut tape = Tape::new();
    vec![
        Subject::new(FLOOR, move || {
            timed(|| {
                for _ in 0..CALLS {
                    black_box(tape.parse(&body, MAX_ARGS_DEPTH).expect("it is JSON"));
                }
            })
        }),
        Subject::looking("message to decision", message.clone(), move |message| {
            allowed(black_box(&outcome(message)));
        }),
        Subject::taking("message to answer", message, move |message| {
            black_box(check(&*service, message));
        }),
        Subject::new("bytes to bytes", move || {
            timed(|| {
                for _ in 0..CALLS {
                    let message = CheckRequest::decode(bytes.as_slice()).expect("it is one");
                    black_box(check(&*for_all, message).encode_to_vec());
                }
            })
        }),
    ]
}

/// The subjects of rate limiting: from a message to the answer; from a message's bytes to those of the answer.
fn of_rate_limits(options: &Options) -> Vec<Subject> {
    let bytes = fs::read(&options.rate_limit).expect("the message can be read");
    let message = RateLimitRequest::decode(bytes.as_slice()).expect("the file is a `RateLimitRequest`");
    let service = Arc::new(rate_limits());
    let for_all = Arc::clone(&service);
    vec![
        Subject::taking("rate limit, message to answer", message, move |message| {
            black_box(limit(&*service, message));
        }),
        Subject::new("rate limit, bytes to bytes", move || {
            timed(|| {
                for _ in 0..CALLS {
                    let message = RateLimitRequest::decode(bytes.as_slice()).expect("it is one");
                    black_box(limit(&*for_all, message).encode_to_vec());
                }
            })
        }),
    ]
}

/// Times some work. Never inlined, so that a tool that counts instructions can be limited to this function.
#[inline(never)]
fn timed(work: impl FnOnce()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}

fn body_of(message: &CheckRequest) -> &[u8] {
    let request = message.attributes.as_ref().and_then(|a| a.request.as_ref());
    let http = request.and_then(|request| request.http.as_ref());
    &http.expect("the message is about an HTTP request").raw_body
}

/// Requires the decision to allow the call.
fn allowed(outcome: &Result<Outcome, Status>) {
    assert!(matches!(outcome, Ok(Outcome::Allow)), "{outcome:?}");
}

/// Checks one call, which must be allowed.
fn check(
    service: &impl Fn(CheckRequest) -> Result<CheckResponse, Status>,
    message: CheckRequest,
) -> CheckResponse {
    let response = service(message).expect("whatever is asked, it is answered");
    assert!(
        matches!(response.http_response, Some(HttpResponse::OkResponse(_))),
        "{response:?}"
    );
    response
}

/// Checks one request, which must be within its limit.
fn limit(
    service: &impl Fn(RateLimitRequest) -> Result<RateLimitResponse, Status>,
    message: RateLimitRequest,
) -> RateLimitResponse {
    let response = service(message).expect("whatever is asked, it is answered");
    assert_eq!(response.overall_code(), Code::Ok, "{response:?}");
    response
}

/// Makes the engine and the configuration of the other parts of `make bench-proxies`.
fn of_policy() -> (Arc<Engine>, Clock, ProxyConfig) {
    let policy = parse(&source(
        "policy.json",
        Format::Json,
        include_bytes!("../../../bench/proxy/settings/policy.json"),
    ))
    .expect("the policy is valid");
    let state =
        State::build(Policies::EveryServer(policy), Catalogue::default()).expect("the policy compiles");
    let proxies = ProxyConfig {
        identity: vec![IdentitySource::Header("x-agent".to_owned())],
        server: vec![ServerSource::Path],
        paths: vec!["/mcp/{server}".parse().expect("the template is valid")],
        ..ProxyConfig::default()
    };
    (engine(state), Clock::System(SystemClock::default()), proxies)
}

/// Makes the service with the limit of the other parts, which is never reached.
fn rate_limits() -> impl Fn(RateLimitRequest) -> Result<RateLimitResponse, Status> {
    let domain = rate::parse(&source(
        "limits.yaml",
        Format::Yaml,
        include_bytes!("../../../bench/proxy/settings/limits.yaml"),
    ))
    .expect("the file is valid");
    let setup = Setup {
        rate_limits: vec![domain],
        ..Setup::default()
    };
    let state = State::configure(setup, Catalogue::default()).expect("the domain compiles");
    let clock = Clock::System(SystemClock::default());
    bench::rate_limits(engine(state), clock)
}

const fn source(name: &'static str, format: Format, bytes: &'static [u8]) -> Source<'static> {
    Source {
        name,
        stem: "bench",
        format,
        bytes,
    }
}

fn engine(state: State) -> Arc<Engine> {
    let config = EngineConfig {
        counter_capacity: 1_000,
        counters_per_grant: 1_000,
        reservation_ttl_ms: 30_000,
        reservations: callgate_counters::ReservationLimits::in_all(1_000),
        hash_key: [9; 16],
    };
    Arc::new(Engine::new(state, config))
}

struct Options {
    /// Runs few and short rounds: shows that the bench works, and measures nothing.
    quick: bool,
    /// Runs only the subjects whose name contains this text, for a profile.
    only: String,
    /// A file with one `CheckRequest`.
    check: PathBuf,
    /// A file with one `RateLimitRequest`.
    rate_limit: PathBuf,
    /// The file for the results as JSON, besides the table.
    json: Option<PathBuf>,
}

impl Options {
    /// Reads the command line; cargo itself adds `--bench`.
    fn read() -> Self {
        let (mut quick, mut only) = (false, String::new());
        let (mut check, mut rate_limit, mut json) = (None, None, None);
        let mut words = std::env::args().skip(1);
        while let Some(word) = words.next() {
            let mut value = || words.next().expect("every option but `--quick` has a value");
            match word.as_str() {
                "--bench" => {}
                "--quick" => quick = true,
                "--only" => only = value(),
                "--check" => check = Some(value()),
                "--rate-limit" => rate_limit = Some(value()),
                "--json" => json = Some(value()),
                other => panic!(
                    "expected `--check FILE`, `--rate-limit FILE`, `--json FILE`, `--only PART` or `--quick`, got `{other}`"
                ),
            }
        }
        let file = |path: Option<String>| {
            path.expect("`--check` and `--rate-limit` say what is asked")
                .into()
        };
        Self {
            quick,
            only,
            check: file(check),
            rate_limit: file(rate_limit),
            json: json.map(Into::into),
        }
    }

    #[expect(clippy::print_stdout, reason = "a bench prints its table")]
    fn tell(&self, subjects: &[Subject]) {
        let mut rows = Vec::new();
        let floor = subjects.iter().find(|subject| subject.name == FLOOR);
        for Subject { name, ns, .. } in subjects {
            let [p10, p50, p90] = [10, 50, 90].map(|percent| percentile(ns.iter().copied(), percent));
            // The ratio of neighbouring rounds, since other load of the machine affects both.
            let of_floor = floor.map(|floor| {
                let ratios = ns.iter().zip(&floor.ns).map(|(ns, floor)| ns / floor);
                percentile(ratios, 50)
            });
            let beside = of_floor.map_or_else(String::new, |ratio| format!(", {ratio:.2} scans"));
            println!("{name:<32} {p50:>8.0} ns (p10 {p10:.0}, p90 {p90:.0}){beside}");
            rows.push(
                json!({"name": name, "p10_ns": p10, "p50_ns": p50, "p90_ns": p90, "of_scan": of_floor}),
            );
        }
        if let Some(path) = &self.json {
            fs::write(path, format!("{}\n", json!({ "rows": rows }))).expect("the results can be written");
        }
    }
}
