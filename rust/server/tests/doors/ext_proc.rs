//! Envoy's external processing, called as Envoy calls it: requests, and their results.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use callgate_core::policy::Catalogue;
use callgate_proto::pb::envoy::config::core::v3::{HeaderMap, HeaderValue, Metadata};
use callgate_proto::pb::envoy::extensions::filters::http::ext_proc::v3::processing_mode::BodySendMode;
use callgate_proto::pb::envoy::service::ext_proc::v3::body_mutation::Mutation;
use callgate_proto::pb::envoy::service::ext_proc::v3::external_processor_client::ExternalProcessorClient;
use callgate_proto::pb::envoy::service::ext_proc::v3::processing_request::Request as Said;
use callgate_proto::pb::envoy::service::ext_proc::v3::processing_response::Response as Answered;
use callgate_proto::pb::envoy::service::ext_proc::v3::{
    HeaderMutation, HttpBody, HttpHeaders, HttpTrailers, ProcessingRequest, ProcessingResponse,
    ProtocolConfiguration,
};
use callgate_proto::pb::google::protobuf::value::Kind;
use callgate_proto::pb::google::protobuf::{Struct, Value};
use callgate_server::{IdentitySource, Limits, ProxyConfig, ServerConfig, ServerSource};
use serde_json::{Value as Json, json};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Request, Status, Streaming};

use super::identity::{config, granted};
use super::support::{Rig, state};

const POLICY: &str = r#"{
    "version": "1", "name": "test", "default": "deny", "hide": ["secret"],
    "tools": {
        "open": {},
        "once": {"limits": [{"counter": "calls", "window": "minute", "max": 1}]},
        "small": {"deny_if": [{"conditions": [{"path": "args.n", "op": "gt", "value": 10}], "on_deny": "too many"}]}
    }
}"#;

/// Makes a server whose callers name themselves.
pub(crate) fn rig() -> Rig {
    rig_with(Limits::default(), None)
}

pub(crate) fn rig_with(limits: Limits, mcp_metadata: Option<&str>) -> Rig {
    rig_under(POLICY, limits, mcp_metadata)
}

pub(crate) fn rig_under(policy: &str, limits: Limits, mcp_metadata: Option<&str>) -> Rig {
    rig_knowing(policy, limits, mcp_metadata, Catalogue::default())
}

pub(crate) fn rig_knowing(
    policy: &str,
    limits: Limits,
    mcp_metadata: Option<&str>,
    catalogue: Catalogue,
) -> Rig {
    let proxies = ProxyConfig {
        identity: vec![IdentitySource::Header("x-agent".to_owned())],
        server: vec![
            ServerSource::Extension("callgate-server".to_owned()),
            ServerSource::Path,
        ],
        mcp_metadata: mcp_metadata.map(str::to_owned),
        ..ProxyConfig::default()
    };
    let config = ServerConfig {
        proxies,
        limits,
        ..ServerConfig::default()
    };
    Rig::with(state(policy.as_bytes(), catalogue), config)
}

/// One exchange, from Envoy's side.
pub(crate) struct Exchange {
    sender: Option<mpsc::Sender<ProcessingRequest>>,
    answers: Streaming<ProcessingResponse>,
}

impl Exchange {
    pub(crate) async fn open(rig: &Rig) -> Self {
        Self::with(rig, &[]).await
    }

    pub(crate) async fn with(rig: &Rig, metadata: &[(&'static str, &str)]) -> Self {
        let (sender, receiver) = mpsc::channel(16);
        let mut request = Request::new(ReceiverStream::new(receiver));
        for (name, value) in metadata {
            request.metadata_mut().insert(*name, value.parse().unwrap());
        }
        let answers = ExternalProcessorClient::new(rig.channel()).process(request).await;
        Self {
            sender: Some(sender),
            answers: answers.unwrap().into_inner(),
        }
    }

    pub(crate) async fn say(&mut self, message: ProcessingRequest) {
        // An exchange that has ended hears no more.
        let _ = self.sender.as_ref().unwrap().send(message).await;
    }

    /// Returns the next answer; `None` at a regular end.
    pub(crate) async fn next(&mut self) -> Result<Option<ProcessingResponse>, Status> {
        let next = tokio::time::timeout(Duration::from_secs(60), self.answers.message());
        next.await.expect("an answer in time")
    }

    pub(crate) async fn ask(&mut self, message: ProcessingRequest) -> Answered {
        self.say(message).await;
        self.next().await.unwrap().expect("an answer").response.unwrap()
    }

    /// Returns the status with which the exchange ends after this message.
    async fn refusal(&mut self, message: ProcessingRequest) -> Code {
        self.say(message).await;
        self.next().await.expect_err("an end").code()
    }

    async fn is_left(&mut self) -> bool {
        self.next().await.unwrap().is_none()
    }
}

pub(crate) fn said(request: Said) -> ProcessingRequest {
    ProcessingRequest {
        request: Some(request),
        ..ProcessingRequest::default()
    }
}

fn header_map(headers: &[(&str, &str)]) -> HeaderMap {
    let header = |&(key, value): &(&str, &str)| HeaderValue {
        key: key.to_owned(),
        raw_value: value.into(),
        ..HeaderValue::default()
    };
    HeaderMap {
        headers: headers.iter().map(header).collect(),
    }
}

pub(crate) fn http_headers(headers: &[(&str, &str)], end_of_stream: bool) -> HttpHeaders {
    HttpHeaders {
        headers: Some(header_map(headers)),
        end_of_stream,
        ..HttpHeaders::default()
    }
}

/// The first message: a request to `/mcp/srv`, with these further headers, in these modes.
pub(crate) fn head(
    method: &str,
    more: &[(&str, &str)],
    end_of_stream: bool,
    (request, reply): (BodySendMode, BodySendMode),
) -> ProcessingRequest {
    let own = [
        (":method", method),
        (":path", "/mcp/srv"),
        (":authority", "mcp.example.com"),
        ("x-agent", "a"),
    ];
    ProcessingRequest {
        protocol_config: Some(ProtocolConfiguration {
            request_body_mode: request.into(),
            response_body_mode: reply.into(),
            ..ProtocolConfiguration::default()
        }),
        ..said(Said::RequestHeaders(http_headers(
            &[&own, more].concat(),
            end_of_stream,
        )))
    }
}

pub(crate) fn body(bytes: impl Into<Vec<u8>>, end_of_stream: bool) -> HttpBody {
    HttpBody {
        body: bytes.into(),
        end_of_stream,
        ..HttpBody::default()
    }
}

pub(crate) fn request_body(json: &Json) -> ProcessingRequest {
    said(Said::RequestBody(body(json.to_string(), true)))
}

fn call(tool: &str, arguments: &Json) -> Json {
    json!({"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": {"name": tool, "arguments": arguments}})
}

pub(crate) const MODES: (BodySendMode, BodySendMode) = (BodySendMode::Buffered, BodySendMode::Streamed);

/// Sends a request whose body is buffered; returns the answer to its body.
async fn send(exchange: &mut Exchange, more: &[(&str, &str)], message: &Json) -> Answered {
    let answer = exchange.ask(head("POST", more, false, MODES)).await;
    assert!(
        matches!(&answer, Answered::RequestHeaders(headers) if headers.response.as_ref().unwrap().header_mutation.is_none()),
        "nothing is known yet: {answer:?}"
    );
    exchange.ask(request_body(message)).await
}

/// Returns the headers that a mutation sets, and those that it removes.
pub(crate) fn mutation(mutation: Option<HeaderMutation>) -> (HashMap<String, String>, Vec<String>) {
    let mutation = mutation.unwrap_or_default();
    let set = mutation.set_headers.into_iter().map(|option| {
        let header = option.header.unwrap();
        assert_eq!(header.value, "", "Envoy reads raw values alone");
        (header.key, String::from_utf8(header.raw_value).unwrap())
    });
    (set.collect(), mutation.remove_headers)
}

/// Returns the headers that a forwarded request gets, and those that it loses.
pub(crate) fn passed(answer: Answered) -> (HashMap<String, String>, Vec<String>) {
    match answer {
        Answered::RequestHeaders(answer) => mutation(answer.response.unwrap().header_mutation),
        Answered::RequestBody(answer) => mutation(answer.response.unwrap().header_mutation),
        other => panic!("{other:?}"),
    }
}

/// Returns status, headers and body of an answer in place of the upstream's.
pub(crate) fn denied(answer: Answered) -> (i32, HashMap<String, String>, Json) {
    let Answered::ImmediateResponse(answer) = answer else {
        panic!("{answer:?}");
    };
    let (headers, removed) = mutation(answer.headers);
    assert!(removed.is_empty());
    let body = serde_json::from_slice(&answer.body).unwrap();
    (answer.status.unwrap().code, headers, body)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn calls_are_decided_and_denials_tell_the_model_why() {
    let rig = rig();
    let forged = [
        ("x-callgate-rule", "f"),
        ("x.callgate.y", "f"),
        ("x-callgate-outcome", "deny"),
    ];
    let mut exchange = Exchange::open(&rig).await;
    let (set, removed) = passed(send(&mut exchange, &forged, &call("open", &json!({}))).await);
    assert_eq!(
        (&*set["x-callgate-outcome"], &*set["x-callgate-policy"]),
        ("allow", "test")
    );
    assert_eq!(removed, ["x-callgate-rule", "x.callgate.y"]);
    assert!(
        exchange.is_left().await,
        "nothing was taken and nothing is to be cut"
    );

    let mut exchange = Exchange::open(&rig).await;
    let (status, headers, body) = denied(send(&mut exchange, &[], &call("small", &json!({"n": 11}))).await);
    assert_eq!((status, &body["id"]), (403, &json!(7)));
    assert_eq!(body["result"]["content"][0]["text"], "too many");
    assert_eq!(headers["x-callgate-rule"], "/tools/small/deny_if/args.n-gt");
    assert_eq!(headers["content-type"], "application/json");
    assert!(exchange.is_left().await);

    for (remaining, status) in [(Some("0"), 0), (None, 429)] {
        let mut exchange = Exchange::open(&rig).await;
        let answer = send(&mut exchange, &[], &call("once", &json!({}))).await;
        if let Some(remaining) = remaining {
            assert_eq!(passed(answer).0["x-callgate-remaining"], remaining);
        } else {
            let (code, headers, _) = denied(answer);
            assert_eq!((code, &*headers["retry-after"]), (status, "60"));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn tokens_and_peps_are_those_of_every_door() {
    let rig = Rig::with(granted(), config());
    let mut stranger = Request::new(ReceiverStream::new(mpsc::channel(1).1));
    stranger
        .metadata_mut()
        .insert("authorization", "Bearer cgt_nobody".parse().unwrap());
    let refused = ExternalProcessorClient::new(rig.channel())
        .process(stranger)
        .await;
    assert_eq!(refused.unwrap_err().code(), Code::Unauthenticated);

    let token = [("authorization", "Bearer cgt_mine")];
    let proxy = [("authorization", "Bearer cgt_proxy")];
    let mut exchange = Exchange::with(&rig, &proxy).await;
    let (_, removed) = passed(send(&mut exchange, &token, &call("open", &json!({}))).await);
    assert_eq!(removed, ["authorization"], "the token is for callgate alone");
    // The route names the server, in what opens the stream.
    let elsewhere = [proxy[0], ("callgate-server", "other")];
    let mut exchange = Exchange::with(&rig, &elsewhere).await;
    let (status, ..) = denied(send(&mut exchange, &token, &call("open", &json!({}))).await);
    assert_eq!(status, 403);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn bodies_are_judged_whole_or_not_at_all() {
    let rig = rig();
    let message = call("open", &json!({"text": "x".repeat(100_000)})).to_string();
    let duplex = (BodySendMode::FullDuplexStreamed, BodySendMode::None);
    for trailers in [false, true] {
        let mut exchange = Exchange::open(&rig).await;
        exchange.say(head("POST", &[], false, duplex)).await;
        let (begin, rest) = message.split_at(70_001);
        exchange.say(said(Said::RequestBody(body(begin, false)))).await;
        exchange.say(said(Said::RequestBody(body(rest, !trailers)))).await;
        if trailers {
            exchange
                .say(said(Said::RequestTrailers(HttpTrailers::default())))
                .await;
        }
        let first = exchange.next().await.unwrap().unwrap().response.unwrap();
        assert_eq!(passed(first).0["x-callgate-outcome"], "allow");
        let mut forwarded = Vec::new();
        let mut has_ended = false;
        while let Some(answer) = exchange.next().await.unwrap() {
            match answer.response.unwrap() {
                Answered::RequestBody(answer) => {
                    let mutation = answer.response.unwrap().body_mutation.unwrap().mutation.unwrap();
                    let Mutation::StreamedResponse(piece) = mutation else {
                        panic!("{mutation:?}")
                    };
                    assert!(piece.body.len() <= 65_536);
                    forwarded.extend(piece.body);
                    has_ended = piece.end_of_stream;
                }
                Answered::RequestTrailers(_) => assert!(trailers && !has_ended),
                other => panic!("{other:?}"),
            }
        }
        assert!(forwarded == message.as_bytes() && has_ended != trailers);
    }

    for (mode, reason) in [
        (BodySendMode::Streamed, "request_body_mode: BUFFERED"),
        (BodySendMode::Grpc, "request_body_mode: BUFFERED"),
        // Without body or header fields nobody knows what is called.
        (BodySendMode::None, "mcp-protocol-version"),
    ] {
        let mut exchange = Exchange::open(&rig).await;
        let answer = exchange
            .ask(head("POST", &[], false, (mode, BodySendMode::None)))
            .await;
        let (status, _, body) = denied(answer);
        assert_eq!(status, 403);
        assert!(
            body["error"]["message"].as_str().unwrap().contains(reason),
            "{body}"
        );
    }
    let partial = (BodySendMode::BufferedPartial, BodySendMode::None);
    let mut exchange = Exchange::open(&rig).await;
    exchange.ask(head("POST", &[], false, partial)).await;
    let answer = exchange
        .ask(said(Said::RequestBody(body(message.clone(), false))))
        .await;
    assert_eq!(denied(answer).0, 403);
    for headers in [[("content-length", "5")], [("content-encoding", "gzip")]] {
        let mut exchange = Exchange::open(&rig).await;
        assert_eq!(
            denied(send(&mut exchange, &headers, &call("open", &json!({}))).await).0,
            403
        );
    }
    // Trailers and no body.
    let mut exchange = Exchange::open(&rig).await;
    exchange.ask(head("POST", &[], false, MODES)).await;
    let answer = exchange
        .ask(said(Said::RequestTrailers(HttpTrailers::default())))
        .await;
    assert_eq!(denied(answer).0, 403);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn header_fields_name_the_call_where_no_body_comes() {
    let rig = rig();
    let none = (BodySendMode::None, BodySendMode::None);
    let fields = |tool| {
        [
            ("content-length", "5"),
            ("mcp-protocol-version", "2026-07-28"),
            ("mcp-method", "tools/call"),
            ("mcp-name", tool),
        ]
    };
    for (tool, status) in [("open", 0), ("small", 403), ("shut", 403)] {
        let mut exchange = Exchange::open(&rig).await;
        let answer = exchange.ask(head("POST", &fields(tool), false, none)).await;
        if status == 0 {
            passed(answer);
        } else {
            assert_eq!(denied(answer).0, status, "{tool}");
        }
    }
}

/// The metadata that the MCP filter writes for a call.
fn read_call(tool: &str, id: f64) -> Metadata {
    let value = |kind| Value { kind: Some(kind) };
    let string = |text: &str| Kind::StringValue(text.to_owned());
    let structure = |fields: &[(&str, Kind)]| Struct {
        fields: fields
            .iter()
            .map(|(key, kind)| ((*key).to_owned(), value(kind.clone())))
            .collect(),
    };
    let message = structure(&[
        ("jsonrpc", string("2.0")),
        ("method", string("tools/call")),
        ("id", Kind::NumberValue(id)),
        ("params", Kind::StructValue(structure(&[("name", string(tool))]))),
        ("is_mcp_request", Kind::BoolValue(true)),
        ("status", string("mcp_ok")),
    ]);
    Metadata {
        filter_metadata: [("mcp".to_owned(), message)].into(),
        ..Metadata::default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_the_mcp_filter_has_read_counts_where_it_is_named() {
    let none = (BodySendMode::None, BodySendMode::None);
    let named = rig_with(Limits::default(), Some("mcp"));
    let ask = |tool: &str| ProcessingRequest {
        metadata_context: Some(read_call(tool, 7.0)),
        ..head("POST", &[], false, none)
    };
    passed(Exchange::open(&named).await.ask(ask("open")).await);
    let (status, _, body) = denied(Exchange::open(&named).await.ask(ask("small")).await);
    assert_eq!(
        (status, &body["id"]),
        (403, &json!(7)),
        "nobody has seen the arguments"
    );
    assert_eq!(denied(Exchange::open(&rig()).await.ask(ask("open")).await).0, 403);

    // With the body beside it, both must say the same.
    for (tool, id, passes) in [("open", 7.0, true), ("small", 7.0, false), ("open", 8.0, false)] {
        let mut exchange = Exchange::open(&named).await;
        exchange.ask(head("POST", &[], false, MODES)).await;
        let message = ProcessingRequest {
            metadata_context: Some(read_call(tool, id)),
            ..request_body(&call("open", &json!({})))
        };
        let answer = exchange.ask(message).await;
        if passes {
            passed(answer);
        } else {
            assert_eq!(denied(answer).0, 403, "{tool} {id}");
        }
    }
}

/// The attributes that Envoy sends about a reply that it made itself.
fn attributes(flags: f64, details: &str) -> BTreeMap<String, Struct> {
    let fields = [
        ("response.flags", Kind::NumberValue(flags)),
        ("response.code_details", Kind::StringValue(details.to_owned())),
        ("upstream.request_attempt_count", Kind::NumberValue(1.0)),
    ];
    let fields = fields.map(|(key, kind)| (key.to_owned(), Value { kind: Some(kind) }));
    [(
        "envoy.filters.http.ext_proc".to_owned(),
        Struct {
            fields: fields.into(),
        },
    )]
    .into()
}

const REFUSED: &str =
    "upstream_reset_before_response_started{remote_connection_failure|delayed_connect_error:_111}";

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn units_come_back_only_where_nobody_was_reached() {
    for (told, comes_back) in [
        (Some(attributes(32.0, REFUSED)), true),
        (Some(attributes(0.0, "via_upstream")), false),
        (Some(attributes(4.0, "response_timeout")), false),
        (Some(BTreeMap::new()), false),
        // The client went away, or Envoy did.
        (None, false),
    ] {
        let rig = rig();
        let mut exchange = Exchange::open(&rig).await;
        passed(send(&mut exchange, &[], &call("once", &json!({}))).await);
        if let Some(attributes) = told.clone() {
            let reply = ProcessingRequest {
                attributes,
                ..said(Said::ResponseHeaders(http_headers(&[(":status", "503")], false)))
            };
            assert!(matches!(exchange.ask(reply).await, Answered::ResponseHeaders(_)));
            assert!(exchange.is_left().await);
        }
        drop(exchange);
        let mut exchange = Exchange::open(&rig).await;
        let answer = send(&mut exchange, &[], &call("once", &json!({}))).await;
        if comes_back {
            passed(answer);
        } else {
            assert_eq!(denied(answer).0, 429, "{told:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn messages_out_of_order_end_the_exchange() {
    let rig = rig();
    let reply = || said(Said::ResponseHeaders(http_headers(&[(":status", "200")], true)));
    let trailers = || said(Said::RequestTrailers(HttpTrailers::default()));
    let part = || request_body(&call("open", &json!({})));
    for first in [
        reply(),
        trailers(),
        part(),
        said(Said::ResponseBody(body("", true))),
    ] {
        let mut exchange = Exchange::open(&rig).await;
        assert_eq!(exchange.refusal(first).await, Code::FailedPrecondition);
    }
    for then in [reply(), head("POST", &[], false, MODES)] {
        let mut exchange = Exchange::open(&rig).await;
        exchange.ask(head("POST", &[], false, MODES)).await;
        assert_eq!(exchange.refusal(then).await, Code::FailedPrecondition);
    }
    let mut exchange = Exchange::open(&rig).await;
    let nothing = ProcessingRequest::default();
    assert_eq!(exchange.refusal(nothing).await, Code::InvalidArgument);
    // Envoy's own answer to a request that it did not let through.
    let mut exchange = Exchange::open(&rig).await;
    exchange.ask(head("POST", &[], false, MODES)).await;
    let too_long = ProcessingRequest {
        attributes: attributes(0.0, "request_payload_too_large"),
        ..reply()
    };
    assert!(matches!(
        exchange.ask(too_long).await,
        Answered::ResponseHeaders(_)
    ));
    // Where nothing could be refused, nothing is judged and nothing taken.
    let mut exchange = Exchange::open(&rig).await;
    let watching = ProcessingRequest {
        observability_mode: true,
        ..head("GET", &[], true, MODES)
    };
    assert_eq!(exchange.refusal(watching).await, Code::FailedPrecondition);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_request_must_come_in_time_and_size() {
    let rig = rig_with(
        Limits {
            message_timeout_ms: 50,
            body_limit_bytes: 1_000,
            ..Limits::default()
        },
        None,
    );
    let mut exchange = Exchange::open(&rig).await;
    exchange.ask(head("POST", &[], false, MODES)).await;
    assert_eq!(exchange.next().await.unwrap_err().code(), Code::DeadlineExceeded);
    let mut exchange = Exchange::open(&rig).await;
    let duplex = (BodySendMode::FullDuplexStreamed, BodySendMode::None);
    exchange.say(head("POST", &[], false, duplex)).await;
    exchange
        .say(said(Said::RequestBody(body("x".repeat(600), false))))
        .await;
    let answer = exchange
        .ask(said(Said::RequestBody(body("x".repeat(600), false))))
        .await;
    assert_eq!(denied(answer).0, 403);
    // A call that went on may take its time.
    let mut exchange = Exchange::open(&rig).await;
    passed(send(&mut exchange, &[], &call("once", &json!({}))).await);
    tokio::time::sleep(Duration::from_millis(150)).await;
    let reply = said(Said::ResponseHeaders(http_headers(&[(":status", "200")], false)));
    assert!(matches!(exchange.ask(reply).await, Answered::ResponseHeaders(_)));
}
