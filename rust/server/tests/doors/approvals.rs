//! Calls that need a person's approval, at the doors: the wait, the answers, and the uses that are given back.

use std::sync::Arc;
use std::time::Duration;

use callgate_core::approval::Answer;
use callgate_core::policy::Catalogue;
use callgate_proto::decision::v1::{
    CheckBatchRequest, CheckRequest, CheckResponse, CheckStreamRequest, Outcome, SettleAction, SettleRequest,
};
use callgate_server::{ApprovalChannel, ApprovalsConfig, GivenBack, Questions, ServerConfig};
use tonic::{Code, Request};

use super::support::{Rig, state};

const POLICY: &str = r#"{"version": "1", "name": "test", "default": "deny", "tools": {
    "open": {},
    "asks": {"action": "require_approval"},
    "once": {"action": "require_approval", "limits": [{"counter": "c", "max": 1, "window": "hour"}]}
}}"#;
const PATIENCE: Duration = Duration::from_secs(20);

fn rig(deadline_ms: u64) -> (Rig, Arc<Questions>) {
    let channel = ApprovalChannel {
        config: ApprovalsConfig {
            deadline_ms,
            ..ApprovalsConfig::default()
        },
        ..ApprovalChannel::default()
    };
    let questions = Arc::clone(&channel.questions);
    let config = ServerConfig {
        approvals: Some(channel),
        ..ServerConfig::default()
    };
    (
        Rig::with(state(POLICY.as_bytes(), Catalogue::default()), config),
        questions,
    )
}

fn call(tool: &str) -> CheckRequest {
    CheckRequest {
        grant: "g".to_owned(),
        tool: tool.to_owned(),
        reserve: true,
        ..CheckRequest::default()
    }
}

/// Answers the next questions on a thread of its own, in their order.
fn answering(questions: &Arc<Questions>, answers: Vec<Answer>) -> std::thread::JoinHandle<()> {
    let questions = Arc::clone(questions);
    std::thread::spawn(move || {
        let mut answers = answers.into_iter();
        while answers.len() > 0 {
            for open in questions.take(1, PATIENCE).unwrap().questions {
                questions.answer(open.number, answers.next().unwrap(), false);
            }
        }
    })
}

fn approved(id: &str) -> Answer {
    Answer::Approved { id: id.to_owned() }
}

fn waiting(id: &str) -> Answer {
    Answer::Waiting {
        id: id.to_owned(),
        rule: "/tools/asks/approval".to_owned(),
        approvers: vec!["ops".to_owned()],
        until_us: 0,
    }
}

fn brief(decision: &CheckResponse) -> (Outcome, &str, &str) {
    (decision.outcome(), &decision.rule, &decision.approval)
}

fn given_back(questions: &Questions) -> Vec<GivenBack> {
    questions.take(0, PATIENCE).unwrap().given_back
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_answer_becomes_a_decision() {
    let (rig, questions) = rig(20_000);
    let denied = Answer::Denied {
        id: "d".to_owned(),
        rule: "/tools/asks/approval".to_owned(),
        reason: "not\n today".to_owned(),
        until_us: 0,
    };
    let full = Answer::AtCapacity { of_grant: true };
    let answers = vec![approved("a"), waiting("w"), denied, full, Answer::Unavailable];
    let answered = answering(&questions, answers);
    let mut decisions = Vec::new();
    for _ in 0..5 {
        decisions.push(rig.grpc().check(call("asks")).await.unwrap().into_inner());
    }
    answered.join().unwrap();
    let brief: Vec<_> = decisions.iter().map(brief).collect();
    assert_eq!(
        brief,
        [
            (Outcome::Allow, "", "a"),
            (Outcome::ApprovalRequired, "/tools/asks/approval", "w"),
            (Outcome::Deny, "/tools/asks/approval", "d"),
            (Outcome::Deny, "(approval capacity)", ""),
            (Outcome::Deny, "(approval store unavailable)", ""),
        ]
    );
    assert!(
        decisions[1]
            .message
            .contains("`w` of a person of the group `ops`")
    );
    assert!(decisions[2].message.contains("not today"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_question_that_nobody_takes_in_time_is_asked_of_nobody() {
    let (rig, questions) = rig(50);
    let decision = rig.grpc().check(call("asks")).await.unwrap().into_inner();
    assert_eq!(
        brief(&decision),
        (Outcome::Deny, "(approval store unavailable)", "")
    );
    assert!(questions.take(1, Duration::ZERO).unwrap().questions.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_late_answer_has_consumed_is_given_back() {
    let (rig, questions) = rig(1_000);
    let mut client = rig.grpc();
    let asked = tokio::spawn(async move { client.check(call("asks")).await });
    let taken = questions.take(1, PATIENCE).unwrap().questions;
    let decision = asked.await.unwrap().unwrap().into_inner();
    assert_eq!(
        brief(&decision),
        (Outcome::Deny, "(approval store unavailable)", "")
    );
    questions.answer(taken[0].number, approved("a"), false);
    let back = given_back(&questions);
    assert_eq!(
        (back.len(), back[0].id.as_str(), back[0].is_permit),
        (1, "a", false)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_consumed_for_a_caller_that_has_gone_is_given_back() {
    let (rig, questions) = rig(20_000);
    let mut client = rig.grpc();
    let asked = tokio::spawn(async move { client.check(call("asks")).await });
    let taken = questions.take(1, PATIENCE).unwrap();
    asked.abort();
    assert!(asked.await.unwrap_err().is_cancelled());
    let number = taken.questions[0].number;
    let used = GivenBack {
        id: "a".to_owned(),
        use_id: taken.questions[0].use_id.clone(),
        is_permit: true,
    };
    // The reset of the stream takes a moment to arrive; until then the door could still use it.
    tokio::time::sleep(Duration::from_millis(200)).await;
    questions.answer(number, approved("a"), true);
    assert_eq!(given_back(&questions), [used]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_use_comes_back_with_a_roll_back() {
    let (rig, questions) = rig(20_000);
    let answered = answering(&questions, vec![approved("a")]);
    let first = rig.grpc().check(call("once")).await.unwrap().into_inner();
    answered.join().unwrap();
    assert_eq!(brief(&first), (Outcome::Allow, "", "a"));
    // Too little is left, so that nobody is asked.
    let second = rig.grpc().check(call("once")).await.unwrap().into_inner();
    assert_eq!(second.outcome(), Outcome::RateLimited);
    let settle = |action: SettleAction| SettleRequest {
        reservation: first.reservation.clone(),
        action: action.into(),
    };
    let settled = rig.grpc().settle(settle(SettleAction::RollBack)).await.unwrap();
    assert!(settled.into_inner().settled);
    assert_eq!(given_back(&questions)[0].id, "a");
    let settled = rig.grpc().settle(settle(SettleAction::RollBack)).await.unwrap();
    assert!(!settled.into_inner().settled);
    assert!(questions.take(0, Duration::ZERO).unwrap().given_back.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_waits_once_and_keeps_its_order() {
    let (rig, questions) = rig(20_000);
    let mut client = rig.grpc();
    let calls = ["asks", "open", "asks"].map(call).to_vec();
    let asked = tokio::spawn(async move { client.check_batch(CheckBatchRequest { calls }).await });
    let mut taken = Vec::new();
    while taken.len() < 2 {
        taken.extend(questions.take(2, PATIENCE).unwrap().questions);
    }
    // Answered in the other order.
    questions.answer(taken[1].number, waiting("w"), false);
    questions.answer(taken[0].number, approved("a"), false);
    let decisions = asked.await.unwrap().unwrap().into_inner().decisions;
    let brief: Vec<_> = decisions.iter().map(brief).collect();
    assert_eq!(
        brief,
        [
            (Outcome::Allow, "", "a"),
            (Outcome::Allow, "", ""),
            (Outcome::ApprovalRequired, "/tools/asks/approval", "w"),
        ]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_decides_what_is_behind_a_call_that_waits() {
    let (rig, questions) = rig(20_000);
    let calls = ["open", "asks", "open", "asks"].map(call);
    let messages: Vec<_> = (0..)
        .zip(calls)
        .map(|(id, call)| CheckStreamRequest { id, call: Some(call) })
        .collect();
    let mut client = rig.grpc();
    let mut answers = client
        .check_stream(tokio_stream::iter(messages))
        .await
        .unwrap()
        .into_inner();
    let first = answers.message().await.unwrap().unwrap();
    assert_eq!((first.id, first.decision.unwrap().outcome()), (0, Outcome::Allow));
    let next = tokio::spawn(async move {
        let mut rest = Vec::new();
        while let Some(answer) = answers.message().await.unwrap() {
            rest.push((answer.id, answer.decision.unwrap().outcome()));
        }
        rest
    });
    let mut taken = Vec::new();
    // Both are asked before the first is answered.
    while taken.len() < 2 {
        taken.extend(questions.take(2, PATIENCE).unwrap().questions);
    }
    questions.answer(taken[1].number, waiting("w"), false);
    questions.answer(taken[0].number, approved("a"), false);
    assert_eq!(
        next.await.unwrap(),
        [
            (1, Outcome::Allow),
            (2, Outcome::Allow),
            (3, Outcome::ApprovalRequired),
        ]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_gets_its_answer_before_its_own_deadline() {
    let (rig, _questions) = rig(20_000);
    let mut request = Request::new(call("asks"));
    request.set_timeout(Duration::from_secs(2));
    let decision = rig.grpc().check(request).await.unwrap().into_inner();
    assert_eq!(
        brief(&decision),
        (Outcome::Deny, "(approval store unavailable)", "")
    );
    let mut request = Request::new(call("asks"));
    request.set_timeout(Duration::from_nanos(1));
    let code = rig.grpc().check(request).await.unwrap_err().code();
    assert!(matches!(code, Code::DeadlineExceeded | Code::Cancelled), "{code}");
}
