//! A server under test, and the simplest clients for it.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use callgate_core::approval;
use callgate_core::engine::Policies;
use callgate_core::policy::{Catalogue, Format, Source, parse};
use callgate_core::{Engine, EngineConfig, State};
use callgate_proto::decision::v1::decision_service_client::DecisionServiceClient;
use callgate_server::{
    ApprovalChannel, Clock, Event, Limits, ManualClock, PepSpec, Reload, ReloadError, Server, ServerConfig,
    TlsPem,
};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::Value;
use tonic::transport::{Channel, Endpoint};

/// One tool for each kind of answer.
pub(crate) const POLICY: &str = r#"{
    "version": "1",
    "default": "deny",
    "name": "test",
    "tools": {
        "open": {},
        "capped": {"limits": [{"counter": "calls", "window": "minute", "max": 2}]},
        "spend": {"limits": [{"counter": "spend", "window": "hour", "max": 10.5, "cost": "args.amount"}]},
        "small": {"deny_if": [{"conditions": [{"path": "args.n", "op": "gt", "value": 10}], "on_deny": "too many"}]},
        "forbidden": {"action": "deny", "reason": "ask the data team"},
        "asks": {"action": "require_approval"},
        "watched": {"mode": "shadow", "action": "deny"},
        "labelled": {"require": [{"conditions": [{"path": "grant.labels.team", "op": "eq", "value": "ops"}]}]},
        "in_session": {"require": [{"conditions": [{"path": "session", "op": "eq", "value": "s1"}]}]}
    }
}"#;

/// The time after which a test stops waiting for an event.
const PATIENCE: Duration = Duration::from_secs(60);

/// The start time of a test's manual clock: the first second of a minute in 2023.
pub(crate) const START_US: u64 = 1_699_999_980_000_000;

pub(crate) fn state(policy: &[u8], catalogue: Catalogue) -> State {
    State::build(Policies::EveryServer(read_policy("test", policy)), catalogue).unwrap()
}

pub(crate) fn state_by_server(policies: &[(&str, &str)]) -> State {
    state_by_server_knowing(policies, Catalogue::default())
}

pub(crate) fn state_by_server_knowing(policies: &[(&str, &str)], catalogue: Catalogue) -> State {
    let policies = policies
        .iter()
        .map(|(server, text)| ((*server).to_owned(), read_policy(server, text.as_bytes())));
    State::build(Policies::ByServer(policies.collect()), catalogue).unwrap()
}

pub(crate) fn read_policy(stem: &str, bytes: &[u8]) -> callgate_core::policy::ast::Policy {
    let source = Source {
        name: "<policy>",
        stem,
        format: Format::Json,
        bytes,
    };
    parse(&source).unwrap_or_else(|error| panic!("{error}"))
}

pub(crate) fn engine(state: State) -> Arc<Engine> {
    let config = EngineConfig {
        counter_capacity: 4_096,
        counters_per_grant: 1_024,
        reservation_ttl_ms: 30_000,
        reservations: callgate_counters::ReservationLimits::in_all(64),
        hash_key: [7; 16],
    };
    Arc::new(Engine::new(state, config))
}

/// A channel in which every question waits for people, until nobody else has the channel any more.
fn unanswered() -> ApprovalChannel {
    let channel = ApprovalChannel::default();
    let questions = Arc::clone(&channel.questions);
    std::thread::spawn(move || {
        while Arc::strong_count(&questions) > 1 {
            let taken = questions.take(256, Duration::from_millis(100)).unwrap();
            for open in taken.questions {
                let answer = approval::Answer::Waiting {
                    id: format!("a{}", open.number),
                    rule: open.question.needs[0].rule.clone(),
                    approvers: Vec::new(),
                    until_us: START_US,
                };
                questions.answer(open.number, answer, false);
            }
        }
    });
    channel
}

/// A server on a free port, with its engine and its clock.
pub(crate) struct Rig {
    pub(crate) server: Server,
    pub(crate) engine: Arc<Engine>,
    pub(crate) clock: ManualClock,
}

impl Rig {
    pub(crate) fn new() -> Self {
        Self::with(
            state(POLICY.as_bytes(), Catalogue::default()),
            ServerConfig::default(),
        )
    }

    pub(crate) fn configured(config: ServerConfig) -> Self {
        Self::with(state(POLICY.as_bytes(), Catalogue::default()), config)
    }

    pub(crate) fn limited(limits: Limits) -> Self {
        Self::configured(ServerConfig {
            limits,
            ..ServerConfig::default()
        })
    }

    /// `config.listen` becomes a free port, unless it is `None`.
    pub(crate) fn with(state: State, mut config: ServerConfig) -> Self {
        config.listen = config.listen.map(|_| "127.0.0.1:0".to_owned());
        config.workers = 2;
        if config.approvals.is_none() {
            config.approvals = Some(unanswered());
        }
        let (engine, clock) = (engine(state), ManualClock::new(START_US));
        let server = Server::start(Arc::clone(&engine), Clock::Manual(clock.clone()), config).unwrap();
        Self {
            server,
            engine,
            clock,
        }
    }

    pub(crate) fn reload_peps(&self, peps: Vec<PepSpec>) -> Result<(), ReloadError> {
        self.server.reload(Reload {
            peps: Some(peps),
            ..Reload::default()
        })
    }

    pub(crate) fn reload_tls(&self, tls: TlsPem) -> Result<(), ReloadError> {
        self.server.reload(Reload {
            tls: Some(tls),
            ..Reload::default()
        })
    }

    pub(crate) fn channel(&self) -> Channel {
        Endpoint::from_shared(format!("http://{}", self.server.address().unwrap()))
            .unwrap()
            .connect_lazy()
    }

    pub(crate) fn grpc(&self) -> DecisionServiceClient<Channel> {
        DecisionServiceClient::new(self.channel())
    }

    pub(crate) fn connect(&self) -> TcpStream {
        TcpStream::connect(self.server.address().unwrap()).unwrap()
    }

    /// `POST /v1/check` over HTTP/1.1.
    pub(crate) fn post(&self, body: &str) -> Answer {
        self.post_bytes(body.as_bytes())
    }

    pub(crate) fn post_bytes(&self, body: &[u8]) -> Answer {
        self.send(
            "POST /v1/check",
            &["Host: localhost", "Content-Type: application/json"],
            body,
        )
    }

    /// `POST /v1/peek` over HTTP/1.1.
    pub(crate) fn post_peek(&self, body: &[u8]) -> Answer {
        self.send("POST /v1/peek", &["Host: localhost"], body)
    }

    /// One HTTP/1.1 request on a connection of its own.
    pub(crate) fn send(&self, target: &str, fields: &[&str], body: &[u8]) -> Answer {
        let mut stream = self.connect();
        stream.write_all(&request(target, fields, body)).unwrap();
        answer(stream)
    }

    /// One HTTP/2 request, without TLS, with the protocol known beforehand.
    pub(crate) async fn send_http2(&self, request: ::http::Request<Full<Bytes>>) -> ::http::Response<Bytes> {
        let stream = tokio::net::TcpStream::connect(self.server.address().unwrap())
            .await
            .unwrap();
        let (mut sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .unwrap();
        tokio::spawn(connection);
        let (parts, body) = sender.send_request(request).await.unwrap().into_parts();
        ::http::Response::from_parts(parts, body.collect().await.unwrap().to_bytes())
    }

    /// Waits for an event of this name; the server sends it at a time of its own. Other events that arrive meanwhile
    /// are lost.
    pub(crate) fn wait_for_event(&self, name: &str) -> Event {
        let started = Instant::now();
        while started.elapsed() < PATIENCE {
            if let Some(event) = self
                .server
                .drain_events(usize::MAX)
                .into_iter()
                .find(|event| event.event == name)
            {
                return event;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        panic!("no event `{name}`")
    }
}

/// The bytes of one HTTP/1.1 request after which the connection closes.
pub(crate) fn request(target: &str, fields: &[&str], body: &[u8]) -> Vec<u8> {
    let mut text = format!("{target} HTTP/1.1\r\nConnection: close\r\n");
    for field in fields {
        text.push_str(field);
        text.push_str("\r\n");
    }
    if !fields
        .iter()
        .any(|field| field.starts_with("Content-Length") || field.starts_with("Transfer-Encoding"))
    {
        let length = format!("Content-Length: {}\r\n", body.len());
        text.push_str(&length);
    }
    text.push_str("\r\n");
    [text.as_bytes(), body].concat()
}

/// A gRPC request as bytes: one frame, not compressed.
pub(crate) fn framed(path: &str, message: &[u8]) -> ::http::Request<Full<Bytes>> {
    post(path).body(Full::from(frame(message))).unwrap()
}

/// The header of a gRPC request.
pub(crate) fn post(path: &str) -> ::http::request::Builder {
    ::http::Request::post(format!("http://callgate{path}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
}

/// A message with its prefix: not compressed, and its length.
pub(crate) fn frame(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    [&[0], &length[..], message].concat()
}

/// An HTTP/1.1 answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    fields: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.fields
            .iter()
            .find(|(field, _)| field == name)
            .map(|(_, value)| value.as_str())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    pub(crate) fn text(&self, key: &str) -> String {
        self.json()[key]
            .as_str()
            .unwrap_or_else(|| panic!("no `{key}` in {}", self.body))
            .to_owned()
    }
}

/// Reads an answer to its end.
pub(crate) fn answer(mut stream: impl Read) -> Answer {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    let text = String::from_utf8(bytes).unwrap();
    let (head, body) = text
        .split_once("\r\n\r\n")
        .unwrap_or_else(|| panic!("no whole answer: {text:?}"));
    let mut lines = head.lines();
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let fields = lines
        .map(|line| line.split_once(": ").unwrap())
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
    Answer {
        status,
        fields: fields.collect(),
        body: body.to_owned(),
    }
}

/// A new folder, removed with everything in it.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static MADE: AtomicU32 = AtomicU32::new(0);
        // Relaxed: only the number is wanted.
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("callgate-test-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
