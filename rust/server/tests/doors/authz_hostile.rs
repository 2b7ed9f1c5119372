//! Every hostile request, as Envoy would ask about it.

use std::collections::BTreeMap;
use std::path::Path;

use callgate_core::State;
use callgate_proto::pb::envoy::config::core::v3::{HeaderMap, HeaderValue};
use callgate_proto::pb::envoy::service::auth::v3::attribute_context::{
    HttpRequest, Request as AttributesRequest,
};
use callgate_proto::pb::envoy::service::auth::v3::authorization_client::AuthorizationClient;
use callgate_proto::pb::envoy::service::auth::v3::check_response::HttpResponse;
use callgate_proto::pb::envoy::service::auth::v3::{AttributeContext, CheckRequest};
use callgate_server::{IdentitySource, ProxyConfig, ServerConfig, ServerSource};
use serde_json::{Value, json};
use tonic::Code;
use tonic::transport::Channel;

use super::corpus::{Case, bytes, cases, catalogue};
use super::support::{Rig, state_by_server_knowing};

/// The form in which Envoy passes headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// One by one, as bytes: `encode_raw_headers`.
    Raw,
    /// Headers of one name joined with a comma, as text.
    Joined,
}

/// The answer to a request.
#[derive(Debug)]
struct Told {
    is_allowed: bool,
    rule: String,
    body: Value,
}

fn state(default: &str) -> State {
    let policy = format!(r#"{{"version": "1", "name": "test", "default": "{default}"}}"#);
    state_by_server_knowing(&[("srv", &policy)], catalogue())
}

fn rig(default: &str) -> Rig {
    let proxies = ProxyConfig {
        identity: vec![IdentitySource::Header("x-agent".to_owned())],
        server: vec![ServerSource::Path],
        ..ProxyConfig::default()
    };
    Rig::with(
        state(default),
        ServerConfig {
            proxies,
            ..ServerConfig::default()
        },
    )
}

/// Makes the request of a case without the case's own headers.
fn request(case: &Case, own: &Value) -> (HttpRequest, Vec<(String, Vec<u8>)>) {
    let body = case.body.clone().unwrap_or_default();
    let mut headers = vec![("x-agent".to_owned(), b"a".to_vec())];
    let mut size = i64::try_from(body.len()).unwrap();
    if own["http"]["chunks"].is_array() {
        headers.push(("transfer-encoding".to_owned(), b"chunked".to_vec()));
        size = -1;
    } else {
        let length = own["http"]["content_length"].as_str();
        let length = length.map_or_else(|| body.len().to_string(), str::to_owned);
        size = length.parse().unwrap_or(size);
        headers.push(("content-length".to_owned(), length.into_bytes()));
    }
    let sent = case.headers.iter();
    // As HTTP has them: names in lower case, values without white space around them.
    headers.extend(sent.map(|(name, value)| (name.to_ascii_lowercase(), value.trim_ascii().to_vec())));
    let http = HttpRequest {
        method: "POST".to_owned(),
        path: own["path"].as_str().unwrap_or("/mcp/srv").to_owned(),
        host: "mcp.example.com".to_owned(),
        size,
        raw_body: body,
        ..HttpRequest::default()
    };
    (http, headers)
}

fn with_headers(mut http: HttpRequest, headers: Vec<(String, Vec<u8>)>, form: Form) -> HttpRequest {
    match form {
        Form::Raw => {
            let headers = headers.into_iter().map(|(key, raw_value)| HeaderValue {
                key,
                raw_value,
                ..HeaderValue::default()
            });
            http.header_map = Some(HeaderMap {
                headers: headers.collect(),
            });
        }
        Form::Joined => {
            let mut joined: BTreeMap<String, String> = BTreeMap::new();
            for (name, value) in headers {
                let value = String::from_utf8_lossy(&value);
                joined
                    .entry(name)
                    .and_modify(|all| *all = format!("{all},{value}"))
                    .or_insert_with(|| value.into_owned());
            }
            http.headers = joined;
        }
    }
    http
}

async fn ask(channel: &Channel, http: HttpRequest) -> Told {
    let attributes = AttributeContext {
        request: Some(AttributesRequest {
            http: Some(http),
            ..AttributesRequest::default()
        }),
        ..AttributeContext::default()
    };
    let request = CheckRequest {
        attributes: Some(attributes),
    };
    let answer = AuthorizationClient::new(channel.clone()).check(request).await;
    let answer = answer.unwrap().into_inner();
    let is_allowed = answer.status.unwrap().code == i32::from(Code::Ok);
    let (options, body) = match answer.http_response.unwrap() {
        HttpResponse::OkResponse(ok) => (ok.headers, Value::Null),
        HttpResponse::DeniedResponse(denied) => (denied.headers, serde_json::from_str(&denied.body).unwrap()),
        HttpResponse::ErrorResponse(error) => panic!("{error:?}"),
    };
    let rule = options.into_iter().filter_map(|option| option.header);
    let rule = rule.filter(|header| header.key == "x-callgate-rule");
    Told {
        is_allowed,
        rule: rule.map(|header| header.value).collect(),
        body,
    }
}

/// Returns true if the joined form changes the case: a field that occurs twice becomes another value, which may be
/// valid, or a value is not text.
fn is_joined_away(case: &Case) -> bool {
    let names: Vec<_> = case
        .headers
        .iter()
        .map(|(name, _)| name.to_ascii_lowercase())
        .collect();
    let twice = |name: &&str| names.iter().filter(|one| one == name).count() > 1;
    let is_text = case
        .headers
        .iter()
        .all(|(_, value)| std::str::from_utf8(value).is_ok());
    ["mcp-session-id", "mcp-protocol-version"].iter().any(twice) || !is_text
}

/// Asks about every message, under a policy that allows all tools and under one that allows none; returns the number of
/// messages.
async fn every_message(form: Form) -> usize {
    let (open, shut) = (rig("allow"), rig("deny"));
    let (open_channel, shut_channel) = (open.channel(), shut.channel());
    let mut count = 0;
    for case in cases() {
        if !case.can_be_sent() || form == Form::Joined && is_joined_away(&case) {
            continue;
        }
        count += 1;
        let (http, headers) = request(&case, &Value::Null);
        let http = with_headers(http, headers, form);
        let told = ask(&open_channel, http.clone()).await;
        let name = &case.name;
        // Envoy forwards the body, so if no body was sent along, there is none.
        if case.is_refused() || case.body.is_none() {
            assert!(
                !told.is_allowed && told.rule == "(invalid request)",
                "{name}: {told:?}"
            );
            let id = case.expect["id"].as_str().filter(|_| form == Form::Raw);
            if let Some(id) = id {
                let id: Value = serde_json::from_str(id).unwrap();
                assert_eq!(told.body["id"], id, "{name}");
            }
            assert!(told.body["error"]["code"].is_i64(), "{name}: {told:?}");
            continue;
        }
        assert_eq!(told.is_allowed, case.passes(), "{name}: {told:?}");
        let Some(call) = case.expect.get("call") else {
            if !case.passes() {
                assert_eq!(told.rule, "(default deny)", "{name}");
            }
            continue;
        };
        // Envoy is told the same call that was read.
        let denied = ask(&shut_channel, http).await;
        assert!(
            !denied.is_allowed && denied.rule == "(default deny)",
            "{name}: {denied:?}"
        );
        let id: Value = serde_json::from_str(call["id"].as_str().unwrap()).unwrap();
        assert_eq!(denied.body["id"], id, "{name}");
        let text = denied.body["result"]["content"][0]["text"].as_str().unwrap();
        let tool = format!("`{}`", call["tool"].as_str().unwrap());
        assert!(text.contains(&tool), "{name}: {text}");
    }
    count
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn every_message_with_headers_one_by_one() {
    let count = every_message(Form::Raw).await;
    assert!(count >= 200, "{count}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn every_message_with_headers_joined() {
    let count = every_message(Form::Joined).await;
    assert!(count >= 150, "{count}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn every_request_around_a_message() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/cases/hostile/http.json");
    let all: Vec<Value> = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    let rig = rig("allow");
    let channel = rig.channel();
    for own in &all {
        let headers = own["headers"].as_array().into_iter().flatten();
        let case = Case {
            name: own["name"].as_str().unwrap().to_owned(),
            headers: headers
                .map(|pair| (pair[0].as_str().unwrap().to_owned(), bytes(&pair[1])))
                .collect(),
            body: own.get("body").map(bytes),
            expect: own["expect"].clone(),
        };
        let (http, headers) = request(&case, own);
        let told = ask(&channel, with_headers(http, headers, Form::Raw)).await;
        assert_eq!(told.is_allowed, case.passes(), "{}: {told:?}", case.name);
        if case.is_refused() {
            assert_eq!(own["expect"]["refused"], json!("http"), "{}", case.name);
            assert!(
                ["(invalid request)", "(unknown server)"].contains(&&*told.rule),
                "{}: {told:?}",
                case.name
            );
        }
    }
    assert!(all.len() >= 30, "{}", all.len());
}
