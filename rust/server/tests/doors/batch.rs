//! `CheckBatch`, and what deadlines mean for every method.

use callgate_proto::decision::v1::{CheckBatchRequest, CheckRequest, CheckResponse, Outcome};
use callgate_server::Limits;
use prost::Message as _;
use tonic::Code;

use super::support::{Rig, framed};

const CHECK: &str = "/callgate.decision.v1.DecisionService/Check";
const CHECK_BATCH: &str = "/callgate.decision.v1.DecisionService/CheckBatch";

fn call(tool: &str) -> CheckRequest {
    CheckRequest {
        grant: "g".to_owned(),
        tool: tool.to_owned(),
        ..CheckRequest::default()
    }
}

async fn rules(rig: &Rig, calls: Vec<CheckRequest>) -> Vec<String> {
    let answer = rig.grpc().check_batch(CheckBatchRequest { calls }).await;
    let decisions = answer.unwrap().into_inner().decisions;
    decisions.into_iter().map(|decision| decision.rule).collect()
}

fn decisions_made(rig: &Rig) -> u64 {
    rig.server
        .metrics()
        .decisions
        .iter()
        .map(|decision| decision.count)
        .sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_one_call_takes_the_next_finds_taken() {
    let rig = Rig::new();
    let faulty = CheckRequest {
        args_json: b"[]".to_vec().into(),
        ..call("open")
    };
    let calls = ["capped", "open", "capped", "capped"].map(call);
    let rules = rules(&rig, [calls.to_vec(), vec![faulty, call("open")]].concat()).await;
    assert_eq!(
        rules,
        ["", "", "", "/tools/capped/limits/calls", "(invalid request)", ""]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_empty_batch_has_an_empty_answer() {
    let rig = Rig::new();
    assert_eq!(rules(&rig, Vec::new()).await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_batch_of_many_turns_is_answered_whole() {
    let rig = Rig::new();
    let large = CheckRequest {
        args_json: format!("{{\"text\":\"{}\"}}", "x".repeat(100_000)).into(),
        ..call("open")
    };
    let mut calls = vec![call("open"); 990];
    calls.insert(500, large.clone());
    calls.push(large);
    calls.push(call("forbidden"));
    let rules = rules(&rig, calls).await;
    assert_eq!(rules.len(), 993);
    assert_eq!(rules[992], "/tools/forbidden/action");
    assert!(rules[..992].iter().all(String::is_empty));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_batch_of_too_many_takes_nothing() {
    let rig = Rig::limited(Limits {
        max_batch_calls: 3,
        ..Limits::default()
    });
    let calls = vec![call("capped"); 4];
    let refusal = rig
        .grpc()
        .check_batch(CheckBatchRequest { calls })
        .await
        .unwrap_err();
    assert_eq!(refusal.code(), Code::InvalidArgument);
    assert!(refusal.message().contains("at most 3 calls"), "{refusal}");
    assert_eq!(
        rules(&rig, vec![call("capped"); 3]).await,
        ["", "", "/tools/capped/limits/calls"]
    );
}

/// Two bytes for each call, which decoded are hundreds.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn millions_of_empty_calls_are_refused_undecoded() {
    let rig = Rig::new();
    let message = b"\x0a\x00".repeat(2_000_000);
    let answer = rig.send_http2(framed(CHECK_BATCH, &message)).await;
    assert_eq!(answer.headers()["grpc-status"], "3");
    assert_eq!(decisions_made(&rig), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn bytes_that_are_no_batch_decide_nothing() {
    let rig = Rig::new();
    let good = CheckBatchRequest {
        calls: vec![call("open")],
    };
    for tail in [&b"\x0a\x05ab"[..], b"\x0a\x03\x0a\x01\xff", b"\x0b\x0c", b"\xff"] {
        let message = [&good.encode_to_vec(), tail].concat();
        let answer = rig.send_http2(framed(CHECK_BATCH, &message)).await;
        assert_eq!(answer.headers()["grpc-status"], "3", "{tail:?}");
    }
    assert_eq!(decisions_made(&rig), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_call_that_nobody_waits_for_is_not_decided() {
    let rig = Rig::new();
    let batch = CheckBatchRequest {
        calls: vec![call("capped")],
    };
    for (path, message) in [
        (CHECK, call("capped").encode_to_vec()),
        (CHECK_BATCH, batch.encode_to_vec()),
    ] {
        let mut request = framed(path, &message);
        request
            .headers_mut()
            .insert("grpc-timeout", "0n".parse().unwrap());
        let answer = rig.send_http2(request).await;
        assert_eq!(answer.headers()["grpc-status"], "4", "{path}");
    }
    assert_eq!(decisions_made(&rig), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_deadline_in_time_changes_nothing() {
    let rig = Rig::new();
    let mut request = framed(CHECK, &call("open").encode_to_vec());
    request
        .headers_mut()
        .insert("grpc-timeout", "1H".parse().unwrap());
    let answer = rig.send_http2(request).await;
    assert!(!answer.headers().contains_key("grpc-status"), "{answer:?}");
    assert_eq!(decisions_made(&rig), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_deadline_that_does_not_read_is_refused() {
    let rig = Rig::new();
    let mut request = framed(CHECK, b"");
    request
        .headers_mut()
        .insert("grpc-timeout", "soon".parse().unwrap());
    let answer = rig.send_http2(request).await;
    assert_eq!(answer.headers()["grpc-status"], "3");
}

#[test]
fn a_limit_of_nothing_is_refused() {
    let refusal = super::lifecycle::refusal(callgate_server::ServerConfig {
        limits: Limits {
            max_streams: 0,
            ..Limits::default()
        },
        ..callgate_server::ServerConfig::default()
    });
    assert_eq!(refusal, "`max_streams` is 0; expected at least 1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn every_outcome_has_its_place() {
    let rig = Rig::new();
    let calls = ["open", "forbidden", "asks"].map(call).to_vec();
    let answer = rig.grpc().check_batch(CheckBatchRequest { calls }).await.unwrap();
    let outcomes: Vec<_> = answer
        .get_ref()
        .decisions
        .iter()
        .map(CheckResponse::outcome)
        .collect();
    assert_eq!(
        outcomes,
        [Outcome::Allow, Outcome::Deny, Outcome::ApprovalRequired]
    );
}
