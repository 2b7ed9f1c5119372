//! The bounds of calls that wait for an approval in one stream.

use std::sync::Arc;
use std::time::{Duration, Instant};

use callgate_core::approval::Answer;
use callgate_core::policy::Catalogue;
use callgate_proto::decision::v1::{
    CheckRequest, CheckResponse, CheckStreamRequest, CheckStreamResponse, Outcome, PeekRequest,
};
use callgate_server::{ApprovalChannel, ApprovalsConfig, Limits, Questions, ServerConfig};
use tonic::Streaming;

use super::support::{Rig, state};

const POLICY: &str = r#"{"version": "1", "name": "test", "default": "deny", "tools": {
    "asks": {"action": "require_approval"},
    "counted": {"limits": [{"counter": "c", "max": 100000, "window": "hour"}]}
}}"#;
const PATIENCE: Duration = Duration::from_secs(60);
/// Answers that are held behind a call that waits.
const MAX_HELD: usize = 1_024;

fn rig() -> (Rig, Arc<Questions>) {
    let channel = ApprovalChannel {
        config: ApprovalsConfig {
            deadline_ms: 120_000,
            ..ApprovalsConfig::default()
        },
        ..ApprovalChannel::default()
    };
    let questions = Arc::clone(&channel.questions);
    let config = ServerConfig {
        approvals: Some(channel),
        limits: Limits {
            unfinished_limit_bytes: 1 << 30,
            ..Limits::default()
        },
        ..ServerConfig::default()
    };
    (
        Rig::with(state(POLICY.as_bytes(), Catalogue::default()), config),
        questions,
    )
}

fn call(tool: &str, args_bytes: usize) -> CheckRequest {
    CheckRequest {
        grant: "g".to_owned(),
        tool: tool.to_owned(),
        args_json: format!(r#"{{"text": "{}"}}"#, "x".repeat(args_bytes)).into(),
        ..CheckRequest::default()
    }
}

async fn begin(rig: &Rig, calls: Vec<CheckRequest>) -> Streaming<CheckStreamResponse> {
    let messages: Vec<_> = (0..)
        .zip(calls)
        .map(|(id, call)| CheckStreamRequest { id, call: Some(call) })
        .collect();
    let answers = rig.grpc().check_stream(tokio_stream::iter(messages)).await;
    answers.unwrap().into_inner()
}

/// The answers that are left, whose ids are in order.
async fn rest(mut answers: Streaming<CheckStreamResponse>) -> Vec<CheckResponse> {
    let mut rest = Vec::new();
    while let Some(answer) = answers.message().await.unwrap() {
        assert_eq!(answer.id, u64::try_from(rest.len()).unwrap());
        rest.push(answer.decision.unwrap());
    }
    rest
}

/// Calls of `counted` that were decided.
async fn decided(rig: &Rig) -> f64 {
    let peek = PeekRequest {
        grant: "g".to_owned(),
        tool: "counted".to_owned(),
        ..PeekRequest::default()
    };
    let peeked = rig.grpc().peek(peek).await.unwrap().into_inner();
    let limit = &peeked.limits[0];
    limit.max - limit.count.unwrap().remaining
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bounded_number_of_calls_is_decided_behind_one_that_waits() {
    let (rig, questions) = rig();
    let mut calls = vec![call("asks", 0)];
    calls.resize(1 + MAX_HELD + 100, call("counted", 0));
    let answers = tokio::spawn(rest(begin(&rig, calls).await));
    let [asked] = &questions.take(1, PATIENCE).unwrap().questions[..] else {
        panic!("one question")
    };
    #[expect(clippy::cast_precision_loss, reason = "a small number")]
    let most = MAX_HELD as f64;
    let started = Instant::now();
    while decided(&rig).await < most {
        assert!(started.elapsed() < PATIENCE);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // The others have arrived, and would be decided by now.
    tokio::time::sleep(Duration::from_millis(200)).await;
    #[expect(clippy::float_cmp, reason = "whole units")]
    let is_bounded = decided(&rig).await == most;
    assert!(is_bounded, "{} decided", decided(&rig).await);

    let id = "a".to_owned();
    questions.answer(asked.number, Answer::Approved { id }, false);
    let answers = answers.await.unwrap();
    assert_eq!(answers.len(), 1 + MAX_HELD + 100);
    assert!(answers.iter().all(|answer| answer.outcome() == Outcome::Allow));
}

/// Half of the 64 MiB that the arguments of all questions may take is for one grant.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_beyond_the_share_of_their_grant_are_told_that_too_many_wait() {
    const FIT: usize = 512;
    let (rig, questions) = rig();
    // The longest arguments that people are asked about, with the name of the tool.
    let longest = call("asks", 64 * 1024 - r#"asks{"text":""}"#.len());
    let mut calls = vec![longest; FIT + 8];
    calls.push(call("counted", 0));
    let answers = tokio::spawn(rest(begin(&rig, calls).await));
    let mut numbers = Vec::new();
    while numbers.len() < FIT {
        let taken = questions.take(64, PATIENCE).unwrap().questions;
        numbers.extend(taken.iter().map(|asked| asked.number));
    }
    let started = Instant::now();
    while decided(&rig).await < 1.0 {
        assert!(started.elapsed() < PATIENCE);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    for number in numbers {
        questions.answer(number, Answer::Unavailable, false);
    }
    let mut answers = answers.await.unwrap();
    assert_eq!(answers.pop().unwrap().outcome(), Outcome::Allow);
    let (fit, beyond) = answers.split_at(FIT);
    assert!(
        fit.iter()
            .all(|answer| answer.rule == "(approval store unavailable)")
    );
    assert_eq!(beyond.len(), 8);
    for answer in beyond {
        assert_eq!(
            (answer.outcome(), &*answer.rule),
            (Outcome::Deny, "(approval capacity)")
        );
        assert!(
            answer.message.contains("too many calls of this grant wait"),
            "{}",
            answer.message
        );
    }
    assert!(questions.take(1, Duration::ZERO).unwrap().questions.is_empty());
}
