//! `Peek` and `POST /v1/peek`: what is left, without a trace.

use callgate_proto::decision::v1::{Outcome, PeekRequest, PeekedCount};
use callgate_server::{AuditConfig, AuditMode, AuditTarget, ServerConfig};
use serde_json::json;
use tonic::{Code, Request};

use super::identity::{config, granted};
use super::support::{Folder, Rig};

fn peek(grant: &str, tool: &str) -> PeekRequest {
    PeekRequest {
        grant: grant.to_owned(),
        tool: tool.to_owned(),
        ..PeekRequest::default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_peek_tells_what_is_left_and_leaves_no_trace() {
    let folder = Folder::new();
    let path = folder.file("decisions.jsonl");
    let audit = AuditConfig {
        mode: AuditMode::Required,
        ..AuditConfig::new(AuditTarget::File(path.clone()))
    };
    let rig = Rig::configured(ServerConfig {
        audit: Some(audit),
        ..ServerConfig::default()
    });
    for _ in 0..5 {
        let over_grpc = rig.grpc().peek(peek("g", "capped")).await.unwrap().into_inner();
        let decision = over_grpc.decision.unwrap();
        assert_eq!(decision.outcome(), Outcome::Allow);
        let [limit] = over_grpc.limits.as_slice() else {
            panic!("one limit: {:?}", over_grpc.limits)
        };
        assert_eq!((limit.counter.as_str(), limit.max), ("calls", 2.0));
        let count = PeekedCount {
            remaining: 2.0,
            reset_after_ms: 0,
            retry_after_ms: Some(0),
            window_ms: limit.count.unwrap().window_ms,
        };
        assert_eq!(limit.count, Some(count));
        let over_http = rig.post_peek(br#"{"grant":"g","tool":"capped"}"#);
        assert_eq!((over_http.status, over_http.field("retry-after")), (200, None));
        assert_eq!(over_http.json()["limits"][0]["remaining"], 2);
    }
    rig.post_peek(br#"{"grant":"g","tool":"forbidden"}"#);
    let metrics = rig.server.metrics();
    assert!(metrics.decisions.is_empty() && metrics.denials.is_empty());
    assert_eq!((metrics.duration.count, metrics.counters), (0, 0));
    let events = rig.server.drain_events(usize::MAX);
    assert!(events.iter().all(|event| event.event != "denied"), "{events:?}");
    rig.server.stop();
    assert_eq!(std::fs::read_to_string(&path).unwrap_or_default(), "");
}

#[test]
fn the_status_is_that_of_the_decision() {
    let rig = Rig::new();
    for _ in 0..2 {
        rig.post(r#"{"grant":"g","tool":"capped"}"#);
    }
    let limited = rig.post_peek(br#"{"grant":"g","tool":"capped"}"#);
    assert_eq!(limited.status, 429);
    assert!(limited.field("retry-after").is_some());
    let document = limited.json();
    assert_eq!(
        document["limits"][0]["retry_after_ms"],
        document["decision"]["retry_after_ms"]
    );
    assert_eq!(rig.post_peek(br#"{"grant":"g","tool":"forbidden"}"#).status, 403);
    let every_tool = rig.post_peek(br#"{"grant":"g"}"#);
    assert_eq!(every_tool.status, 200);
    let document = every_tool.json();
    assert_eq!(
        (document.get("decision"), &document["policy"]),
        (None, &json!("test"))
    );
    let counters: Vec<_> = document["limits"]
        .as_array()
        .unwrap()
        .iter()
        .map(|limit| limit["counter"].as_str().unwrap())
        .collect();
    assert!(
        counters.contains(&"calls") && counters.contains(&"spend"),
        "{counters:?}"
    );
    for body in [&b"[]"[..], br#"{"grant":1}"#, br#"{"grant":"g","reserve":true}"#] {
        assert_eq!(rig.post_peek(body).status, 400);
    }
    for body in [
        &br#"{"grant":"g","tool":"open","args":[]}"#[..],
        br#"{"tool":"open"}"#,
    ] {
        let malformed = rig.post_peek(body);
        assert_eq!(malformed.status, 403);
        assert_eq!(malformed.json()["decision"]["rule"], "(invalid request)");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn those_may_peek_who_may_ask() {
    let rig = Rig::with(granted(), config());
    let refused = rig.grpc().peek(peek("mine", "open")).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
    assert_eq!(rig.post_peek(br#"{"grant":"mine","tool":"open"}"#).status, 401);
    let mut rules = Vec::new();
    for token in ["cgt_proxy", "cgt_gateway"] {
        let mut request = Request::new(peek("mine", ""));
        let value = format!("Bearer {token}").parse().unwrap();
        request.metadata_mut().insert("authorization", value);
        let answer = rig.grpc().peek(request).await.unwrap().into_inner();
        rules.push(answer.decision.map(|decision| decision.rule));
    }
    assert_eq!(
        rules,
        [Some("(unknown grant)".to_owned()), None],
        "only who vouches may name a grant"
    );
}
