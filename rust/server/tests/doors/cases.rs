//! Every decision case of `tests/cases/decisions`, over each method of the gRPC door and over HTTP.

use std::path::Path;

use callgate_core::json::Tape;
use callgate_core::policy::{Catalogue, Format, Source};
use callgate_proto::decision::v1::{
    CheckBatchRequest, CheckRequest, CheckResponse, CheckStreamRequest, Outcome, PeekRequest,
};
use callgate_server::ServerConfig;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::support::{Rig, state};

/// One call of a case. The arguments are its exact bytes: number texts may not change.
struct CaseCall<'c> {
    call: &'c Value,
    args: Option<&'c [u8]>,
}

impl CaseCall<'_> {
    fn text(&self, key: &str) -> &str {
        self.call.get(key).and_then(Value::as_str).unwrap_or_default()
    }

    /// The simulated time, rounded to the nearest microsecond: the files hold seconds as sums of binary fractions.
    fn at_us(&self) -> u64 {
        let seconds: f64 = self.call["at"].to_string().parse().unwrap();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "times of cases are positive"
        )]
        let at_us = (seconds * 1e6).round() as u64;
        at_us
    }

    fn message(&self) -> CheckRequest {
        let labels = self
            .call
            .get("labels")
            .and_then(Value::as_object)
            .into_iter()
            .flatten();
        CheckRequest {
            grant: self.text("grant").to_owned(),
            tool: self.text("tool").to_owned(),
            args_json: self.args.unwrap_or_default().to_vec().into(),
            server: self.text("server").to_owned(),
            session: self.text("session").to_owned(),
            labels: labels
                .map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned()))
                .collect(),
            reserve: false,
            grant_token: String::new(),
        }
    }

    fn peek(&self) -> PeekRequest {
        let CheckRequest {
            grant,
            tool,
            args_json,
            server,
            session,
            labels,
            grant_token,
            ..
        } = self.message();
        PeekRequest {
            grant,
            tool,
            args_json: args_json.to_vec(),
            server,
            session,
            labels,
            grant_token,
        }
    }

    fn over_http(&self, rig: &Rig) -> Value {
        let mut body: Vec<u8> = Vec::new();
        for key in ["grant", "tool", "server", "session", "labels"] {
            if let Some(value) = self.call.get(key) {
                body.extend_from_slice(format!("{},{}:{value}", "", json!(key)).as_bytes());
            }
        }
        if let Some(args) = self.args {
            body.extend_from_slice(b",\"args\":");
            body.extend_from_slice(args);
        }
        body[0] = b'{';
        body.push(b'}');
        let peeked = rig.post_peek(&body);
        let answer = rig.post_bytes(&body);
        let document = answer.json();
        let foreseen = &peeked.json()["decision"];
        // As above, it names no approval.
        let asks = document["outcome"] == "approval_required";
        for key in ["outcome", "rule", "message", "retry_after_ms", "shadow", "policy"] {
            if !(asks && key == "message") {
                assert_eq!(foreseen.get(key), document.get(key), "peeked: {}", self.call);
            }
        }
        assert_eq!(peeked.status, answer.status);
        let status = match document["outcome"].as_str().unwrap() {
            "allow" => 200,
            "rate_limited" => 429,
            _ => 403,
        };
        assert_eq!(answer.status, status);
        document
    }
}

async fn over_check(rig: &Rig, calls: &[CaseCall<'_>]) -> Vec<Value> {
    let mut documents = Vec::new();
    for call in calls {
        rig.clock.set_us(call.at_us());
        let peeked = rig.grpc().peek(call.peek()).await.unwrap().into_inner();
        let answer = document(&rig.grpc().check(call.message()).await.unwrap().into_inner());
        let foreseen = document(&peeked.decision.expect("a tool is named"));
        // A look asks nobody, so it names no approval.
        let asks = answer["outcome"] == "approval_required";
        for key in ["outcome", "rule", "message", "retry_after_ms", "shadow", "policy"] {
            if !(asks && key == "message") {
                assert_eq!(foreseen.get(key), answer.get(key), "peeked: {}", call.call);
            }
        }
        documents.push(answer);
    }
    documents
}

/// Asks in batches: the calls of one moment are one batch.
async fn over_batch(rig: &Rig, calls: &[CaseCall<'_>]) -> Vec<Value> {
    let mut documents = Vec::new();
    for calls in calls.chunk_by(|one, next| one.at_us() == next.at_us()) {
        rig.clock.set_us(calls[0].at_us());
        let request = CheckBatchRequest {
            calls: calls.iter().map(CaseCall::message).collect(),
        };
        let answer = rig.grpc().check_batch(request).await.unwrap().into_inner();
        assert_eq!(answer.decisions.len(), calls.len());
        documents.extend(answer.decisions.iter().map(document));
    }
    documents
}

/// Asks in one stream for the whole case. Calls of one moment are sent before the first of their answers is taken.
async fn over_stream(rig: &Rig, calls: &[CaseCall<'_>]) -> Vec<Value> {
    let (sender, receiver) = mpsc::channel(calls.len());
    let answers = rig.grpc().check_stream(ReceiverStream::new(receiver)).await;
    let mut answers = answers.unwrap().into_inner();
    let mut documents = Vec::new();
    for calls in calls.chunk_by(|one, next| one.at_us() == next.at_us()) {
        rig.clock.set_us(calls[0].at_us());
        let first = documents.len() as u64;
        for (id, call) in (first..).zip(calls) {
            let call = Some(call.message());
            sender.send(CheckStreamRequest { id, call }).await.unwrap();
        }
        for (id, _) in (first..).zip(calls) {
            let answer = answers.message().await.unwrap().unwrap();
            assert_eq!(answer.id, id);
            documents.push(document(&answer.decision.unwrap()));
        }
    }
    drop(sender);
    assert_eq!(answers.message().await.unwrap(), None);
    documents
}

fn over_http(rig: &Rig, calls: &[CaseCall<'_>]) -> Vec<Value> {
    let answer = |call: &CaseCall<'_>| {
        rig.clock.set_us(call.at_us());
        call.over_http(rig)
    };
    calls.iter().map(answer).collect()
}

/// Converts a gRPC answer to the form of the HTTP one.
fn document(response: &CheckResponse) -> Value {
    let word = |outcome: Outcome| {
        outcome
            .as_str_name()
            .strip_prefix("OUTCOME_")
            .unwrap()
            .to_lowercase()
    };
    let mut document = json!({
        "outcome": word(response.outcome()),
        "rule": response.rule,
        "message": response.message,
    });
    if let Some(retry_after_ms) = response.retry_after_ms {
        document["retry_after_ms"] = json!(retry_after_ms);
    }
    if let Some(shadow) = &response.shadow {
        document["shadow"] = json!({"outcome": word(shadow.outcome()), "rule": shadow.rule});
    }
    document
}

/// Returns true if a decision has the members that a case expects, and no shadow unless the case expects one.
fn fits(document: &Value, expected: &Value) -> bool {
    let expected = expected.as_object().unwrap();
    let named = expected
        .iter()
        .all(|(key, value)| document.get(key) == Some(value));
    named && (expected.contains_key("shadow") || document.get("shadow").is_none())
}

fn catalogue(case: &Value) -> Catalogue {
    let Some(tools) = case.get("catalogue").and_then(Value::as_object) else {
        return Catalogue::default();
    };
    let tools: serde_json::Map<String, Value> = tools
        .iter()
        .map(|(tool, category)| (tool.clone(), json!({"category": category})))
        .collect();
    let document = json!({"version": "1", "servers": {"srv": {"tools": tools}}}).to_string();
    let source = Source {
        name: "<catalogue>",
        stem: "catalogue",
        format: Format::Json,
        bytes: document.as_bytes(),
    };
    Catalogue::parse(&source).unwrap()
}

const FREEZE_FILE: &str = "freeze.json";

/// A folder with the file of a case's freezes, if it has any.
fn folder_of_freezes(case: &Value) -> Option<tempfile::TempDir> {
    let freezes = case.get("freezes")?.as_array().unwrap().iter().map(|freeze| {
        let mut row = freeze.clone();
        row["at"] = json!("1970-01-01T00:00:00Z");
        row["by"] = json!("a test");
        if let Some(seconds) = freeze.get("until").and_then(Value::as_u64) {
            assert!(seconds < 3_600, "the ends of cases are within an hour");
            row["until"] = json!(format!("1970-01-01T00:{:02}:{:02}Z", seconds / 60, seconds % 60));
        }
        row
    });
    let document = json!({"version": "1", "freezes": freezes.collect::<Vec<_>>()});
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join(FREEZE_FILE), document.to_string()).unwrap();
    Some(folder)
}

async fn run(file: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/cases/decisions")
        .join(file);
    let bytes = std::fs::read(path).unwrap();
    let cases: Value = serde_json::from_slice(&bytes).unwrap();
    let mut tape = Tape::new();
    let texts: Vec<_> = tape.parse(&bytes, 100).unwrap().elements().collect();
    let mut wrong = Vec::new();
    let mut calls_made = 0;
    for (case, text) in cases.as_array().unwrap().iter().zip(texts) {
        assert_eq!(case["format"], "callgate");
        let policy = &bytes[text.get("policy").unwrap().span()];
        let folder = folder_of_freezes(case);
        let rig = || {
            let config = ServerConfig {
                freeze_file: folder.as_ref().map(|folder| folder.path().join(FREEZE_FILE)),
                ..ServerConfig::default()
            };
            Rig::with(state(policy, catalogue(case)), config)
        };
        let texts = text.get("calls").unwrap().elements();
        let calls: Vec<_> = case["calls"]
            .as_array()
            .unwrap()
            .iter()
            .zip(texts)
            .map(|(call, text)| CaseCall {
                call,
                args: text.get("args").map(|args| &bytes[args.span()]),
            })
            .collect();
        let doors = [
            ("Check", over_check(&rig(), &calls).await),
            ("CheckBatch", over_batch(&rig(), &calls).await),
            ("CheckStream", over_stream(&rig(), &calls).await),
            ("HTTP", over_http(&rig(), &calls)),
        ];
        for (door, documents) in doors {
            assert_eq!(documents.len(), calls.len());
            for (index, (call, document)) in calls.iter().zip(documents).enumerate() {
                calls_made += 1;
                let expected = &call.call["expect"];
                if !fits(&document, expected) {
                    wrong.push(format!(
                        "{door} {} #{index}: expected {expected}, got {document}",
                        case["name"]
                    ));
                }
            }
        }
    }
    assert!(calls_made > 0, "{file} holds no calls");
    assert!(
        wrong.is_empty(),
        "{} of {calls_made} calls:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

macro_rules! files {
    ($($name:ident)*) => {
        const FILES: &[&str] = &[$(concat!(stringify!($name), ".json")),*];

        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
            async fn $name() {
                run(concat!(stringify!($name), ".json")).await;
            }
        )*
    };
}

files!(at_max conditions freezes limits operators order patterns seeds shadow);

#[test]
fn no_file_is_left_out() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/cases/decisions");
    let files = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = files
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, FILES);
}
