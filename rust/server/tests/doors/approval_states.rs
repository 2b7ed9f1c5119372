//! The state of an approval, at the doors: once, as a stream, and as a request that waits.

use std::sync::Arc;
use std::time::Duration;

use callgate_core::policy::Catalogue;
use callgate_proto::decision::v1::{
    Approval, ApprovalState as Message, GetApprovalRequest, WatchApprovalRequest,
};
use callgate_server::{
    ApprovalChannel, ApprovalState, ApprovalView, ApprovalsConfig, Questions, ServerConfig,
};
use tonic::{Code, Request, Status};

use super::support::{POLICY, Rig, state};

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
    let state = state(POLICY.as_bytes(), Catalogue::default());
    (Rig::with(state, config), questions)
}

fn view(state: ApprovalState) -> ApprovalView {
    ApprovalView {
        id: "abc".to_owned(),
        state,
        rule: "/tools/asks/approval".to_owned(),
        approvers: vec!["ops".to_owned()],
        reason: String::new(),
        until_us: u64::MAX,
        permit: String::new(),
    }
}

/// Answers the next looks on a thread of its own, each with the next of these.
fn showing(questions: &Arc<Questions>, found: Vec<Option<ApprovalView>>) -> std::thread::JoinHandle<()> {
    let questions = Arc::clone(questions);
    std::thread::spawn(move || {
        let mut found = found.into_iter();
        while found.len() > 0 {
            for (number, id) in questions.take(1, PATIENCE).unwrap().looks {
                assert_eq!(&*id, "abc");
                questions.show(number, found.next().unwrap());
            }
        }
    })
}

fn named(id: &str) -> GetApprovalRequest {
    GetApprovalRequest { id: id.to_owned() }
}

async fn get(rig: &Rig, id: &str) -> Result<Approval, Status> {
    let answer = rig.grpc().get_approval(named(id)).await?;
    Ok(answer.into_inner().approval.unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_look_tells_the_state() {
    let (rig, questions) = rig(20_000);
    let showing = showing(&questions, vec![Some(view(ApprovalState::Pending)), None]);
    let approval = get(&rig, "abc").await.unwrap();
    assert_eq!(approval.state(), Message::Pending);
    assert_eq!(
        (
            approval.id.as_str(),
            approval.rule.as_str(),
            approval.approvers.len()
        ),
        ("abc", "/tools/asks/approval", 1)
    );
    assert_eq!(get(&rig, "abc").await.unwrap_err().code(), Code::NotFound);
    showing.join().unwrap();
    for wrong in ["", &"a".repeat(129)] {
        assert_eq!(get(&rig, wrong).await.unwrap_err().code(), Code::InvalidArgument);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_an_answer_the_state_is_unavailable() {
    let (rig, questions) = rig(50);
    assert_eq!(get(&rig, "abc").await.unwrap_err().code(), Code::Unavailable);
    assert!(questions.take(1, Duration::ZERO).unwrap().looks.is_empty());
    questions.close();
    assert_eq!(get(&rig, "abc").await.unwrap_err().code(), Code::Unavailable);
    let without = Rig::new();
    assert_eq!(get(&without, "abc").await.unwrap_err().code(), Code::Unavailable);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_tells_each_state_and_ends_with_the_first_that_is_not_pending() {
    let (rig, questions) = rig(20_000);
    let request = WatchApprovalRequest { id: "abc".to_owned() };
    let shown = showing(
        &questions,
        vec![
            Some(view(ApprovalState::Pending)),
            Some(view(ApprovalState::Pending)),
        ],
    );
    let mut states = rig.grpc().watch_approval(request).await.unwrap().into_inner();
    let first = states.message().await.unwrap().unwrap().approval.unwrap();
    assert_eq!(first.state(), Message::Pending);
    let next = tokio::spawn(async move {
        let next = states.message().await.unwrap().unwrap().approval.unwrap();
        (next, states.message().await.unwrap())
    });
    shown.join().unwrap();
    while !questions.has_watchers() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let shown = showing(&questions, vec![Some(view(ApprovalState::Approved))]);
    questions.repeat_looks(Some(&["abc".to_owned()]));
    let (approved, end) = next.await.unwrap();
    assert_eq!(approved.state(), Message::Approved);
    assert!(end.is_none());
    shown.join().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_state_whose_time_is_over_is_read_again_without_news() {
    let (rig, questions) = rig(20_000);
    let over = ApprovalView {
        until_us: 1,
        ..view(ApprovalState::Pending)
    };
    let shown = showing(
        &questions,
        vec![Some(over.clone()), Some(over), Some(view(ApprovalState::Expired))],
    );
    let request = WatchApprovalRequest { id: "abc".to_owned() };
    let mut states = rig.grpc().watch_approval(request).await.unwrap().into_inner();
    states.message().await.unwrap().unwrap();
    let last = states.message().await.unwrap().unwrap().approval.unwrap();
    assert_eq!(last.state(), Message::Expired);
    shown.join().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_ends_with_its_deadline_and_leaves_no_look() {
    let (rig, questions) = rig(20_000);
    let mut request = Request::new(WatchApprovalRequest { id: "abc".to_owned() });
    request
        .metadata_mut()
        .insert("grpc-timeout", "300m".parse().unwrap());
    let pending = Some(view(ApprovalState::Pending));
    let shown = showing(&questions, vec![pending.clone(), pending]);
    let mut states = rig.grpc().watch_approval(request).await.unwrap().into_inner();
    states.message().await.unwrap().unwrap();
    let error = states.message().await.unwrap_err();
    assert_eq!(error.code(), Code::DeadlineExceeded);
    shown.join().unwrap();
    while questions.has_watchers() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reading_without_an_answer_ends_no_stream_whose_state_is_known() {
    let (rig, questions) = rig(20_000);
    let over = Some(ApprovalView {
        until_us: 1,
        ..view(ApprovalState::Pending)
    });
    let request = WatchApprovalRequest { id: "abc".to_owned() };
    let shown = showing(&questions, vec![over.clone(), over]);
    let mut states = rig.grpc().watch_approval(request).await.unwrap().into_inner();
    states.message().await.unwrap().unwrap();
    shown.join().unwrap();
    let failing = {
        let questions = Arc::clone(&questions);
        std::thread::spawn(move || {
            let looks = questions.take(1, PATIENCE).unwrap().looks;
            questions.fail_look(looks[0].0);
        })
    };
    let next = tokio::spawn(async move { states.message().await.unwrap().unwrap().approval.unwrap() });
    failing.join().unwrap();
    let shown = showing(&questions, vec![Some(view(ApprovalState::Approved))]);
    assert_eq!(next.await.unwrap().state(), Message::Approved);
    shown.join().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_waits_longer_for_its_first_state_than_a_call_would() {
    let (rig, questions) = rig(50);
    let request = WatchApprovalRequest { id: "abc".to_owned() };
    let mut states = rig.grpc().watch_approval(request).await.unwrap().into_inner();
    tokio::time::sleep(Duration::from_millis(200)).await;
    let shown = showing(&questions, vec![Some(view(ApprovalState::Denied))]);
    let first = states.message().await.unwrap().unwrap().approval.unwrap();
    assert_eq!(first.state(), Message::Denied);
    shown.join().unwrap();
}

#[test]
fn plain_http_waits_for_a_change() {
    let (rig, questions) = rig(20_000);
    let shown = showing(
        &questions,
        vec![
            Some(view(ApprovalState::Pending)),
            Some(view(ApprovalState::Pending)),
            Some(view(ApprovalState::Denied)),
            None,
        ],
    );
    let ask = |target: &str| {
        let answer = rig.send(&format!("GET {target}"), &["Host: localhost"], b"");
        if answer.status == 200 {
            assert_eq!(answer.field("cache-control"), Some("no-store"));
        }
        (answer.status, answer.json())
    };
    let (status, body) = ask("/v1/approvals/abc");
    assert_eq!((status, body["state"].as_str()), (200, Some("pending")));
    assert_eq!(body["approvers"][0], "ops");
    let (status, body) = ask("/v1/approvals/abc?wait_ms=20000");
    assert_eq!(
        (status, body["state"].as_str()),
        (200, Some("denied")),
        "another state than the first look's"
    );
    let (status, body) = ask("/v1/approvals/abc");
    assert_eq!(
        (status, &body["error"]),
        (404, &"there is no approval with this id".into())
    );
    shown.join().unwrap();
    assert_eq!(ask("/v1/approvals/").0, 400);
    assert_eq!(ask("/v1/approvals/abc?wait=1").0, 400);
    let other_method = rig.send("POST /v1/approvals/abc", &["Host: localhost"], b"");
    assert_eq!(
        (other_method.status, other_method.field("allow")),
        (405, Some("GET"))
    );
    let rebound = rig.send("GET /v1/approvals/abc", &["Host: evil.example"], b"");
    assert_eq!(rebound.status, 403);
}
