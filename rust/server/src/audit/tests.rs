//! The log as a whole, behind a gate, against sinks that fail when told to.

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use callgate_core::{Args, Caller, Pep, Request, ReservationId};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::sink::{Complaint, Sink, Unwritten};
use super::*;
use crate::clock::ManualClock;
use crate::events::FieldValue;
use crate::gate::Gate;
use crate::protocol::Protocol;
use crate::testing;

mod failures;
mod labels;

/// After this long, what a test waits for will not come.
const PATIENCE: Duration = Duration::from_secs(60);

const POLICY: &str = r#"{
    "version": "1",
    "default": "deny",
    "name": "p",
    "log_args": ["args.currency", "args.items[*].sku", "args.note", "args.currency"],
    "log_labels": ["team", "team"],
    "tools": {
        "t": {"limits": [{"counter": "c", "window": "day", "max": 1000000.5, "cost": 0.25}]},
        "once": {"limits": [{"counter": "once", "window": "day", "max": 1}]},
        "asks": {"action": "require_approval"},
        "watched": {"mode": "shadow", "action": "deny"}
    }
}"#;

/// A folder of its own, removed with everything in it.
pub(super) struct Folder(PathBuf);

impl Folder {
    pub(super) fn new() -> Self {
        static MADE: AtomicU32 = AtomicU32::new(0);
        // Relaxed: only the number is wanted.
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("callgate-audit-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The behaviour of a test's sink with the next lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Mood {
    #[default]
    Works,
    /// Takes one line, then fails.
    Full,
    /// Takes none, and fails at nothing else: a full device.
    TakesNothing,
    /// Does not come back.
    Hangs,
}

#[derive(Debug, Default)]
struct Desk {
    mood: Mood,
    text: String,
    writes: u32,
}

/// A sink that a test holds the other end of.
#[derive(Clone, Debug, Default)]
struct Fake(Arc<(Mutex<Desk>, Condvar)>);

impl Fake {
    fn set(&self, mood: Mood) {
        self.0.0.lock().unwrap().mood = mood;
        self.0.1.notify_all();
    }

    fn lines(&self) -> Vec<Value> {
        let desk = self.0.0.lock().unwrap();
        assert!(desk.text.is_empty() || desk.text.ends_with('\n'));
        desk.text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
            .collect()
    }

    fn text(&self) -> String {
        self.0.0.lock().unwrap().text.clone()
    }

    fn writes(&self) -> u32 {
        self.0.0.lock().unwrap().writes
    }
}

impl Sink for Fake {
    fn write(&mut self, lines: &[u8]) -> Result<(), Unwritten> {
        let mut desk = self.0.0.lock().unwrap();
        desk.writes += 1;
        let mut desk = self
            .0
            .1
            .wait_while(desk, |desk| desk.mood == Mood::Hangs)
            .unwrap();
        let text = std::str::from_utf8(lines).unwrap();
        if desk.mood == Mood::Full {
            let written = text.find('\n').unwrap() + 1;
            desk.text.push_str(&text[..written]);
            let error = io::Error::from(io::ErrorKind::StorageFull);
            return Err(Unwritten { written, error });
        }
        if desk.mood == Mood::TakesNothing {
            let error = io::Error::from(io::ErrorKind::StorageFull);
            return Err(Unwritten { written: 0, error });
        }
        desk.text.push_str(text);
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn tend(&mut self) -> io::Result<()> {
        match self.0.0.lock().unwrap().mood {
            Mood::Full => Err(io::Error::from(io::ErrorKind::StorageFull)),
            Mood::Works | Mood::TakesNothing | Mood::Hangs => Ok(()),
        }
    }

    fn complaint(&mut self) -> Option<Complaint> {
        None
    }
}

fn gate(mode: AuditMode, batches: usize) -> (Gate, Fake) {
    gate_of(
        &AuditConfig {
            mode,
            ..AuditConfig::new(AuditTarget::Stdout)
        },
        batches,
    )
}

fn gate_of(config: &AuditConfig, batches: usize) -> (Gate, Fake) {
    let mut gate = testing::gate(POLICY, 64, &ManualClock::new(1_700_000_000_000_000));
    let fake = Fake::default();
    let sink = Box::new(fake.clone());
    gate.audit = Some(Audit::with_sink(config, sink, Arc::clone(&gate.events), batches).unwrap());
    (gate, fake)
}

fn audit(gate: &Gate) -> &Audit {
    gate.audit.as_ref().unwrap()
}

fn finish(gate: &Gate) {
    audit(gate).finish(PATIENCE);
}

/// Rule of the decision on one call.
fn ask(gate: &Gate, tool: &str, args: &str) -> String {
    let request = Request {
        caller: Caller::named("g"),
        pep: Pep::UNNAMED,
        tool,
        server: "srv",
        session: Some("s"),
        args: Args::Json(args.as_bytes()),
        reserve: Some(ReservationId::new(0x005e_c4e7)),
        pins: None,
        unseen_member: None,
    };
    gate.decide(&request, |decision| decision.rule.to_string())
}

fn wait_until(mut condition: impl FnMut() -> bool) {
    let started = Instant::now();
    while !condition() {
        assert!(started.elapsed() < PATIENCE);
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Names of the events so far.
fn told(gate: &Gate) -> Vec<&'static str> {
    let events = gate.events.drain(usize::MAX);
    events
        .iter()
        .map(|event| event.event)
        .filter(|event| *event != "denied")
        .collect()
}

/// A line without what no test can know.
fn known(mut line: Value) -> Value {
    assert!(
        line.as_object_mut()
            .unwrap()
            .remove("duration_ns")
            .unwrap()
            .is_number()
    );
    line
}

/// The tools of the lines that are written if of a million plain allows so many are.
fn sampled(logged_of_million: u32) -> Vec<String> {
    let config = AuditConfig {
        signing: Some(AuditSigning {
            key: KeyPem(Vec::new()),
            public_key: None,
            former_keys: Vec::new(),
            statements: Vec::new(),
            expires_unix_s: None,
            stream: "host".to_owned(),
            checkpoint_interval_ms: 1_000,
            logged_of_million,
        }),
        ..AuditConfig::new(AuditTarget::Stdout)
    };
    let (gate, fake) = gate_of(&config, BATCHES);
    for _ in 0..1_000 {
        ask(&gate, "t", "{}");
    }
    for tool in ["once", "once", "asks", "watched", "other"] {
        ask(&gate, tool, "{}");
    }
    finish(&gate);
    let lines = fake.lines();
    lines
        .iter()
        .map(|line| line["tool"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn plain_allows_alone_are_left_out() {
    // The second call of `once` is refused; that of `watched` is allowed, and would be denied.
    assert_eq!(sampled(0), ["once", "asks", "watched", "other"]);
    assert_eq!(sampled(EVERY_ALLOW).len(), 1_005);
    let half = sampled(EVERY_ALLOW / 2).len();
    // Further off than eight standard deviations, once in a thousand million million runs.
    assert!((370..640).contains(&half), "{half}");
}

#[test]
fn a_line_says_everything() {
    let (gate, fake) = gate(AuditMode::BestEffort, BATCHES);
    let args = "{\"currency\": \"us\\\"d\", \"card\": \"4111\", \"items\": [{\"sku\": {\"a\": [1,\n 2e9]}}, {}, {\"sku\": null}]}";
    assert_eq!(ask(&gate, "t", args), "");
    assert_eq!(ask(&gate, "other", "{}"), "(default deny)");
    finish(&gate);
    let lines = fake.lines();
    let expected = json!({
        "time": "2023-11-14T22:13:20.000000Z",
        "decided_at_us": 1_700_000_000_000_000_u64,
        "protocol": "grpc",
        "server": "srv",
        "grant": "g",
        "session": "s",
        "tool": "t",
        "outcome": "allow",
        "rule": "",
        "policy": "p",
        "policy_version": lines[0]["policy_version"],
        "args_keys": ["currency", "card", "items"],
        "args": {
            "args.currency": "us\"d",
            "args.items[*].sku": [serde_json::from_str::<Value>("{\"a\": [1, 2e9]}").unwrap(), null]
        },
        "labels_digest": null,
        "labels": {"team": null},
        "limits": [{"counter": "c", "max": 1_000_000.5, "remaining": 1_000_000.25, "reset_after_ms": 86_400_000}]
    });
    assert_eq!(known(lines[0].clone()), expected);
    assert_eq!(lines[0]["policy_version"].as_str().unwrap().len(), 12);
    assert_eq!(
        fake.text().lines().next().unwrap(),
        format!(
            r#"{{"time":"2023-11-14T22:13:20.000000Z","decided_at_us":1700000000000000,"protocol":"grpc","server":"srv","grant":"g","session":"s","tool":"t","outcome":"allow","rule":"","policy":"p","policy_version":{},"args_keys":["currency","card","items"],"args":{{"args.currency":"us\"d","args.items[*].sku":[{{"a":[1,2e9]}},null]}},"labels_digest":null,"labels":{{"team":null}},"limits":[{{"counter":"c","max":1000000.5,"remaining":1000000.25,"reset_after_ms":86400000}}],"duration_ns":{}}}"#,
            lines[0]["policy_version"], lines[0]["duration_ns"]
        )
    );
    assert_eq!(lines[1]["outcome"], "deny");
    assert_eq!(lines[1]["args_keys"], json!([]));
    assert!(!fake.text().contains("5ec4e7") && !fake.text().contains("4111"));
}

#[test]
fn a_line_names_the_caller_s_span() {
    let (gate, fake) = gate(AuditMode::BestEffort, BATCHES);
    let text = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let mut headers = http::HeaderMap::new();
    gate.refuse(gate.ingress(Protocol::Http, &headers), String::new(), |_| ());
    headers.insert("traceparent", http::HeaderValue::from_static(text));
    gate.refuse(gate.ingress(Protocol::Http, &headers), String::new(), |_| ());
    headers.append("traceparent", http::HeaderValue::from_static(text));
    gate.refuse(gate.ingress(Protocol::Http, &headers), String::new(), |_| ());
    finish(&gate);
    let lines = fake.lines();
    assert_eq!(lines[0].get("traceparent"), None);
    assert_eq!(lines[1]["traceparent"], text);
    assert_eq!(lines[2].get("traceparent"), None, "there are two");
}

#[test]
fn what_only_some_decisions_have() {
    let (gate, fake) = gate(AuditMode::BestEffort, BATCHES);
    ask(&gate, "asks", "{}");
    ask(&gate, "watched", "{}");
    ask(&gate, "once", "{}");
    ask(&gate, "once", "{}");
    ask(&gate, "t", "{\"a\": }");
    gate.refuse(Protocol::Http, "message".to_owned(), |_| ());
    finish(&gate);
    let lines = fake.lines();
    assert_eq!(lines[0]["rule"], "(approval store unavailable)");
    assert_eq!(
        lines[1]["shadow"],
        json!({"outcome": "deny", "rule": "/tools/watched/action"})
    );
    assert_eq!(lines[2].get("retry_after_ms"), None);
    assert_eq!(lines[3]["outcome"], "rate_limited");
    assert_eq!(lines[3]["retry_after_ms"], 86_400_000);
    assert_eq!(lines[3]["limits"][0]["remaining"], 0);
    assert_eq!(lines[4]["args_keys"], Value::Null);
    assert_eq!(
        (&lines[5]["protocol"], &lines[5]["rule"], &lines[5]["tool"]),
        (&json!("http"), &json!("(invalid request)"), &json!(""))
    );
}

#[test]
fn names_are_bounded_and_cannot_end_a_line() {
    let (gate, fake) = gate(AuditMode::BestEffort, BATCHES);
    let long = "\n\"é".repeat(500);
    let request = Request {
        caller: Caller::named(&long),
        pep: Pep::UNNAMED,
        tool: "t\r\n{\"outcome\":\"allow\"}",
        server: &long,
        session: Some(&long),
        args: Args::NONE,
        reserve: None,
        pins: None,
        unseen_member: None,
    };
    gate.decide(&request, |_| ());
    let keys: Vec<String> = (0..40)
        .map(|key| format!("\"{}{key}\": 0", "\\n".repeat(200)))
        .collect();
    ask(&gate, "t", &format!("{{{}}}", keys.join(",")));
    finish(&gate);
    let lines = fake.lines();
    assert_eq!(lines.len(), 2);
    for name in ["grant", "server", "session"] {
        let expected: String = long.chars().take(128).collect();
        assert_eq!(lines[0][name], expected, "{name}");
    }
    assert_eq!(lines[0]["tool"], request.tool);
    let kept = lines[1]["args_keys"].as_array().unwrap();
    assert_eq!((kept.len(), &lines[1]["args_keys_omitted"]), (32, &json!(8)));
    assert!(kept.iter().all(|key| key == &"\n".repeat(64)));
}

#[test]
fn tokens_in_the_place_of_names_and_values_are_cut() {
    let (gate, fake) = gate(AuditMode::BestEffort, BATCHES);
    let token = "cgt_0123456789abcdefghijklmnopqrstuvwxyzABCDEFG";
    let args = format!("{{\"{token}\": 1, \"note\": [\"{token}\"], \"currency\": \"Bearer {token}\"}}");
    let request = Request {
        caller: Caller::named(token),
        pep: Pep::UNNAMED,
        tool: token,
        server: token,
        session: Some(token),
        args: Args::Json(args.as_bytes()),
        reserve: None,
        pins: None,
        unseen_member: None,
    };
    gate.decide(&request, |_| ());
    ask(&gate, "t", &args);
    finish(&gate);
    let lines = fake.lines();
    for name in ["grant", "server", "session", "tool"] {
        assert_eq!(lines[0][name], "cgt_0123...", "{name}");
    }
    assert_eq!(
        (&lines[1]["args"]["args.note"], &lines[1]["args_keys"][0]),
        (&json!(["cgt_0123..."]), &json!("cgt_0123..."))
    );
    let events = format!("{:?}", gate.events.drain(usize::MAX));
    assert!(events.contains("cgt_0123..."), "{events}");
    assert!(!events.contains("01234") && !fake.text().contains("01234"));
}

#[test]
fn values_are_bounded() {
    let (gate, fake) = gate(AuditMode::BestEffort, BATCHES);
    let long = "é".repeat(5_000);
    let items = vec!["{\"sku\": 1}"; 40].join(",");
    ask(
        &gate,
        "t",
        &format!("{{\"currency\": \"{long}\", \"items\": [{items}], \"note\": [\"{long}\"]}}"),
    );
    ask(&gate, "t", &format!("{{\"note\": {}}}", "9".repeat(500)));
    ask(
        &gate,
        "t",
        "{\"note\": {\"a\": 1}, \"currency\": null, \"items\": 7}",
    );
    finish(&gate);
    let lines = fake.lines();
    assert_eq!(lines[0]["args"]["args.currency"], "é".repeat(256));
    assert_eq!(lines[0]["args"]["args.items[*].sku"], json!(vec![1; 16]));
    assert_eq!(lines[0]["args"]["args.note"], Value::Null);
    assert_eq!(
        lines[0]["args_cut"],
        json!(["args.currency", "args.items[*].sku", "args.note"])
    );
    assert_eq!(lines[1]["args_cut"], json!(["args.note"]));
    assert_eq!(
        lines[2]["args"],
        json!({"args.currency": null, "args.note": {"a": 1}})
    );
    assert_eq!(lines[2].get("args_cut"), None);
}

#[test]
fn every_decision_has_its_line_whatever_thread_it_was_made_on() {
    const EACH: usize = 5_000;
    let (gate, fake) = gate(AuditMode::Required, BATCHES);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let gate = &gate;
            scope.spawn(move || {
                for call in 0..EACH {
                    assert_eq!(ask(gate, "t", &format!("{{\"note\": \"{thread}-{call}\"}}")), "");
                }
            });
        }
    });
    finish(&gate);
    let mut notes: Vec<String> = fake
        .lines()
        .iter()
        .map(|line| line["args"]["args.note"].as_str().unwrap().to_owned())
        .collect();
    notes.sort();
    notes.dedup();
    assert_eq!((notes.len(), audit(&gate).dropped()), (4 * EACH, 0));
}

#[test]
fn drops_are_told_once_in_a_while() {
    let (gate, fake) = gate(AuditMode::BestEffort, BATCHES);
    finish(&gate);
    let mut reports = crate::upkeep::Reports::default();
    let mut tick = |calls: usize| {
        (0..calls).for_each(|_| drop(ask(&gate, "t", "{}")));
        reports.tick(&gate);
        gate.events
            .drain(usize::MAX)
            .into_iter()
            .filter(|event| event.event == "audit_dropped")
            .map(|event| event.fields)
            .collect::<Vec<_>>()
    };
    assert_eq!(tick(0), Vec::<Vec<_>>::new());
    assert_eq!(tick(2), [vec![("count", FieldValue::Number(2))]]);
    assert!((0..9).all(|_| tick(1).is_empty()));
    assert_eq!(tick(1), [vec![("count", FieldValue::Number(10))]]);
    assert!(fake.lines().is_empty());
}

/// JSON with a marker in every string and number, and none in its keys.
fn marked() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        any::<String>().prop_map(|text| json!(format!("{text}hunter2{text}"))),
        (0_u64..1_000).prop_map(|number| json!(9_990_999_000_000 + number)),
    ];
    let nested = leaf.prop_recursive(3, 32, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::hash_map("[a-m\n\"\\\\é]{0,80}", inner, 0..5)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    });
    prop::collection::hash_map("[a-m\n\"\\\\é]{0,80}", nested, 0..40)
        .prop_map(|members| Value::Object(members.into_iter().collect()))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn values_never_appear(args in marked()) {
        let (gate, fake) = gate(AuditMode::Required, BATCHES);
        for tool in ["t", "asks", "watched", "unknown"] {
            ask(&gate, tool, &args.to_string());
        }
        finish(&gate);
        prop_assert_eq!(fake.lines().len(), 4);
        let keys = args.as_object().unwrap().len();
        for line in fake.lines() {
            prop_assert_eq!(line["args_keys"].as_array().unwrap().len(), keys.min(32));
        }
        prop_assert!(!fake.text().contains("hunter2") && !fake.text().contains("9990999"));
    }
}
