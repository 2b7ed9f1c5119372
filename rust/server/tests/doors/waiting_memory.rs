//! Requests that are kept while a person is asked count as unfinished bytes, at every door.

use std::sync::Arc;
use std::time::Duration;

use callgate_core::approval::Answer;
use callgate_proto::decision::v1::decision_service_client::DecisionServiceClient;
use callgate_proto::decision::v1::{
    CheckBatchRequest, CheckRequest, CheckResponse, CheckStreamRequest, Outcome,
};
use callgate_proto::ext_mcp::McpRequest;
use callgate_proto::ext_mcp::ext_mcp_client::ExtMcpClient;
use callgate_proto::pb::envoy::service::auth::v3::attribute_context::{
    HttpRequest, Request as AttributesRequest,
};
use callgate_proto::pb::envoy::service::auth::v3::authorization_client::AuthorizationClient;
use callgate_proto::pb::envoy::service::auth::v3::{AttributeContext, CheckRequest as HttpCheck};
use callgate_server::{ApprovalChannel, ApprovalsConfig, Limits, Questions, ServerConfig};
use serde_json::json;
use tonic::metadata::MetadataValue;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};

use super::ext_mcp::header;
use super::identity::{config, granted};
use super::support::{Answer as HttpAnswer, Rig};

const PATIENCE: Duration = Duration::from_secs(20);

/// A quarter of this is for the first 16 KiB of each message, half of that for one connection: 4 messages.
const UNFINISHED_LIMIT_BYTES: usize = 512 * 1024;

fn rig() -> (Rig, Arc<Questions>) {
    let channel = ApprovalChannel {
        config: ApprovalsConfig {
            deadline_ms: 60_000,
            ..ApprovalsConfig::default()
        },
        ..ApprovalChannel::default()
    };
    let questions = Arc::clone(&channel.questions);
    let config = ServerConfig {
        approvals: Some(channel),
        limits: Limits {
            unfinished_limit_bytes: UNFINISHED_LIMIT_BYTES,
            body_limit_bytes: 128 * 1024,
            ..Limits::default()
        },
        ..config()
    };
    (Rig::with(granted(), config), questions)
}

/// A message of an enforcement point.
pub(crate) fn by<T>(pep: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    let token = MetadataValue::try_from(format!("Bearer {pep}")).unwrap();
    request.metadata_mut().insert("authorization", token);
    request
}

fn call(tool: &str, args_bytes: usize) -> CheckRequest {
    CheckRequest {
        grant: "mine".to_owned(),
        server: "srv".to_owned(),
        tool: tool.to_owned(),
        args_json: json!({"text": "x".repeat(args_bytes)}).to_string().into(),
        ..CheckRequest::default()
    }
}

fn message(tool: &str) -> String {
    json!({"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": {"name": tool, "arguments": {}}})
        .to_string()
}

async fn check(rig: &Rig, tool: &str) -> Result<Outcome, Status> {
    let answer = rig.grpc().check(by("cgt_gateway", call(tool, 1))).await?;
    Ok(answer.into_inner().outcome())
}

async fn batch(rig: &Rig, tools: &[&str]) -> Result<Vec<CheckResponse>, Status> {
    let calls = tools.iter().map(|tool| call(tool, 1)).collect();
    let batch = by("cgt_gateway", CheckBatchRequest { calls });
    Ok(rig.grpc().check_batch(batch).await?.into_inner().decisions)
}

/// The outcomes of a stream, and the status that ends it.
async fn stream(rig: &Rig, tools: &[&str]) -> (Vec<Outcome>, Code) {
    let messages: Vec<_> = (0..)
        .zip(tools)
        .map(|(id, tool)| CheckStreamRequest {
            id,
            call: Some(call(tool, 1)),
        })
        .collect();
    let request = by("cgt_gateway", tokio_stream::iter(messages));
    let mut answers = rig.grpc().check_stream(request).await.unwrap().into_inner();
    let mut outcomes = Vec::new();
    loop {
        match answers.message().await {
            Ok(Some(answer)) => outcomes.push(answer.decision.unwrap().outcome()),
            Ok(None) => return (outcomes, Code::Ok),
            Err(status) => return (outcomes, status.code()),
        }
    }
}

async fn ext_authz(rig: &Rig, tool: &str) -> Result<bool, Status> {
    let body = message(tool);
    let headers = [
        ("authorization", "Bearer cgt_mine"),
        ("content-type", "application/json"),
    ];
    let http = HttpRequest {
        method: "POST".to_owned(),
        path: "/mcp/srv".to_owned(),
        host: "mcp.example.com".to_owned(),
        size: i64::try_from(body.len()).unwrap(),
        headers: headers
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
        raw_body: body.into_bytes(),
        ..HttpRequest::default()
    };
    let attributes = Some(AttributeContext {
        request: Some(AttributesRequest {
            http: Some(http),
            ..AttributesRequest::default()
        }),
        ..AttributeContext::default()
    });
    let answer = AuthorizationClient::new(rig.channel())
        .check(by("cgt_proxy", HttpCheck { attributes }))
        .await?;
    Ok(answer.into_inner().status.unwrap().code == 0)
}

async fn ext_mcp(rig: &Rig, tool: &str) -> Result<bool, Status> {
    let asked = McpRequest {
        service_names: vec!["srv".to_owned()],
        method: "tools/call".to_owned(),
        mcp_request: Some(json!({"name": tool, "arguments": {}}).to_string().into()),
        headers: vec![
            header(":method", "POST"),
            header("authorization", "Bearer cgt_mine"),
        ],
        ..McpRequest::default()
    };
    let answer = ExtMcpClient::new(rig.channel())
        .check_request(by("cgt_proxy", asked))
        .await?;
    let result = answer.into_inner().result.unwrap();
    Ok(matches!(
        result,
        callgate_proto::ext_mcp::mcp_request_result::Result::Pass(_)
    ))
}

fn http_check(rig: &Rig, tool: &str) -> HttpAnswer {
    let body = json!({"grant": "mine", "server": "srv", "tool": tool}).to_string();
    rig.send(
        "POST /v1/check",
        &["Host: localhost", "Authorization: Bearer cgt_gateway"],
        body.as_bytes(),
    )
}

fn forward_auth(rig: &Rig, tool: &str) -> HttpAnswer {
    rig.send(
        "POST /v1/ext-authz/mcp/srv",
        &[
            "Host: mcp.example.com",
            "X-Callgate-Pep: Bearer cgt_proxy",
            "Authorization: Bearer cgt_mine",
            "Content-Type: application/json",
        ],
        message(tool).as_bytes(),
    )
}

/// Lets calls wait that fill the memory for small messages.
fn fill(rig: &Rig, questions: &Arc<Questions>) -> Vec<(u64, tokio::task::JoinHandle<Outcome>)> {
    let mut waiting = Vec::new();
    for _ in 0..2 {
        let client: DecisionServiceClient<Channel> = rig.grpc();
        for _ in 0..4 {
            let mut client = client.clone();
            let asked = tokio::spawn(async move {
                let asked = by("cgt_gateway", call("asks", 16 * 1024));
                client.check(asked).await.unwrap().into_inner().outcome()
            });
            let taken = questions.take(1, PATIENCE).unwrap().questions;
            waiting.push((taken[0].number, asked));
        }
    }
    waiting
}

fn is_full(status: &Status) -> bool {
    status.code() == Code::ResourceExhausted && status.message().contains("unfinished messages")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_would_wait_is_refused_where_no_more_bytes_may_be_kept() {
    let (rig, questions) = rig();
    let waiting = fill(&rig, &questions);

    assert!(is_full(&check(&rig, "asks").await.unwrap_err()));
    assert!(is_full(&ext_authz(&rig, "asks").await.unwrap_err()));
    assert!(is_full(&ext_mcp(&rig, "asks").await.unwrap_err()));
    for answer in [http_check(&rig, "asks"), forward_auth(&rig, "asks")] {
        assert_eq!(answer.status, 503, "{}", answer.body);
        assert!(answer.body.contains("unfinished messages"), "{}", answer.body);
    }
    assert!(questions.take(1, Duration::ZERO).unwrap().questions.is_empty());

    // Calls that need nobody go on.
    assert_eq!(check(&rig, "open").await.unwrap(), Outcome::Allow);
    assert!(ext_authz(&rig, "open").await.unwrap());
    assert!(ext_mcp(&rig, "open").await.unwrap());
    assert_eq!(http_check(&rig, "open").status, 200);
    assert_eq!(forward_auth(&rig, "open").status, 200);

    for (number, asked) in waiting {
        let id = format!("a{number}");
        questions.answer(number, Answer::Approved { id }, false);
        assert_eq!(asked.await.unwrap(), Outcome::Allow);
    }
    let refilled = fill(&rig, &questions);
    assert_eq!(refilled.len(), 8);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_calls_in_one_request_lose_no_decision_to_a_full_memory() {
    let (rig, questions) = rig();
    let waiting = fill(&rig, &questions);
    // Refused before its first call takes units.
    assert!(is_full(&batch(&rig, &["capped", "asks"]).await.unwrap_err()));
    let (outcomes, end) = stream(&rig, &["capped", "asks", "capped"]).await;
    assert_eq!((outcomes, end), (vec![Outcome::Allow], Code::ResourceExhausted));
    assert!(questions.take(1, Duration::ZERO).unwrap().questions.is_empty());

    for (number, _) in &waiting {
        questions.answer(*number, Answer::Unavailable, false);
    }
    for (_, asked) in waiting {
        assert_eq!(asked.await.unwrap(), Outcome::Deny);
    }
    // Two are allowed: one was taken by the stream.
    let decisions = batch(&rig, &["capped", "capped"]).await.unwrap();
    let outcomes: Vec<_> = decisions.iter().map(CheckResponse::outcome).collect();
    assert_eq!(outcomes, [Outcome::Allow, Outcome::RateLimited]);
}
