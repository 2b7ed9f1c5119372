//! The trace context of calls in the decision log, at each door. `tests/cases/traceparents.json` holds the values.

use std::collections::BTreeMap;
use std::path::Path;

use callgate_core::policy::Catalogue;
use callgate_proto::decision::v1::{CheckBatchRequest, CheckRequest};
use callgate_proto::ext_mcp::ext_mcp_client::ExtMcpClient;
use callgate_proto::ext_mcp::{McpHeader, McpRequest};
use callgate_proto::pb::envoy::service::auth::v3::attribute_context::{HttpRequest, Request as Attributes};
use callgate_proto::pb::envoy::service::auth::v3::authorization_client::AuthorizationClient;
use callgate_proto::pb::envoy::service::auth::v3::{AttributeContext, CheckRequest as EnvoyRequest};
use callgate_server::{
    AuditConfig, AuditMode, AuditTarget, IdentitySource, ProxyConfig, ServerConfig, ServerSource,
};
use serde_json::{Value, json};
use tonic::Request;

use super::ext_proc::{Exchange, MODES, head, request_body};
use super::support::{Folder, Rig, state};

const POLICY: &str = r#"{"version": "1", "name": "test", "default": "allow"}"#;

/// The span in `_meta` where a header names another.
const OTHER: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

struct Case {
    name: String,
    traceparent: String,
    is_valid: bool,
}

impl Case {
    /// A header can carry the value.
    fn is_field_value(&self) -> bool {
        !self.traceparent.contains(['\r', '\n', '\0'])
    }
}

/// A call of a tool, with this span in `_meta`.
fn call(tool: &str, span: &str) -> Value {
    let params = json!({"name": tool, "arguments": {}, "_meta": {"traceparent": span}});
    json!({"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": params})
}

fn cases() -> Vec<Case> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/cases/traceparents.json");
    let cases: Vec<Value> = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let text = |case: &Value, key: &str| case[key].as_str().unwrap().to_owned();
    let cases = cases.iter().map(|case| Case {
        name: text(case, "name"),
        traceparent: text(case, "traceparent"),
        is_valid: case["is_valid"].as_bool().unwrap(),
    });
    cases.collect()
}

fn rig(log: &Path) -> Rig {
    let config = ServerConfig {
        proxies: ProxyConfig {
            identity: vec![IdentitySource::Header("x-agent".to_owned())],
            server: vec![ServerSource::Path],
            ..ProxyConfig::default()
        },
        audit: Some(AuditConfig {
            mode: AuditMode::Required,
            ..AuditConfig::new(AuditTarget::File(log.to_owned()))
        }),
        ..ServerConfig::default()
    };
    Rig::with(state(POLICY.as_bytes(), Catalogue::default()), config)
}

/// A request whose metadata names this span.
fn with<T>(traceparent: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request
        .metadata_mut()
        .insert("traceparent", traceparent.parse().unwrap());
    request
}

async fn ask_grpc(rig: &Rig, case: &Case, tool: &str) {
    let call = |tool: String| CheckRequest {
        grant: "g".to_owned(),
        tool,
        ..CheckRequest::default()
    };
    let one = with(&case.traceparent, call(tool.to_owned()));
    rig.grpc().check(one).await.unwrap();
    let batch = CheckBatchRequest {
        calls: vec![call(format!("{tool} in a batch"))],
    };
    rig.grpc()
        .check_batch(with(&case.traceparent, batch))
        .await
        .unwrap();
}

async fn ask_envoy(rig: &Rig, headers: &[(&str, &str)], message: &Value) {
    let body = message.to_string().into_bytes();
    let headers = headers
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let http = HttpRequest {
        method: "POST".to_owned(),
        path: "/mcp/srv".to_owned(),
        headers: headers.chain([("x-agent".to_owned(), "a".to_owned())]).collect(),
        raw_body: body,
        ..HttpRequest::default()
    };
    let request = Attributes {
        http: Some(http),
        ..Attributes::default()
    };
    let check = EnvoyRequest {
        attributes: Some(AttributeContext {
            request: Some(request),
            ..AttributeContext::default()
        }),
    };
    AuthorizationClient::new(rig.channel())
        .check(check)
        .await
        .unwrap();
}

async fn ask_agentgateway(rig: &Rig, headers: &[(&str, &str)], message: &Value) {
    let header = |(key, value): &(&str, &str)| McpHeader {
        key: (*key).to_owned(),
        value: (*value).to_owned().into(),
    };
    let message = McpRequest {
        service_names: vec!["srv".to_owned()],
        method: "tools/call".to_owned(),
        mcp_request: Some(message["params"].to_string().into()),
        headers: headers.iter().chain(&[("x-agent", "a")]).map(header).collect(),
        ..McpRequest::default()
    };
    ExtMcpClient::new(rig.channel())
        .check_request(message)
        .await
        .unwrap();
}

async fn ask_processor(rig: &Rig, headers: &[(&str, &str)], message: &Value) {
    let mut exchange = Exchange::open(rig).await;
    exchange.ask(head("POST", headers, false, MODES)).await;
    exchange.ask(request_body(message)).await;
}

fn ask_http(rig: &Rig, case: &Case, tool: &str) {
    let field = format!("traceparent: {}", case.traceparent);
    let body = json!({"grant": "g", "tool": tool}).to_string();
    rig.send("POST /v1/check", &["Host: localhost", &field], body.as_bytes());
}

fn ask_forward(rig: &Rig, fields: &[&str], message: &Value) {
    let fields = [&["Host: localhost", "X-Agent: a"], fields].concat();
    let body = message.to_string();
    rig.send("POST /v1/ext-authz/mcp/srv", &fields, body.as_bytes());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn each_door_logs_the_span_of_its_caller_if_it_is_valid() {
    let folder = Folder::new();
    let path = folder.file("decisions.jsonl");
    let rig = rig(&path);
    let mut expected = BTreeMap::new();
    let mut expect = |protocol: &str, tool: &str, span: Option<&str>| {
        expected.insert((protocol.to_owned(), tool.to_owned()), span.map(str::to_owned));
    };
    for case in &cases() {
        let value = case.traceparent.as_str();
        let span = Some(value).filter(|_| case.is_valid);
        // In `_meta` alone.
        let tool = format!("{} in meta", case.name);
        let message = call(&tool, value);
        ask_envoy(&rig, &[], &message).await;
        ask_agentgateway(&rig, &[], &message).await;
        ask_processor(&rig, &[], &message).await;
        ask_forward(&rig, &[], &message);
        for protocol in ["ext_authz", "ext_mcp", "ext_proc", "forward_auth"] {
            expect(protocol, &tool, span);
        }
        if !case.is_field_value() {
            continue;
        }
        // In a header field alone.
        let tool = case.name.as_str();
        ask_grpc(&rig, case, tool).await;
        ask_http(&rig, case, tool);
        expect("grpc", tool, span);
        expect("grpc", &format!("{tool} in a batch"), span);
        expect("http", tool, span);
        // In a header field, and another one in `_meta`.
        let tool = format!("{tool} in both");
        let (message, headers) = (call(&tool, OTHER), [("traceparent", value)]);
        ask_envoy(&rig, &headers, &message).await;
        ask_agentgateway(&rig, &headers, &message).await;
        ask_processor(&rig, &headers, &message).await;
        ask_forward(&rig, &[&format!("traceparent: {value}")], &message);
        for protocol in ["ext_authz", "ext_mcp", "ext_proc", "forward_auth"] {
            expect(protocol, &tool, span.or(Some(OTHER)));
        }
    }
    rig.server.stop();
    let text = std::fs::read_to_string(&path).unwrap();
    let lines = text.lines().map(|line| {
        let line: Value = serde_json::from_str(line).unwrap();
        let text = |key: &str| line[key].as_str().map(str::to_owned);
        assert_eq!(line["outcome"], "allow", "{line}");
        (
            (text("protocol").unwrap(), text("tool").unwrap()),
            text("traceparent"),
        )
    });
    assert_eq!(lines.collect::<BTreeMap<_, _>>(), expected);
}
