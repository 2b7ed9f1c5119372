//! The probe of a server: does it answer as an MCP server?
//!
//! The probe sends `server/discover`, which has no arguments and starts no session. Servers of earlier versions do not
//! know that method; they are asked to `initialize`, and DELETE ends the session that this started.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use callgate_core::json::{Tape, Value};
use callgate_mcp::sse::Events;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode};
use http_body_util::BodyExt as _;

use super::{Failure, OpenBody, Redirects, Upstream};

/// The seconds between two probes.
const INTERVAL_S: u64 = 30;

/// The time limit of a probe, well below the interval: two never run at once.
const PATIENCE: Duration = Duration::from_secs(10);

/// The time limit for the end of its session.
const END_PATIENCE: Duration = Duration::from_secs(2);

/// The longest reply that is read.
const MAX_BYTES: usize = 1 << 20;

/// The deepest nesting of a reply.
const MAX_DEPTH: usize = 64;

const SESSION: HeaderName = HeaderName::from_static("mcp-session-id");
const PROTOCOL_VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");
const METHOD: HeaderName = HeaderName::from_static("mcp-method");

const EVENTS: &str = "text/event-stream";

const DISCOVER: &str = concat!(
    r#"{"jsonrpc":"2.0","id":1,"method":"server/discover","params":{"_meta":{"#,
    r#""io.modelcontextprotocol/protocolVersion":"2026-07-28","#,
    r#""io.modelcontextprotocol/clientInfo":{"name":"callgate","version":""#,
    env!("CARGO_PKG_VERSION"),
    r#""},"io.modelcontextprotocol/clientCapabilities":{}}}}"#
);

const INITIALIZE: &str = concat!(
    r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"#,
    r#""clientInfo":{"name":"callgate","version":""#,
    env!("CARGO_PKG_VERSION"),
    r#""}}}"#
);

/// The reason why a server does not answer as an MCP server.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// There was no reply.
    #[error(transparent)]
    Failed(#[from] Failure),
    /// There was no reply in time.
    #[error("the server does not answer within {} s", PATIENCE.as_secs())]
    TooSlow,
    /// There was a reply, which no MCP server gives.
    #[error(
        "the server answers `initialize` with status {0} and without a JSON-RPC reply, as no MCP server does; look whether the \
         path of its URL is that of its MCP endpoint, often `/mcp`"
    )]
    NoReply(u16),
}

/// The probes of one server.
#[derive(Debug, Default)]
pub(super) struct Probes {
    /// The second of the next one.
    next_s: AtomicU64,
    /// The error of the last one.
    fault: ArcSwapOption<String>,
}

/// The change that a probe has brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProbeNews {
    /// The server does not answer as an MCP server, for this reason; before, it did, or the reason was another.
    Fails(String),
    /// The server answers as one again.
    Recovered,
}

/// The end of a probe without a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Probed {
    /// The server answered as an MCP server.
    Answered,
    /// The server was not asked, because the greatest number of requests is open already.
    NotAsked,
}

/// The kind of a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Result,
    Error,
    Nothing,
}

impl Upstream {
    /// Returns true if a probe is due in this second, and puts off the next one. Not to be called by two threads at once.
    pub fn is_probe_due(&self, second: u64) -> bool {
        // Relaxed: it publishes nothing, and one task alone reads and writes it.
        let is_due = self.config.probe && self.probes.next_s.load(Ordering::Relaxed) <= second;
        if is_due {
            self.probes.next_s.store(second + INTERVAL_S, Ordering::Relaxed);
        }
        is_due
    }

    /// The reason why the server did not answer the last probe as an MCP server; `None` if it did, or there was none yet.
    pub fn probe_fault(&self) -> Option<Arc<String>> {
        self.probes.fault.load_full()
    }

    /// Probes the server; returns what has changed since the last probe, if anything has.
    pub async fn probe(&self) -> Option<ProbeNews> {
        self.probe_within(PATIENCE).await
    }

    async fn probe_within(&self, patience: Duration) -> Option<ProbeNews> {
        let mut session = None;
        let probed = tokio::time::timeout(patience, self.probe_once(&mut session)).await;
        // Also after a reply that came too late: the server would keep the session.
        if let Some(session) = session {
            drop(tokio::time::timeout(END_PATIENCE, self.end(session)).await);
        }
        let fault = match probed.unwrap_or(Err(ProbeError::TooSlow)) {
            Ok(Probed::NotAsked) => return None,
            Ok(Probed::Answered) => None,
            Err(error) => Some(Arc::new(error.to_string())),
        };
        let before = self.probes.fault.swap(fault.clone());
        match (before, fault) {
            (None, None) => None,
            (Some(_), None) => Some(ProbeNews::Recovered),
            (Some(before), Some(fault)) if before == fault => None,
            (_, Some(fault)) => Some(ProbeNews::Fails(String::clone(&fault))),
        }
    }

    /// Asks the server; puts a session that this began into `session`.
    async fn probe_once(&self, session: &mut Option<HeaderValue>) -> Result<Probed, ProbeError> {
        let mut fields = fields();
        fields.insert(PROTOCOL_VERSION, HeaderValue::from_static("2026-07-28"));
        fields.insert(METHOD, HeaderValue::from_static("server/discover"));
        match self.ask_for(fields, DISCOVER).await {
            Ok(response) => {
                if verdict(response).await == Verdict::Result {
                    return Ok(Probed::Answered);
                }
            }
            Err(Failure::Busy(_) | Failure::GrantBusy(_)) => return Ok(Probed::NotAsked),
            // Some servers of earlier versions break off what they do not know.
            Err(Failure::Broken(_) | Failure::Unreadable(_)) => {}
            Err(failure) => return Err(failure.into()),
        }
        let response = match self.ask_for(self::fields(), INITIALIZE).await {
            Err(Failure::Busy(_) | Failure::GrantBusy(_)) => return Ok(Probed::NotAsked),
            asked => asked?,
        };
        let status = response.status();
        *session = response.headers().get(SESSION).cloned();
        let verdict = verdict(response).await;
        // A server that refuses these words by JSON-RPC is one all the same.
        match verdict {
            Verdict::Result | Verdict::Error => Ok(Probed::Answered),
            Verdict::Nothing => Err(ProbeError::NoReply(status.as_u16())),
        }
    }

    async fn ask_for(&self, fields: HeaderMap, message: &'static str) -> Result<Response<OpenBody>, Failure> {
        // Not `send`, which counts failures: those of clients' requests alone are counted.
        let body = Bytes::from_static(message.as_bytes());
        self.ask(None, Redirects::Follow, Method::POST, || fields.clone(), body)
            .await
    }

    /// Ends a session; a server may keep it, which is its own business.
    async fn end(&self, session: HeaderValue) {
        let mut fields = HeaderMap::new();
        fields.insert(SESSION, session);
        fields.insert(PROTOCOL_VERSION, HeaderValue::from_static("2025-11-25"));
        let ended = self.ask(
            None,
            Redirects::Refuse,
            Method::DELETE,
            || fields.clone(),
            Bytes::new(),
        );
        drop(ended.await);
    }
}

fn fields() -> HeaderMap {
    let mut fields = HeaderMap::new();
    fields.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    fields.insert(
        ACCEPT,
        HeaderValue::from_static("application/json, text/event-stream"),
    );
    fields
}

/// Reads a response until it holds a JSON-RPC reply, or cannot.
async fn verdict(response: Response<OpenBody>) -> Verdict {
    let kind = response.headers().get(CONTENT_TYPE);
    let is_stream = kind
        .and_then(|kind| kind.to_str().ok())
        .is_some_and(|kind| kind.to_ascii_lowercase().starts_with(EVENTS));
    let is_success = response.status() == StatusCode::OK;
    let mut body = response.into_body();
    let mut found = Verdict::Nothing;
    if is_stream {
        let mut events = Events::new(MAX_BYTES);
        while found == Verdict::Nothing
            && let Some(Ok(frame)) = body.frame().await
        {
            let piece = frame.into_data().unwrap_or_default();
            let see = |event: callgate_mcp::sse::Event<'_>| {
                if let Some(message) = event.message().filter(|_| found == Verdict::Nothing) {
                    found = verdict_of(&message);
                }
            };
            if events.read(&piece, see).is_err() {
                break;
            }
        }
    } else {
        let mut bytes = Vec::new();
        while bytes.len() <= MAX_BYTES
            && let Some(Ok(frame)) = body.frame().await
        {
            bytes.extend(frame.into_data().unwrap_or_default());
        }
        found = verdict_of(&bytes);
    }
    match found {
        Verdict::Result if !is_success => Verdict::Error,
        found => found,
    }
}

/// The kind of reply that a message is.
fn verdict_of(message: &[u8]) -> Verdict {
    let mut tape = Tape::new();
    let Ok(root) = tape.parse(message, MAX_DEPTH) else {
        return Verdict::Nothing;
    };
    if root.get("jsonrpc").and_then(Value::as_str) != Some("2.0") {
        Verdict::Nothing
    } else if root.get("result").is_some() {
        Verdict::Result
    } else if root.get("error").is_some() {
        Verdict::Error
    } else {
        Verdict::Nothing
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;
    use crate::upstream::tally::Bounds;
    use crate::upstream::{Tally, UpstreamConfig};

    #[test]
    fn requests_are_json_and_replies_are_told_apart() {
        for request in [DISCOVER, INITIALIZE] {
            assert!(
                serde_json::from_str::<serde_json::Value>(request).is_ok(),
                "{request}"
            );
        }
        for (reply, verdict) in [
            (r#"{"jsonrpc":"2.0","id":1,"result":{}}"#, Verdict::Result),
            (
                r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"?"}}"#,
                Verdict::Error,
            ),
            (r#"{"jsonrpc":"2.0","method":"ping"}"#, Verdict::Nothing),
            (r#"{"id":1,"result":{}}"#, Verdict::Nothing),
            ("[]", Verdict::Nothing),
            ("<html>", Verdict::Nothing),
            ("", Verdict::Nothing),
        ] {
            assert_eq!(verdict_of(reply.as_bytes()), verdict, "{reply}");
        }
    }

    #[test]
    fn a_probe_is_due_every_thirty_seconds() {
        let upstream = Upstream::new(
            UpstreamConfig::at("http://127.0.0.1:1/mcp"),
            Arc::<Tally>::default(),
        )
        .unwrap();
        let due: Vec<u64> = (7..100).filter(|second| upstream.is_probe_due(*second)).collect();
        assert_eq!(due, [7, 37, 67, 97]);
        let config = UpstreamConfig {
            probe: false,
            ..UpstreamConfig::at("http://127.0.0.1:1/mcp")
        };
        let upstream = Upstream::new(config, Arc::<Tally>::default()).unwrap();
        assert!(!(0..100).any(|second| upstream.is_probe_due(second)));
    }

    /// An upstream where nothing listens: its listener has gone.
    fn gone(tally: &Arc<Tally>, max_requests: usize) -> Upstream {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let config = UpstreamConfig {
            max_requests,
            ..UpstreamConfig::at(format!("http://{address}/mcp"))
        };
        Upstream::new(config, Arc::clone(tally)).unwrap()
    }

    #[tokio::test]
    async fn each_reason_is_told_once() {
        let upstream = gone(&Arc::default(), 8);
        assert_eq!(upstream.probe_fault(), None);
        let news = upstream.probe().await;
        let Some(ProbeNews::Fails(reason)) = news else {
            panic!("{news:?}")
        };
        assert!(reason.starts_with("the server cannot be reached"), "{reason}");
        assert_eq!(upstream.probe_fault().as_deref(), Some(&reason));
        assert_eq!(upstream.probe().await, None);
    }

    #[tokio::test]
    async fn a_server_without_room_for_a_probe_keeps_what_the_last_one_found() {
        let tally: Arc<Tally> = Arc::default();
        let upstream = gone(&tally, 1);
        let hold = || {
            let bounds = Bounds {
                in_all: 1,
                of_grant: 1,
            };
            tally.open(None, bounds).unwrap()
        };
        let place = hold();
        assert_eq!(upstream.probe().await, None);
        assert_eq!(upstream.probe_fault(), None, "nothing is known yet");
        drop(place);
        upstream.probe().await;
        let fault = upstream.probe_fault();
        assert!(fault.is_some());
        let _place = hold();
        assert_eq!(upstream.probe().await, None);
        assert_eq!(upstream.probe_fault(), fault, "nor has it recovered");
    }

    #[tokio::test]
    async fn a_session_is_ended_also_if_the_rest_of_the_reply_comes_too_late() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let upstream = Upstream::new(
            UpstreamConfig::at(format!("http://{address}/mcp")),
            Arc::<Tally>::default(),
        )
        .unwrap();
        let server = tokio::spawn(async move {
            let mut waiting = Vec::new();
            loop {
                let (mut connection, _) = listener.accept().await.unwrap();
                let mut head = Vec::new();
                while connection.read_buf(&mut head).await.unwrap() > 0 {
                    let text = String::from_utf8_lossy(&head).to_lowercase();
                    if text.starts_with("delete ") && text.ends_with("\r\n\r\n") {
                        return text;
                    }
                    let answer = if text.contains(r#""method":"server/discover""#) {
                        "HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
                    } else if text.contains(r#""method":"initialize""#) {
                        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nmcp-session-id: s1\r\n\r\n: wait\n"
                    } else {
                        continue;
                    };
                    connection.write_all(answer.as_bytes()).await.unwrap();
                    waiting.push(connection);
                    break;
                }
            }
        });
        let news = upstream.probe_within(Duration::from_secs(2)).await;
        assert!(matches!(news, Some(ProbeNews::Fails(_))), "{news:?}");
        let ended = tokio::time::timeout(Duration::from_secs(30), server).await;
        let ended = ended.expect("the session is left").unwrap();
        assert!(ended.contains("mcp-session-id: s1\r\n"), "{ended}");
    }
}
