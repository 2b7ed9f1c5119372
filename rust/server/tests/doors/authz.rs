//! Envoy's external authorization, called as Envoy calls it.

use std::collections::HashMap;

use callgate_core::engine::FORCED_PANIC_TOOL;
use callgate_core::freeze::{Freeze, FreezeScope, FreezeSource};
use callgate_proto::pb::envoy::config::core::v3::{HeaderMap, HeaderValue, Metadata};
use callgate_proto::pb::envoy::service::auth::v3::attribute_context::{
    HttpRequest, Peer, Request as AttributesRequest,
};
use callgate_proto::pb::envoy::service::auth::v3::authorization_client::AuthorizationClient;
use callgate_proto::pb::envoy::service::auth::v3::check_response::HttpResponse;
use callgate_proto::pb::envoy::service::auth::v3::{AttributeContext, CheckRequest, CheckResponse};
use callgate_proto::pb::google::protobuf::value::Kind;
use callgate_proto::pb::google::protobuf::{Struct, Value};
use callgate_server::{IdentitySource, PathTemplate, ProxyConfig, Reload, ServerConfig, ServerSource};
use serde_json::{Value as Json, json};
use tonic::metadata::MetadataValue;
use tonic::{Code, Request};

use super::identity::{config, granted};
use super::support::Rig;

/// A request of an MCP client, as Envoy describes it.
fn mcp(token: &str, body: &Json) -> AttributeContext {
    let body = body.to_string().into_bytes();
    let headers = [
        ("authorization", format!("Bearer {token}")),
        ("content-type", "application/json".to_owned()),
        ("content-length", body.len().to_string()),
    ];
    context(HttpRequest {
        method: "POST".to_owned(),
        path: "/mcp/srv".to_owned(),
        host: "mcp.example.com".to_owned(),
        size: i64::try_from(body.len()).unwrap(),
        headers: headers.map(|(name, value)| (name.to_owned(), value)).into(),
        raw_body: body,
        ..HttpRequest::default()
    })
}

fn context(http: HttpRequest) -> AttributeContext {
    AttributeContext {
        request: Some(AttributesRequest {
            http: Some(http),
            ..AttributesRequest::default()
        }),
        ..AttributeContext::default()
    }
}

fn http(context: &mut AttributeContext) -> &mut HttpRequest {
    context.request.as_mut().unwrap().http.as_mut().unwrap()
}

fn call(tool: &str, arguments: &Json) -> Json {
    json!({"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": {"name": tool, "arguments": arguments}})
}

/// A change of a request.
type Change = fn(&mut AttributeContext);

/// The effect of the answer on Envoy.
#[derive(Debug)]
struct Told {
    /// 0 for a request that may be forwarded.
    status: i32,
    headers: HashMap<String, String>,
    removed: Vec<String>,
    body: Json,
    metadata: HashMap<String, Kind>,
}

fn told(response: CheckResponse) -> Told {
    let is_ok = response.status.unwrap().code == i32::from(Code::Ok);
    let metadata = response.dynamic_metadata.unwrap().fields.into_iter();
    let metadata = metadata
        .map(|(name, value)| (name, value.kind.unwrap()))
        .collect();
    let (status, options, removed, body) = match response.http_response.unwrap() {
        HttpResponse::OkResponse(ok) => (0, ok.headers, ok.headers_to_remove, Json::Null),
        HttpResponse::DeniedResponse(denied) => (
            denied.status.unwrap().code,
            denied.headers,
            Vec::new(),
            serde_json::from_str(&denied.body).unwrap(),
        ),
        HttpResponse::ErrorResponse(_) => panic!("an error is no decision"),
    };
    assert_eq!(is_ok, status == 0, "both parts of an answer say the same");
    let headers = options.into_iter().map(|option| {
        let header = option.header.unwrap();
        (header.key, header.value)
    });
    Told {
        status,
        headers: headers.collect(),
        removed,
        body,
        metadata,
    }
}

async fn ask(rig: &Rig, context: AttributeContext) -> Told {
    ask_as(rig, "cgt_proxy", context).await
}

async fn ask_as(rig: &Rig, pep: &str, context: AttributeContext) -> Told {
    let mut request = Request::new(CheckRequest {
        attributes: Some(context),
    });
    let token = MetadataValue::try_from(format!("Bearer {pep}")).unwrap();
    request.metadata_mut().insert("authorization", token);
    let answer = AuthorizationClient::new(rig.channel()).check(request).await;
    told(answer.unwrap().into_inner())
}

fn rig(proxies: ProxyConfig) -> Rig {
    let config = ServerConfig { proxies, ..config() };
    Rig::with(granted(), config)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn calls_are_decided_and_denials_tell_the_model_why() {
    let rig = rig(ProxyConfig::default());
    let open = ask(&rig, mcp("cgt_mine", &call("open", &json!({})))).await;
    assert_eq!((open.status, &*open.headers["x-callgate-outcome"]), (0, "allow"));
    assert_eq!(open.headers["x-callgate-policy"], "test");
    assert!(
        open.removed.contains(&"authorization".to_owned()),
        "the token is for callgate alone"
    );

    for remaining in ["1", "0"] {
        let capped = ask(&rig, mcp("cgt_mine", &call("capped", &json!({})))).await;
        assert_eq!(
            (capped.status, &*capped.headers["x-callgate-remaining"]),
            (0, remaining)
        );
        let Kind::StructValue(left) = &capped.metadata["remaining"] else {
            panic!("{:?}", capped.metadata);
        };
        assert_eq!(
            left.fields["calls"].kind,
            Some(Kind::StringValue(remaining.to_owned()))
        );
    }
    let capped = ask(&rig, mcp("cgt_mine", &call("capped", &json!({})))).await;
    assert_eq!((capped.status, &*capped.headers["retry-after"]), (429, "60"));
    assert_eq!(capped.headers["content-type"], "application/json");
    assert_eq!(capped.headers["x-callgate-rule"], "/tools/capped/limits/calls");
    assert!(capped.headers["ratelimit"].contains("calls"));
    assert_eq!(
        (&capped.body["id"], &capped.body["result"]["isError"]),
        (&json!(7), &json!(true))
    );
    let text = capped.body["result"]["content"][0]["text"].as_str().unwrap();
    assert!(text.contains("60 s"), "{text}");

    let small = ask(&rig, mcp("cgt_mine", &call("small", &json!({"n": 11})))).await;
    assert_eq!(
        (small.status, &small.body["result"]["content"][0]["text"]),
        (403, &json!("too many"))
    );
    let decision = &small.body["result"]["_meta"]["callgate/decision"];
    assert_eq!(decision["outcome"], "deny");
    let small = ask(&rig, mcp("cgt_mine", &call("small", &json!({"n": 10})))).await;
    assert_eq!(small.status, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_frozen_call_is_denied_and_a_session_is_not() {
    let rig = rig(ProxyConfig::default());
    let scope = FreezeScope::new(None, None, None).unwrap();
    let freeze = Freeze::new(scope, "stop", None).unwrap();
    rig.engine.set_freezes(FreezeSource::File, vec![freeze]);
    let frozen = ask(&rig, mcp("cgt_mine", &call("open", &json!({})))).await;
    assert_eq!(
        (frozen.status, &*frozen.headers["x-callgate-rule"]),
        (403, "(frozen)")
    );
    let list = json!({"jsonrpc": "2.0", "id": 7, "method": "tools/list"});
    assert_eq!(ask(&rig, mcp("cgt_mine", &list)).await.status, 0);
    rig.engine.set_freezes(FreezeSource::File, Vec::new());
    assert_eq!(
        ask(&rig, mcp("cgt_mine", &call("open", &json!({})))).await.status,
        0
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn who_calls_and_what_is_meant_comes_from_where_it_is_configured() {
    let names = |path: &[&str]| path.iter().map(ToString::to_string).collect();
    let rig = rig(ProxyConfig {
        identity: vec![
            IdentitySource::Header("x-agent".to_owned()),
            IdentitySource::Spiffe,
            IdentitySource::Metadata {
                namespace: "envoy.filters.http.jwt_authn".to_owned(),
                path: names(&["payload", "sub"]),
            },
        ],
        server: vec![
            ServerSource::Extension("callgate-server".to_owned()),
            ServerSource::Host,
            ServerSource::Path,
        ],
        hosts: [("other.example.com".to_owned(), "other".to_owned())].into(),
        paths: ["/mcp/{server}", "/rest/{tool}"]
            .map(|path| path.parse::<PathTemplate>().unwrap())
            .into(),
        ..ProxyConfig::default()
    });
    let body = call("open", &json!({}));
    let mut by_header = mcp("unused", &body);
    http(&mut by_header)
        .headers
        .insert("x-agent".to_owned(), "mine".to_owned());
    // A grant's id is taken only from who vouches for it.
    assert_eq!(ask_as(&rig, "cgt_proxy", by_header.clone()).await.status, 403);
    let allowed = ask_as(&rig, "cgt_gateway", by_header.clone()).await;
    assert_eq!(allowed.status, 0);
    assert!(
        !allowed.removed.contains(&"authorization".to_owned()),
        "it is the upstream's"
    );

    let mut alias = by_header.clone();
    http(&mut alias)
        .headers
        .insert("x_agent".to_owned(), "theirs".to_owned());
    assert_eq!(ask_as(&rig, "cgt_gateway", alias).await.status, 403);

    // Of the server `other`, which host, route and path name in this order.
    let mut theirs = mcp("unused", &body);
    let claim = Kind::StringValue("theirs".to_owned());
    let payload = structure("sub", claim);
    theirs.metadata_context = Some(Metadata {
        filter_metadata: [(
            "envoy.filters.http.jwt_authn".to_owned(),
            structure("payload", Kind::StructValue(payload)),
        )]
        .into(),
        ..Metadata::default()
    });
    assert_eq!(
        ask_as(&rig, "cgt_gateway", theirs.clone()).await.status,
        403,
        "its path says `srv`"
    );
    http(&mut theirs).host = "OTHER.example.com:443".to_owned();
    assert_eq!(ask_as(&rig, "cgt_gateway", theirs.clone()).await.status, 0);
    theirs
        .context_extensions
        .insert("callgate-server".to_owned(), "srv".to_owned());
    assert_eq!(ask_as(&rig, "cgt_gateway", theirs.clone()).await.status, 403);
    // An identity that comes first hides the later ones, right or wrong.
    theirs.source = Some(Peer {
        principal: "spiffe://cluster.local/ns/a".to_owned(),
        ..Peer::default()
    });
    theirs.context_extensions.clear();
    assert_eq!(ask_as(&rig, "cgt_gateway", theirs).await.status, 403);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn where_a_path_names_the_tool_its_arguments_are_the_body() {
    let rig = rig(ProxyConfig {
        identity: vec![IdentitySource::Header("x-agent".to_owned())],
        paths: ["/mcp/{server}", "/rest/{tool}"]
            .map(|path| path.parse::<PathTemplate>().unwrap())
            .into(),
        ..ProxyConfig::default()
    });
    let rest = |arguments: &str| {
        let mut rest = mcp("unused", &Json::Null);
        let http = http(&mut rest);
        http.path = "/rest/small".to_owned();
        http.raw_body = arguments.into();
        http.headers = [("x-agent", "mine"), ("content-type", "application/json")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into();
        http.size = -1;
        let server = ("callgate-server".to_owned(), "srv".to_owned());
        rest.context_extensions = [server].into();
        rest
    };
    assert_eq!(ask_as(&rig, "cgt_gateway", rest(r#"{"n": 1}"#)).await.status, 0);
    let denied = ask_as(&rig, "cgt_gateway", rest(r#"{"n": 99}"#)).await;
    assert_eq!(
        (denied.status, &denied.body["message"]),
        (403, &json!("too many"))
    );
    for wrong in ["[]", "{", r#"{"n": 1, "n": 99}"#] {
        assert_eq!(
            ask_as(&rig, "cgt_gateway", rest(wrong)).await.status,
            403,
            "{wrong}"
        );
    }
    // A body that was not sent along does not count as an empty one, whatever its length.
    let unseen: [Change; 3] = [
        |c| set(c, "transfer-encoding", "chunked"),
        |c| http(c).method = "POST".to_owned(),
        |c| {
            http(c).method = "GET".to_owned();
            set(c, "transfer-encoding", "chunked");
        },
    ];
    for change in unseen {
        let mut rest = rest("");
        change(&mut rest);
        let denied = ask_as(&rig, "cgt_gateway", rest).await;
        let told = denied.body["message"].as_str().unwrap();
        assert!(told.contains("depends on its arguments"), "{told}");
    }
    let mut none = rest("");
    set(&mut none, "content-length", "0");
    assert_eq!(ask_as(&rig, "cgt_gateway", none).await.status, 0);
    // Paths that some servers read as that one.
    for path in ["/rest/small/", "/Rest/small", "/rest", "/other"] {
        let mut elsewhere = rest("{}");
        http(&mut elsewhere).path = path.to_owned();
        assert_eq!(ask_as(&rig, "cgt_gateway", elsewhere).await.status, 403, "{path}");
    }
}

fn structure(name: &str, kind: Kind) -> Struct {
    Struct {
        fields: [(name.to_owned(), Value { kind: Some(kind) })].into(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn sessions_are_for_known_callers() {
    let rig = rig(ProxyConfig::default());
    let initialize = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {}});
    let unknown = json!({"jsonrpc": "2.0", "id": "x", "method": "tools/destroy"});
    for (token, initialized) in [
        ("cgt_mine", 0),
        ("cgt_revoked", 403),
        ("CGT_mine", 403),
        ("", 403),
    ] {
        let answer = ask(&rig, mcp(token, &initialize)).await;
        assert_eq!(answer.status, initialized, "{token}");
        let mut stream = mcp(token, &Json::Null);
        http(&mut stream).raw_body.clear();
        http(&mut stream).headers.remove("content-length");
        http(&mut stream).size = 0;
        for method in ["GET", "DELETE", "POST", "PUT"] {
            http(&mut stream).method = method.to_owned();
            let expected = if ["GET", "DELETE"].contains(&method) {
                initialized
            } else {
                403
            };
            assert_eq!(
                ask(&rig, stream.clone()).await.status,
                expected,
                "{token} {method}"
            );
        }
    }
    let answer = ask(&rig, mcp("cgt_mine", &unknown)).await;
    assert_eq!((answer.status, &answer.body["id"]), (403, &json!("x")));
    assert_eq!(answer.headers["x-callgate-rule"], "(default deny)");
    let stranger = ask(&rig, mcp("cgt_nobody", &initialize)).await;
    assert_eq!(
        (&stranger.body["id"], &stranger.body["error"]["code"]),
        (&json!(1), &json!(403))
    );
    assert_eq!(stranger.headers["x-callgate-rule"], "(unknown grant)");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_was_not_judged_as_a_whole_is_denied() {
    let rig = rig(ProxyConfig::default());
    let allowed = || mcp("cgt_mine", &call("open", &json!({})));
    assert_eq!(ask(&rig, allowed()).await.status, 0);
    let cases: [(&str, Change); 21] = [
        ("partial", |c| set(c, "x-envoy-auth-partial-body", "true")),
        ("longer", |c| set(c, "content-length", "9999")),
        ("no length", |c| set(c, "content-length", "many")),
        ("larger", |c| http(c).size = 9_999),
        ("compressed", |c| set(c, "content-encoding", "gzip")),
        ("as text", |c| {
            let body = std::mem::take(&mut http(c).raw_body);
            http(c).body = String::from_utf8(body).unwrap();
        }),
        ("no body", |c| http(c).raw_body.clear()),
        ("another encoding", |c| {
            set(c, "content-type", "application/json; charset=utf-7");
        }),
        ("a form", |c| {
            set(c, "content-type", "application/x-www-form-urlencoded");
        }),
        ("upgrade", |c| set(c, "upgrade", "websocket")),
        ("a stream with a body", |c| {
            http(c).method = "GET".to_owned();
            http(c).raw_body.clear();
            http(c).headers.remove("content-length");
            set(c, "transfer-encoding", "chunked");
        }),
        ("another method of HTTP", |c| http(c).method = "PUT".to_owned()),
        ("another server's path", |c| http(c).path = "/mcp/srv/".to_owned()),
        ("no server", |c| http(c).path = "/elsewhere".to_owned()),
        ("nobody", |c| {
            http(c).headers.remove("authorization");
        }),
        ("another tool", |c| set(c, "mcp-name", "other")),
        ("another method", |c| set(c, "mcp-method", "tools/list")),
        ("alias", |c| set(c, "mcp_name", "open")),
        ("path", |c| http(c).path = "/mcp//srv".to_owned()),
        ("basic", |c| set(c, "authorization", "Basic Y2d0X21pbmU6")),
        ("two tokens", |c| {
            http(c).headers.remove("authorization");
            let header = |value: &str| HeaderValue {
                key: "authorization".to_owned(),
                raw_value: value.into(),
                ..HeaderValue::default()
            };
            http(c).header_map = Some(HeaderMap {
                headers: vec![header("Bearer cgt_mine"), header("Bearer cgt_theirs")],
            });
        }),
    ];
    for (name, change) in cases {
        let mut context = allowed();
        change(&mut context);
        let answer = ask(&rig, context).await;
        assert_eq!(
            (answer.status, &*answer.headers["x-callgate-rule"]),
            (403, "(invalid request)"),
            "{name}"
        );
        let told = answer.body.to_string();
        assert!(!told.contains("cgt_") && !told.contains("Y2d0"), "{told}");
    }
    let batch = json!([call("open", &json!({}))]);
    assert_eq!(ask(&rig, mcp("cgt_mine", &batch)).await.status, 403);
    let nothing = told(
        AuthorizationClient::new(Rig::new().channel())
            .check(CheckRequest::default())
            .await
            .unwrap()
            .into_inner(),
    );
    assert_eq!(nothing.status, 403);
}

fn set(context: &mut AttributeContext, name: &str, value: &str) {
    http(context).headers.insert(name.to_owned(), value.to_owned());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn our_headers_are_ours_alone() {
    let rig = rig(ProxyConfig::default());
    let mut context = mcp("cgt_mine", &call("open", &json!({})));
    for name in [
        "x-callgate-outcome",
        "x-callgate-remaining",
        "x-callgate-made-up",
        "x_callgate_outcome",
    ] {
        set(&mut context, name, "allow");
    }
    let mut answer = ask(&rig, context).await;
    answer.removed.sort();
    assert_eq!(
        answer.removed,
        [
            "authorization",
            "x-callgate-made-up",
            "x-callgate-remaining",
            "x-callgate-rule",
            "x-callgate-shadow",
            "x_callgate_outcome"
        ],
        "also those that Envoy may have kept to itself"
    );
    assert_eq!(answer.headers["x-callgate-outcome"], "allow");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn denials_may_be_tool_results_for_clients_that_show_nothing_else() {
    let rig = rig(ProxyConfig {
        tool_errors: true,
        ..ProxyConfig::default()
    });
    let denied = ask(&rig, mcp("cgt_mine", &call("forbidden", &json!({})))).await;
    assert_eq!(
        (denied.status, &denied.body["result"]["isError"]),
        (200, &json!(true))
    );
    assert_eq!(denied.headers["x-callgate-outcome"], "deny");
    // A message that is not a call gets the status itself: there is no result to send.
    let unknown = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/destroy"});
    assert_eq!(ask(&rig, mcp("cgt_mine", &unknown)).await.status, 403);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn where_callers_are_named_changes_at_once() {
    let rig = rig(ProxyConfig::default());
    let by = |name: &str| {
        let mut context = mcp("unused", &call("open", &json!({})));
        http(&mut context).headers.remove("authorization");
        set(&mut context, name, "mine");
        context
    };
    let reload = |names: &str, state| {
        let proxies = ProxyConfig {
            identity: vec![IdentitySource::Header(names.to_owned())],
            ..ProxyConfig::default()
        };
        let reload = Reload {
            proxies: Some(proxies),
            state,
            ..Reload::default()
        };
        rig.server.reload(reload).unwrap();
    };
    let statuses = || async {
        let one = ask_as(&rig, "cgt_gateway", by("x-one")).await.status;
        (one, ask_as(&rig, "cgt_gateway", by("x-two")).await.status)
    };
    assert_eq!(statuses().await, (403, 403));
    reload("x-one", None);
    assert_eq!(statuses().await, (0, 403));
    reload("x-two", Some(granted()));
    assert_eq!(statuses().await, (403, 0));
    // Parts that a reload does not change stay in force.
    rig.server
        .reload(Reload {
            state: Some(granted()),
            ..Reload::default()
        })
        .unwrap();
    assert_eq!(statuses().await, (403, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn strangers_and_panics_let_nothing_through() {
    let rig = rig(ProxyConfig::default());
    let request = CheckRequest {
        attributes: Some(mcp("cgt_mine", &call("open", &json!({})))),
    };
    let refused = AuthorizationClient::new(rig.channel()).check(request).await;
    assert_eq!(refused.unwrap_err().code(), Code::Unauthenticated);
    let panicked = ask(&rig, mcp("cgt_mine", &call(FORCED_PANIC_TOOL, &json!({})))).await;
    assert_eq!(
        (panicked.status, &*panicked.headers["x-callgate-rule"]),
        (403, "(internal error)")
    );
    assert_eq!(
        ask(&rig, mcp("cgt_mine", &call("open", &json!({})))).await.status,
        0
    );
}
