//! What every request of one client shares, and the ways in which replies become lines.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use callgate_core::json::Tape;
use callgate_mcp::sse::Events;
use http::{HeaderValue, StatusCode};
use http_body_util::BodyExt as _;
use tokio::io::AsyncWrite;
use tokio::task::AbortHandle;

use super::events::{EVENT_LIMIT_BYTES, Resumption};
use super::output::Output;
use super::session::Session;
use crate::failed::failed;
use crate::glance::Glance;
use crate::id::RequestId;
use crate::upstream::{OpenBody, Upstream};

/// Deepest nesting of a reply that is looked into.
const MAX_DEPTH: usize = 512;

/// A request that waits for its reply.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) abort: AbortHandle,
    /// It is cancelled by closing its connection, and by nothing else.
    pub(super) closes: bool,
}

/// What every request of one client shares.
#[derive(Debug)]
pub(super) struct Bridge<O> {
    pub(super) upstream: Upstream,
    pub(super) output: Output<O>,
    session: Mutex<Session>,
    running: Mutex<HashMap<RequestId, Running>>,
}

/// A stream came to its end.
#[derive(Debug, Default)]
pub(super) struct Streamed {
    /// The reply that was waited for was in it.
    pub(super) has_reply: bool,
    /// It holds more than may be held.
    pub(super) is_too_long: bool,
}

impl<O: AsyncWrite + Unpin> Bridge<O> {
    pub(super) fn new(upstream: Upstream, output: O) -> Arc<Self> {
        Arc::new(Self {
            upstream,
            output: Output::new(output),
            session: Mutex::default(),
            running: Mutex::default(),
        })
    }

    pub(super) fn session(&self) -> MutexGuard<'_, Session> {
        // A panic while it was held leaves a session that is one all the same.
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
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
        awaited: Option<&RequestId>,
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
    pub(super) async fn message(&self, message: &[u8], awaited: Option<&RequestId>) -> io::Result<bool> {
        let glance = Glance::of(message);
        let is_awaited = awaited.is_some() && glance.is_reply() && glance.known_id() == awaited;
        if is_awaited {
            self.agree(message);
        }
        self.output.say(message).await?;
        Ok(is_awaited)
    }

    /// Takes down the protocol version in the reply to `initialize`.
    fn agree(&self, reply: &[u8]) {
        if self.session().version.is_some() {
            return;
        }
        let mut tape = Tape::new();
        let version = tape.parse(reply, MAX_DEPTH).ok().and_then(|reply| {
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

/// What an HTTP status says to a caller.
pub(super) fn refusal(status: StatusCode) -> String {
    let advice = match status {
        StatusCode::UNAUTHORIZED => "check the token, --token-file or CALLGATE_TOKEN",
        StatusCode::FORBIDDEN => "ask its operator",
        StatusCode::NOT_FOUND => "check the URL; a session that has ended needs a client that starts anew",
        StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_ACCEPTABLE | StatusCode::UNSUPPORTED_MEDIA_TYPE => {
            "the URL is that of no MCP server over streamable HTTP"
        }
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => "try again later",
        _ => "see its log",
    };
    format!("the server answers with status {status}; {advice}")
}
