//! Candidates behind a gate.

use callgate_core::engine::{FORCED_PANIC_TOOL, Setup};
use callgate_core::grant::{GrantSpec, Token, TokenKey};
use callgate_core::policy::{Catalogue, Format, Source, ast, parse};
use callgate_core::{Args, Caller, Outcome, Pep, PepId, Request, ReservationId, State};

use super::{CandidateChange, CandidateReport};
use crate::clock::ManualClock;
use crate::gate::Gate;
use crate::metrics::CandidateCount;
use crate::testing;

const START_US: u64 = 1_700_000_000_000_000;

/// The policy that decides.
const LIVE: &str = r#"{
    "version": "1", "name": "p", "default": "deny",
    "tools": {
        "t": {"limits": [{"counter": "c", "window": "minute", "max": 3}]},
        "u": {},
        "asks": {"action": "require_approval"},
        "callgate-test-forced-panic": {}
    }
}"#;

/// Its candidate.
const NEXT: &str = r#"{
    "version": "1", "name": "p", "default": "deny", "hide": ["u"],
    "tools": {
        "t": {"limits": [{"counter": "c", "window": "minute", "max": 1}]},
        "new": {},
        "asks": {"action": "require_approval"},
        "ops": {"require": [{"conditions": [{"path": "grant.labels.team", "op": "eq", "value": "ops"}]}]}
    }
}"#;

fn policy(name: &str, text: &str) -> (String, String, ast::Policy) {
    let source = Source {
        name,
        stem: name,
        format: Format::Json,
        bytes: text.as_bytes(),
    };
    let mut policy = parse(&source).unwrap();
    name.clone_into(&mut policy.name);
    (name.to_owned(), format!("{name}.json"), policy)
}

/// Server `a` with a candidate and server `b` without one.
fn state(next: &str) -> State {
    let setup = Setup {
        policies: vec![policy("live", LIVE), policy("next", next)],
        servers: ["a", "b"]
            .map(|server| (server.to_owned(), Some("live".to_owned())))
            .into(),
        candidates: vec![("a".to_owned(), "next".to_owned())],
        ..Setup::default()
    };
    State::configure(setup, Catalogue::default()).unwrap()
}

fn gate() -> (Gate, ManualClock) {
    let clock = ManualClock::new(START_US);
    (testing::gate_of(state(NEXT), 100, &clock), clock)
}

fn request<'a>(server: &'a str, tool: &'a str) -> Request<'a> {
    Request {
        caller: Caller::named("g"),
        pep: Pep::UNNAMED,
        tool,
        server,
        session: None,
        args: Args::NONE,
        reserve: None,
        pins: None,
        unseen_member: None,
    }
}

fn ask(gate: &Gate, server: &str, tool: &str) -> Outcome {
    gate.decide(&request(server, tool), |decision| decision.outcome)
}

fn report(gate: &Gate) -> CandidateReport {
    let mut reports = gate.configuration().candidates.reports();
    assert_eq!(reports.len(), 1);
    reports.remove(0)
}

/// The changes in words.
fn changes(gate: &Gate) -> Vec<String> {
    let brief = |change: CandidateChange| {
        let (live, candidate) = (change.live, change.candidate);
        format!(
            "{} {}: {} {} -> {} {}",
            change.count, change.tool, live.0, live.1, candidate.0, candidate.1
        )
    };
    report(gate).changes.into_iter().map(brief).collect()
}

#[test]
fn a_candidate_changes_nothing_and_counts_for_itself() {
    let (gate, _) = gate();
    for _ in 0..3 {
        assert_eq!(ask(&gate, "a", "t"), Outcome::Allow);
    }
    assert_eq!(ask(&gate, "a", "t"), Outcome::RateLimited);
    assert_eq!(ask(&gate, "a", "u"), Outcome::Allow);
    assert_eq!(ask(&gate, "a", "new"), Outcome::Deny);
    assert_eq!(
        ask(&gate, "b", "u"),
        Outcome::Allow,
        "a server without a candidate"
    );
    let mut found = changes(&gate);
    found.sort();
    assert_eq!(
        found,
        [
            "1 new: deny (default deny) -> allow ",
            "1 u: allow  -> deny (hidden)",
            "2 t: allow  -> rate_limited /tools/t/limits/c",
        ]
    );
    let of = |live: &'static str, candidate: &'static str, count| CandidateCount {
        server: "a".to_owned(),
        live,
        candidate,
        count,
    };
    let counts = gate.configuration().candidates.counts();
    assert_eq!(
        counts,
        [
            of("allow", "allow", 1),
            of("allow", "deny", 1),
            of("allow", "rate_limited", 2),
            of("deny", "allow", 1),
            of("rate_limited", "rate_limited", 1),
        ]
    );
    let report = report(&gate);
    assert_eq!(
        (report.server.as_str(), report.policy.as_str()),
        ("a", "next#candidate")
    );
    assert_eq!(report.changes[0].examples[0].decided_at_us, START_US);
    assert_eq!(
        gate.engine.counters().0,
        1,
        "the counts that decide are those of `t` alone"
    );
}

#[test]
fn what_no_policy_decides_is_not_weighed() {
    let (gate, _) = gate();
    // No store of approvals answers.
    assert_eq!(ask(&gate, "a", "asks"), Outcome::Deny);
    assert_eq!(ask(&gate, "a", ""), Outcome::Deny);
    assert_eq!(ask(&gate, "unknown", "t"), Outcome::Deny);
    assert_eq!(report(&gate).counts, []);
}

#[test]
fn a_panic_decides_nothing() {
    let (gate, _) = gate();
    assert_eq!(ask(&gate, "a", FORCED_PANIC_TOOL), Outcome::Deny);
    assert_eq!(report(&gate).counts, []);
    assert_eq!(ask(&gate, "a", "t"), Outcome::Allow);
}

#[test]
fn a_roll_back_gives_back_what_the_candidate_counted() {
    let (gate, _) = gate();
    let reserved = |id| {
        let request = Request {
            reserve: Some(ReservationId::new(id)),
            ..request("a", "t")
        };
        gate.decide(&request, |decision| decision.outcome)
    };
    assert_eq!(reserved(7), Outcome::Allow);
    assert!(gate.roll_back(ReservationId::new(7), PepId(0)));
    assert_eq!(reserved(8), Outcome::Allow);
    assert!(gate.commit(ReservationId::new(8), PepId(0)));
    assert!(!gate.roll_back(ReservationId::new(8), PepId(0)));
    assert_eq!(changes(&gate), [] as [String; 0], "the one unit was free again");
    assert_eq!(reserved(9), Outcome::Allow);
    assert_eq!(changes(&gate).len(), 1);
}

#[test]
fn a_changed_candidate_starts_anew_and_another_stays() {
    let (gate, _) = gate();
    ask(&gate, "a", "t");
    gate.reload(Some(state(NEXT)), |_| ());
    assert_eq!(report(&gate).counts.len(), 1, "the same document");
    assert_eq!(ask(&gate, "a", "t"), Outcome::Allow);
    assert_eq!(changes(&gate).len(), 1, "with its counts");
    gate.reload(Some(state(&NEXT.replace("\"max\": 1", "\"max\": 2"))), |_| ());
    assert_eq!(report(&gate).counts, []);
    assert_eq!(ask(&gate, "a", "t"), Outcome::Allow);
    assert_eq!(changes(&gate), [] as [String; 0]);
    let without = State::configure(
        Setup {
            policies: vec![policy("live", LIVE)],
            servers: vec![("a".to_owned(), Some("live".to_owned()))],
            ..Setup::default()
        },
        Catalogue::default(),
    );
    gate.reload(Some(without.unwrap()), |_| ());
    assert_eq!(gate.configuration().candidates.reports(), []);
}

#[test]
fn grants_bring_their_labels_and_their_policies() {
    let key = TokenKey::new([1; 32]);
    let grant = |id: &str, policy: &str| GrantSpec {
        id: id.to_owned(),
        tokens: vec![key.digest(Token::new(id)).into()],
        server: "a".to_owned(),
        policy: Some(policy.to_owned()),
        servers: Vec::new(),
        labels: vec![("team".to_owned(), id.to_owned())],
        expires_at_us: None,
        revoked: false,
    };
    let setup = Setup {
        policies: vec![policy("live", LIVE), policy("next", NEXT), policy("other", LIVE)],
        servers: vec![("a".to_owned(), Some("live".to_owned()))],
        candidates: vec![("a".to_owned(), "next".to_owned())],
        grants: Some(vec![
            grant("ops", "live"),
            grant("dev", "live"),
            grant("apart", "other"),
        ]),
        grant_key: Some(key.clone()),
        ..Setup::default()
    };
    let state = State::configure(setup, Catalogue::default()).unwrap();
    let gate = testing::gate_of(state, 100, &ManualClock::new(START_US));
    for token in ["ops", "dev", "apart"] {
        let request = Request {
            caller: Caller::Token(Token::new(token)),
            ..request("a", "ops")
        };
        assert_eq!(gate.decide(&request, |decision| decision.outcome), Outcome::Deny);
    }
    assert_eq!(changes(&gate), ["1 ops: deny (default deny) -> allow "]);
    let counts = report(&gate).counts;
    assert_eq!(
        counts.iter().map(|(.., count)| count).sum::<u64>(),
        2,
        "`apart` has another policy"
    );
}

#[test]
fn kinds_of_changes_are_bounded() {
    let (gate, _) = gate();
    let open = r#"{"version": "1", "name": "p", "default": "allow"}"#;
    gate.reload(Some(state(open)), |_| ());
    for number in 0..1_010 {
        ask(&gate, "a", &format!("tool-{number}"));
    }
    let report = report(&gate);
    assert_eq!((report.changes.len(), report.other_changes), (1_000, 10));
    assert_eq!(report.counts, [(Outcome::Deny, Outcome::Allow, 1_010)]);
}
