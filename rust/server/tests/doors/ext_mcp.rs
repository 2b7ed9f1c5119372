//! agentgateway's questions about MCP messages, asked as it asks.

use std::collections::BTreeMap;

use callgate_core::State;
use callgate_core::engine::{FORCED_PANIC_TOOL, Setup};
use callgate_core::grant::{GrantSpec, Token};
use callgate_core::policy::{Catalogue, Format, Source};
use callgate_proto::ext_mcp::authorization_error::Code;
use callgate_proto::ext_mcp::ext_mcp_client::ExtMcpClient;
use callgate_proto::ext_mcp::mcp_request_result::Result as Answered;
use callgate_proto::ext_mcp::mcp_response_result::Result as Returned;
use callgate_proto::ext_mcp::{AuthorizationError, McpHeader, McpRequest, McpRequestResult, McpResponse};
use callgate_server::{IdentitySource, PathTemplate, ProxyConfig, ServerConfig, ServerSource};
use prost_types::value::Kind;
use prost_types::{Struct, Value};
use serde_json::{Value as Json, json};
use tonic::metadata::MetadataValue;
use tonic::{Request, Status};

use super::identity::{config, granted, key};
use super::support::{Rig, read_policy};

/// A call as it is on its way to `srv`.
fn call(token: &str, tool: &str, arguments: &Json) -> McpRequest {
    asking(
        token,
        "tools/call",
        &["srv"],
        Some(&json!({"name": tool, "arguments": arguments})),
    )
}

fn asking(token: &str, method: &str, servers: &[&str], params: Option<&Json>) -> McpRequest {
    McpRequest {
        service_names: servers.iter().map(ToString::to_string).collect(),
        method: method.to_owned(),
        mcp_request: params.map(|params| params.to_string().into()),
        headers: vec![
            header(":method", "POST"),
            header(":path", "/anything//at;all"),
            header("authorization", &format!("Bearer {token}")),
            header("content-length", "7"),
        ],
        ..McpRequest::default()
    }
}

/// The tools that a list names, on its way back from these servers.
fn listing(token: &str, servers: &[&str], tools: &[&str]) -> McpResponse {
    let tools: Vec<Json> = tools.iter().map(|name| json!({"name": name})).collect();
    McpResponse {
        service_names: servers.iter().map(ToString::to_string).collect(),
        method: "tools/list".to_owned(),
        metadata_context: Some(metadata(&[("authorization", &format!("Bearer {token}"))])),
        mcp_response: json!({"tools": tools, "ttlMs": 0, "cacheScope": "private"})
            .to_string()
            .into(),
    }
}

pub(crate) fn header(name: &str, value: &str) -> McpHeader {
    McpHeader {
        key: name.to_owned(),
        value: value.into(),
    }
}

fn value(kind: Kind) -> Value {
    Value { kind: Some(kind) }
}

fn metadata(fields: &[(&str, &str)]) -> Struct {
    let fields = fields.iter().map(|(name, text)| {
        let text = Kind::StringValue((*text).to_owned());
        ((*name).to_owned(), value(text))
    });
    Struct {
        fields: fields.collect(),
    }
}

fn with<T>(pep: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    let token = MetadataValue::try_from(format!("Bearer {pep}")).unwrap();
    request.metadata_mut().insert("authorization", token);
    request
}

async fn ask_as(rig: &Rig, pep: &str, message: McpRequest) -> McpRequestResult {
    let answer = ExtMcpClient::new(rig.channel())
        .check_request(with(pep, message))
        .await;
    answer.unwrap().into_inner()
}

async fn ask(rig: &Rig, message: McpRequest) -> McpRequestResult {
    ask_as(rig, "cgt_proxy", message).await
}

async fn is_allowed(rig: &Rig, message: McpRequest) -> bool {
    matches!(ask(rig, message).await.result.unwrap(), Answered::Pass(_))
}

/// The denial of a message, and the decision that goes with it.
async fn denied(rig: &Rig, message: McpRequest) -> (Code, String, Json) {
    match ask(rig, message).await.result.unwrap() {
        Answered::Error(error) => told(error),
        other => panic!("{other:?}"),
    }
}

fn told(error: AuthorizationError) -> (Code, String, Json) {
    let object: Json = serde_json::from_slice(error.mcp_error.as_deref().unwrap()).unwrap();
    assert_eq!(object["message"], *error.reason);
    assert!(object["code"].is_i64());
    let decision = object["data"]["callgate/decision"].clone();
    (error.code.try_into().unwrap(), error.reason, decision)
}

/// The names that are left of a list; `None` where it goes back as it came.
async fn listed(rig: &Rig, response: McpResponse) -> Option<Vec<String>> {
    match returned(rig, response).await.unwrap() {
        Returned::Pass(_) => None,
        Returned::Mutated(list) => {
            let list: Json = serde_json::from_slice(&list).unwrap();
            assert_eq!(list["ttlMs"], 0, "the rest stays");
            let tools = list["tools"].as_array().unwrap().iter();
            Some(
                tools
                    .map(|tool| tool["name"].as_str().unwrap().to_owned())
                    .collect(),
            )
        }
        Returned::Error(error) => panic!("{error:?}"),
    }
}

async fn returned(rig: &Rig, response: McpResponse) -> Result<Returned, Status> {
    let answer = ExtMcpClient::new(rig.channel())
        .check_response(with("cgt_proxy", response))
        .await?;
    Ok(answer.into_inner().result.unwrap())
}

fn rig(proxies: ProxyConfig) -> Rig {
    Rig::with(granted(), ServerConfig { proxies, ..config() })
}

fn default_rig() -> Rig {
    rig(ProxyConfig::default())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn calls_are_decided_and_denials_tell_the_model_why() {
    let rig = default_rig();
    let open = ask(&rig, call("cgt_mine", "open", &json!({}))).await;
    assert!(matches!(open.result, Some(Answered::Pass(_))), "{open:?}");
    let mutation = open.header_mutation.unwrap();
    let set: BTreeMap<String, String> = mutation
        .set
        .into_iter()
        .map(|header| (header.key, String::from_utf8(header.value).unwrap()))
        .collect();
    assert_eq!(
        (&*set["x-callgate-outcome"], &*set["x-callgate-policy"]),
        ("allow", "test")
    );
    assert_eq!(
        mutation.remove,
        ["authorization"],
        "the token is for callgate alone"
    );
    let Some(Kind::StructValue(facts)) = &open.metadata.unwrap().fields["callgate"].kind else {
        panic!("no facts")
    };
    assert_eq!(
        facts.fields["outcome"].kind,
        Some(Kind::StringValue("allow".to_owned()))
    );
    assert!(facts.fields.contains_key("policy_version"));

    for _ in 0..2 {
        assert!(is_allowed(&rig, call("cgt_mine", "capped", &json!({}))).await);
    }
    let (code, reason, decision) = denied(&rig, call("cgt_mine", "capped", &json!({}))).await;
    assert_eq!(
        (code, &decision["retry_after_ms"]),
        (Code::ResourceExhausted, &json!(60_000))
    );
    assert!(reason.contains("try again in 60 s"), "{reason}");
    let (code, reason, decision) = denied(&rig, call("cgt_mine", "small", &json!({"n": 11}))).await;
    assert_eq!((code, &*reason), (Code::PermissionDenied, "too many"));
    assert_eq!(decision["rule"], "/tools/small/deny_if/args.n-gt");
    assert!(is_allowed(&rig, call("cgt_mine", "small", &json!({"n": 10}))).await);
    let counts = rig.server.metrics().decisions;
    assert!(!counts.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn numbers_are_judged_as_they_are_forwarded() {
    let policy = r#"{"version": "1", "name": "p", "default": "deny",
        "tools": {"t": {"require": [{"conditions": [{"path": "args.n", "op": "eq", "value": 9007199254740993}]}]}}}"#;
    let rig = Rig::with(
        super::support::state(policy.as_bytes(), Catalogue::default()),
        ServerConfig {
            proxies: ProxyConfig {
                identity: vec![IdentitySource::Header("x-agent".to_owned())],
                ..ProxyConfig::default()
            },
            ..ServerConfig::default()
        },
    );
    let with = |n: &str| McpRequest {
        mcp_request: Some(format!(r#"{{"name":"t","arguments":{{"n":{n}}}}}"#).into()),
        headers: vec![header("x-agent", "a")],
        ..call("unused", "t", &json!({}))
    };
    assert!(is_allowed(&rig, with("9007199254740993")).await);
    // The neighbour, and what a double would make of both.
    for other in ["9007199254740992", "9007199254740992.0", "9.007199254740992e15"] {
        assert!(!is_allowed(&rig, with(other)).await, "{other}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_could_be_taken_two_ways_is_no_message() {
    let rig = default_rig();
    let params = |params: &str| McpRequest {
        mcp_request: Some(params.to_owned().into()),
        ..call("cgt_mine", "open", &json!({}))
    };
    let sent = |headers: &[(&str, &str)]| {
        let mut message = call("cgt_mine", "open", &json!({}));
        message
            .headers
            .extend(headers.iter().map(|(name, value)| header(name, value)));
        message
    };
    let cases = [
        params(r#"{"name":"open","name":"forbidden"}"#),
        params(r#"{"name":"open"},"method":"ping""#),
        params(r#"{"name":"open","Arguments":{}}"#),
        params(r#"{"name":"open","arguments":[]}"#),
        params(r#"{"name":"open","arguments":{"a":{"b":1,"b":2}}}"#),
        params(r#"[{"name":"open"}]"#),
        params(""),
        McpRequest {
            mcp_request: Some(b"{\"name\":\"o\xff\"}".as_slice().into()),
            ..call("cgt_mine", "open", &json!({}))
        },
        McpRequest {
            mcp_request: None,
            ..call("cgt_mine", "open", &json!({}))
        },
        McpRequest {
            method: "Tools/Call".to_owned(),
            ..call("cgt_mine", "open", &json!({}))
        },
        McpRequest {
            method: String::new(),
            ..call("cgt_mine", "open", &json!({}))
        },
        McpRequest {
            service_names: Vec::new(),
            ..call("cgt_mine", "open", &json!({}))
        },
        McpRequest {
            service_names: vec!["srv".to_owned(), "other".to_owned()],
            ..call("cgt_mine", "open", &json!({}))
        },
        sent(&[("authorization", "Bearer cgt_theirs")]),
        sent(&[("Authorization", "Bearer cgt_theirs")]),
        sent(&[("mcp_name", "open")]),
        sent(&[("mcp-session-id", "a"), ("mcp-session-id", "b")]),
    ];
    for message in cases {
        let (code, reason, decision) = denied(&rig, message.clone()).await;
        assert_eq!(
            (code, &decision["rule"]),
            (Code::Invalid, &json!("(invalid request)")),
            "{message:?}: {reason}"
        );
        assert!(!reason.contains("cgt_"), "{reason}");
    }
    // The gateway has held these against the client's message, and writes them anew.
    assert!(
        is_allowed(
            &rig,
            sent(&[("mcp-method", "tools/call"), ("mcp-name", "srv_open")])
        )
        .await
    );
    // A path that names nothing here is nobody's concern.
    assert!(is_allowed(&rig, sent(&[])).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn messages_that_call_nothing_pass_for_known_callers() {
    let rig = default_rig();
    for method in ["tools/list", "initialize", "notifications/initialized"] {
        assert!(
            is_allowed(&rig, asking("cgt_mine", method, &["srv"], None)).await,
            "{method}"
        );
        let (code, _, decision) = denied(&rig, asking("cgt_nobody", method, &["srv"], None)).await;
        assert_eq!(
            (code, &decision["rule"]),
            (Code::PermissionDenied, &json!("(unknown grant)"))
        );
    }
    let (_, reason, decision) = denied(&rig, asking("cgt_mine", "tools/destroy", &["srv"], None)).await;
    assert_eq!(decision["rule"], "(default deny)");
    assert!(reason.contains("`tools/destroy`"), "{reason}");
    // To several servers: for those who may ask one of them.
    let several = |token| asking(token, "tools/list", &["other", "srv"], None);
    assert!(is_allowed(&rig, several("cgt_mine")).await);
    assert!(is_allowed(&rig, several("cgt_theirs")).await);
    assert!(!is_allowed(&rig, several("cgt_nobody")).await);
    assert!(!is_allowed(&rig, asking("cgt_mine", "tools/list", &["other", "third"], None)).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_target_is_the_server_unless_the_gateway_names_another() {
    let rig = rig(ProxyConfig {
        identity: vec![
            IdentitySource::Header("x-agent".to_owned()),
            IdentitySource::Metadata {
                namespace: "agentgateway".to_owned(),
                path: ["jwt", "sub"].map(str::to_owned).into(),
            },
        ],
        server: vec![
            ServerSource::Path,
            ServerSource::Host,
            ServerSource::Extension("callgate-server".to_owned()),
        ],
        hosts: [("other.example.com".to_owned(), "other".to_owned())].into(),
        paths: vec![
            "/mcp/{server}".parse::<PathTemplate>().unwrap(),
            "/{tool}".parse().unwrap(),
        ],
        ..ProxyConfig::default()
    });
    let with_agent = |mut message: McpRequest| {
        message.headers = vec![
            header(":path", "/mcp/other"),
            header(":authority", "other.example.com"),
            header("x-agent", "mine"),
        ];
        message
    };
    let by_header = with_agent(call("unused", "open", &json!({})));
    let passes = |answer: McpRequestResult| matches!(answer.result, Some(Answered::Pass(_)));
    assert!(passes(ask_as(&rig, "cgt_gateway", by_header.clone()).await));
    // A grant's id is taken only from who vouches for it.
    assert!(!passes(ask_as(&rig, "cgt_proxy", by_header.clone()).await));
    let named = |server: &str| McpRequest {
        service_names: vec!["some-target".to_owned()],
        metadata_context: Some(metadata(&[("callgate-server", server)])),
        ..by_header.clone()
    };
    assert!(passes(ask_as(&rig, "cgt_gateway", named("srv")).await));
    assert!(!passes(ask_as(&rig, "cgt_gateway", named("other")).await));
    assert!(!passes(ask_as(&rig, "cgt_gateway", named("")).await));
    let by_claim = |sub: Kind| {
        let jwt = Struct {
            fields: [("sub".to_owned(), value(sub))].into(),
        };
        McpRequest {
            headers: Vec::new(),
            metadata_context: Some(Struct {
                fields: [("jwt".to_owned(), value(Kind::StructValue(jwt)))].into(),
            }),
            ..call("unused", "open", &json!({}))
        }
    };
    let mine = Kind::StringValue("mine".to_owned());
    assert!(passes(ask_as(&rig, "cgt_gateway", by_claim(mine)).await));
    assert!(!passes(
        ask_as(&rig, "cgt_gateway", by_claim(Kind::NumberValue(7.0))).await
    ));
    // What stands for headers of a result is none of a message.
    let forged = McpRequest {
        headers: Vec::new(),
        metadata_context: Some(metadata(&[("x-agent", "mine")])),
        ..call("unused", "open", &json!({}))
    };
    assert!(!passes(ask_as(&rig, "cgt_gateway", forged).await));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn our_headers_are_ours_alone() {
    let rig = default_rig();
    let mut message = call("cgt_mine", "open", &json!({}));
    for name in ["x-callgate-outcome", "x-callgate-made-up", "x_callgate_rule"] {
        message.headers.push(header(name, "forged"));
    }
    let mut removed = ask(&rig, message).await.header_mutation.unwrap().remove;
    removed.sort();
    assert_eq!(
        removed,
        ["authorization", "x-callgate-made-up", "x_callgate_rule"]
    );
}

/// `srv` and `other`, each with a grant; `srv` hides what begins with `delete` and what destroys.
fn hiding(mode: &str) -> State {
    let policy = |name: &str, hide: &str| {
        let text = format!(
            r#"{{"version": "1", "name": "{name}", "default": "deny", "mode": "{mode}", "hide": [{hide}],
                "categories": {{"Destructive": {{"hide": true}}}}, "tools": {{"open": {{}}, "a_b": {{}}}}}}"#
        );
        (
            name.to_owned(),
            "p.json".to_owned(),
            read_policy(name, text.as_bytes()),
        )
    };
    let grant = |id: &str, server: &str, policy: &str| GrantSpec {
        id: id.to_owned(),
        tokens: vec![key().digest(Token::new(&format!("cgt_{id}"))).into()],
        server: server.to_owned(),
        policy: Some(policy.to_owned()),
        servers: Vec::new(),
        labels: Vec::new(),
        expires_at_us: None,
        revoked: false,
    };
    let setup = Setup {
        policies: vec![policy("hides", r#""delete*""#), policy("shows", "")],
        servers: ["srv", "other"].map(|server| (server.to_owned(), None)).into(),
        grants: Some(vec![
            grant("mine", "srv", "hides"),
            grant("theirs", "other", "shows"),
        ]),
        grant_key: Some(key()),
        ..Setup::default()
    };
    let catalogue = r#"{"version": "1", "servers": {"srv": {"tools": {"drop": {"category": "Destructive", "risk": "high"}}}}}"#;
    let catalogue = Source {
        name: "<catalogue>",
        stem: "catalogue",
        format: Format::Json,
        bytes: catalogue.as_bytes(),
    };
    State::configure(setup, Catalogue::parse(&catalogue).unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn hidden_tools_are_taken_out_of_lists() {
    let rig = Rig::with(hiding("enforce"), config());
    let tools = ["open", "delete_all", "drop", "a_b"];
    assert_eq!(
        listed(&rig, listing("cgt_mine", &["srv"], &tools)).await.unwrap(),
        ["open", "a_b"]
    );
    assert_eq!(
        listed(&rig, listing("cgt_theirs", &["other"], &tools)).await,
        None
    );
    // One target whose name stands before its tools all the same.
    assert_eq!(
        listed(
            &rig,
            listing("cgt_mine", &["srv"], &["srv_open", "srv_drop", "srv_delete"])
        )
        .await
        .unwrap(),
        ["srv_open"]
    );
    // Several: each tool by its own server, and those of a server where the caller is nobody are gone.
    let merged = [
        "srv_open",
        "srv_drop",
        "other_open",
        "third_open",
        "open",
        "delete_it",
    ];
    assert_eq!(
        listed(&rig, listing("cgt_mine", &["srv", "other"], &merged))
            .await
            .unwrap(),
        ["srv_open", "third_open", "open"]
    );
    // In shadow nothing is hidden.
    let shadow = Rig::with(hiding("shadow"), config());
    assert_eq!(listed(&shadow, listing("cgt_mine", &["srv"], &tools)).await, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn lists_of_nobody_known_and_unreadable_ones_do_not_go_back() {
    let rig = Rig::with(hiding("enforce"), config());
    let fine = || listing("cgt_mine", &["srv"], &["open", "drop"]);
    let unsaid = McpResponse {
        metadata_context: None,
        ..fine()
    };
    for (response, code) in [
        (listing("cgt_nobody", &["srv"], &["open"]), Code::PermissionDenied),
        (listing("cgt_mine", &["other"], &["open"]), Code::PermissionDenied),
        (listing("cgt_mine", &["third"], &["open"]), Code::PermissionDenied),
        (unsaid, Code::Invalid),
        (
            McpResponse {
                metadata_context: Some(metadata(&[("authorization", "Basic Y2d0")])),
                ..fine()
            },
            Code::Invalid,
        ),
        (
            McpResponse {
                mcp_response: br#"{"tools":[],"tools":[{"name":"drop"}]}"#.as_slice().into(),
                ..fine()
            },
            Code::Invalid,
        ),
        (
            McpResponse {
                mcp_response: br#"{"tools":{}}"#.as_slice().into(),
                ..fine()
            },
            Code::Invalid,
        ),
    ] {
        match returned(&rig, response.clone()).await.unwrap() {
            Returned::Error(error) => assert_eq!(told(error).0, code, "{response:?}"),
            other => panic!("{response:?}: {other:?}"),
        }
    }
    // Other results are not looked at, whoever they are for.
    let content = McpResponse {
        method: "tools/call".to_owned(),
        mcp_response: b"not even JSON".as_slice().into(),
        metadata_context: None,
        ..fine()
    };
    assert!(matches!(
        returned(&rig, content).await.unwrap(),
        Returned::Pass(_)
    ));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn strangers_and_panics_let_nothing_through() {
    let rig = default_rig();
    let mut client = ExtMcpClient::new(rig.channel());
    let message = call("cgt_mine", "open", &json!({}));
    let refused = client.check_request(message).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::Unauthenticated);
    let refused = client
        .check_response(listing("cgt_mine", &["srv"], &[]))
        .await
        .unwrap_err();
    assert_eq!(refused.code(), tonic::Code::Unauthenticated);
    let (code, _, decision) = denied(&rig, call("cgt_mine", FORCED_PANIC_TOOL, &json!({}))).await;
    assert_eq!(
        (code, &decision["rule"]),
        (Code::PermissionDenied, &json!("(internal error)"))
    );
    assert!(is_allowed(&rig, call("cgt_mine", "open", &json!({}))).await);
}
