//! The state that all requests of one client share, and the conversion of replies into lines.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use callgate_core::json::Tape;
use callgate_gateway::upstream::{OpenBody, Redirects, Upstream};
use callgate_mcp::list::MAX_ANSWER_DEPTH;
use callgate_mcp::sse::Events;
use http::{HeaderValue, Method, StatusCode};
use http_body_util::BodyExt as _;
use tokio::io::AsyncWrite;
use tokio::task::AbortHandle;
use tokio::time::timeout;

use super::events::{EVENT_LIMIT_BYTES, Resumption};
use super::fields;
use super::output::Output;
use super::session::Session;
use super::tools::Tools;
use crate::failed::failed;
use crate::glance::Glance;
use crate::id::RequestId;

/// A reply to `initialize` is read as a whole up to this length.
pub(super) const INITIALIZE_LIMIT_BYTES: usize = 4 << 20;

/// The time that ending a session may take.
const ENDING: Duration = Duration::from_secs(2);

/// A request that waits for its reply.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) abort: AbortHandle,
    /// True if the request can be cancelled only by closing its connection.
    pub(super) closes: bool,
}

/// The state that all requests of one client share.
#[derive(Debug)]
pub(super) struct Bridge<O> {
    pub(super) upstream: Upstream,
    pub(super) output: Output<O>,
    /// Held while another session is begun in place of one that has ended.
    pub(super) renewing: tokio::sync::Mutex<()>,
    session: Mutex<Session>,
    tools: Mutex<Tools>,
    running: Mutex<HashMap<RequestId, Running>>,
    listener: Mutex<Option<AbortHandle>>,
}

/// A request whose reply is waited for, and what the reply is read for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Awaited<'a> {
    pub(super) id: &'a RequestId,
    pub(super) about: &'a About,
}

/// The kind of a client's message, as far as it matters here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum About {
    /// A request that starts a session.
    Initialize,
    /// A request for a list of tools.
    List,
    /// A call of this tool, which is mirrored in header fields.
    Call(String),
    Other,
}

/// A stream came to its end.
#[derive(Debug, Default)]
pub(super) struct Streamed {
    /// The reply that was waited for was in it.
    pub(super) has_reply: bool,
    /// True if the stream is longer than the limit.
    pub(super) is_too_long: bool,
}

impl<O: AsyncWrite + Unpin> Bridge<O> {
    pub(super) fn new(upstream: Upstream, output: O) -> Arc<Self> {
        Arc::new(Self {
            upstream,
            output: Output::new(output),
            renewing: tokio::sync::Mutex::default(),
            session: Mutex::default(),
            tools: Mutex::default(),
            running: Mutex::default(),
            listener: Mutex::default(),
        })
    }

    pub(super) fn session(&self) -> MutexGuard<'_, Session> {
        // A panic while it was held leaves a session that is one all the same.
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn tools(&self) -> MutexGuard<'_, Tools> {
        // What is known of each tool is put there as a whole.
        self.tools.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The task that reads the server's own stream.
    pub(super) fn listener(&self) -> MutexGuard<'_, Option<AbortHandle>> {
        self.listener.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn running(&self) -> MutexGuard<'_, HashMap<RequestId, Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers a request in place of the server; a notification has nobody to be told.
    pub(super) async fn fail(&self, id: Option<&RequestId>, code: i64, message: &str) -> io::Result<()> {
        match id {
            Some(id) => self.output.say(failed(Some(id), code, message).as_bytes()).await,
            None => Ok(()),
        }
    }

    /// Passes the messages of a stream on, until it ends.
    pub(super) async fn stream(
        &self,
        mut body: OpenBody,
        awaited: Option<Awaited<'_>>,
        resumption: &mut Resumption,
    ) -> io::Result<Streamed> {
        let mut events = Events::new(EVENT_LIMIT_BYTES);
        let mut streamed = Streamed::default();
        loop {
            let mut messages = Vec::new();
            let mut see = |event: callgate_mcp::sse::Event<'_>| {
                messages.extend(resumption.see(&event).map(std::borrow::Cow::into_owned));
            };
            let piece = match body.frame().await {
                Some(Ok(frame)) => frame.into_data().ok(),
                // What broke, and what has ended: either way no more comes.
                Some(Err(_)) | None => {
                    return Ok(streamed);
                }
            };
            if events.read(&piece.unwrap_or_default(), &mut see).is_err() {
                streamed.is_too_long = true;
                return Ok(streamed);
            }
            for message in messages {
                streamed.has_reply |= self.message(&message, awaited).await?;
            }
        }
    }

    /// Passes a message on; whether it is the reply to this request.
    pub(super) async fn message(&self, message: &[u8], awaited: Option<Awaited<'_>>) -> io::Result<bool> {
        let glance = Glance::of(message);
        let awaited = awaited.filter(|one| glance.is_reply() && glance.known_id() == Some(one.id));
        if let Some(Awaited { about, .. }) = awaited {
            self.learn(message, about);
        }
        self.output.say(message).await?;
        Ok(awaited.is_some())
    }

    /// Takes over the facts of a reply before its client can act on them.
    pub(super) fn learn(&self, reply: &[u8], about: &About) {
        match about {
            About::Initialize => self.agree(reply),
            About::List => {
                // Not all of what is asked for so is a list.
                let _ = self.tools().learn(reply);
            }
            About::Call(_) | About::Other => {}
        }
    }

    /// Ends a session.
    pub(super) async fn end(&self, session: &Session) {
        if session.id.is_some() {
            let fields = fields::of_session(session);
            let ended = self.upstream.send(
                None,
                Redirects::Follow,
                Method::DELETE,
                || fields.clone(),
                Bytes::new(),
            );
            // A server that cannot be told ends it in its own time.
            let _ = timeout(ENDING, ended).await;
        }
    }

    /// Takes down the protocol version in the reply to `initialize`.
    fn agree(&self, reply: &[u8]) {
        if self.session().version.is_some() {
            return;
        }
        let mut tape = Tape::new();
        let version = tape.parse(reply, MAX_ANSWER_DEPTH).ok().and_then(|reply| {
            let version = reply.get("result")?.get("protocolVersion")?.as_str()?;
            HeaderValue::from_str(version).ok()
        });
        if version.is_some() {
            self.session().version = version;
        }
    }
}

/// A whole body, as long as it is short.
pub(super) async fn read(mut body: OpenBody, limit_bytes: usize) -> Option<Bytes> {
    let mut whole = Vec::new();
    while let Some(frame) = body.frame().await {
        if let Ok(piece) = frame.ok()?.into_data() {
            whole.extend_from_slice(&piece);
        }
        if whole.len() > limit_bytes {
            return None;
        }
    }
    Some(whole.into())
}

/// The message to a caller for an HTTP status.
pub(super) fn refusal(status: StatusCode) -> String {
    let advice = match status {
        StatusCode::UNAUTHORIZED => "check the token, --token-file or CALLGATE_TOKEN",
        StatusCode::FORBIDDEN => "ask its operator",
        StatusCode::NOT_FOUND => {
            "check the URL; if the session has ended, no other one could be begun, so start the client anew"
        }
        StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_ACCEPTABLE | StatusCode::UNSUPPORTED_MEDIA_TYPE => {
            "the URL is that of no MCP server over streamable HTTP"
        }
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => "try again later",
        _ => "see its log",
    };
    format!("the server answers with status {status}; {advice}")
}
