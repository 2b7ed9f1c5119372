//! One message of the client, and the reply to it.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use callgate_mcp::Message;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, Method, Response, StatusCode};
use http_body_util::BodyExt as _;
use tokio::io::AsyncWrite;
use tokio::sync::oneshot;
use tokio::time::sleep;

use super::bridge::{Bridge, read, refusal};
use super::events::Resumption;
use super::fields::{self, SESSION_ID};
use super::output::OpenLine;
use crate::failed::UPSTREAM_FAILED;
use crate::glance::Glance;
use crate::id::RequestId;
use crate::upstream::{Failure, OpenBody};

/// How often the stream of one reply is asked for again without anything new on it.
const MOST_RESUMPTIONS: usize = 5;

/// A reply that is no message is read up to this length, for what it says of an error.
const ERROR_LIMIT_BYTES: usize = 64 * 1024;

/// A reply to `initialize` is read as a whole up to this length.
const INITIALIZE_LIMIT_BYTES: usize = 4 << 20;

/// Of a reply in JSON this much is held before its line begins, so that one that breaks early leaves nothing behind.
const SHORT_BYTES: usize = 64 * 1024;

const GONE: &str = "the connection to the server broke within its reply; the call may have happened";

/// One message of the client.
#[derive(Debug)]
pub(super) struct Exchange {
    /// The line, without its end.
    pub(super) line: Bytes,
    pub(super) fields: HeaderMap,
    /// Of a request.
    pub(super) id: Option<RequestId>,
    pub(super) is_initialize: bool,
    /// Told when the server has begun to answer, so that what follows does not overtake this.
    pub(super) begun: Option<oneshot::Sender<()>>,
}

impl Exchange {
    /// The exchange of a line; `None` for the message stands for a response of the client.
    pub(super) fn new<O: AsyncWrite + Unpin>(
        bridge: &Bridge<O>,
        line: &[u8],
        message: Option<&Message<'_>>,
    ) -> Self {
        let id = message.and_then(Message::id);
        Self {
            line: Bytes::copy_from_slice(line),
            fields: fields::of_message(&bridge.session(), message),
            id: id.and_then(|id| RequestId::of_json(id.json())),
            is_initialize: message.is_some_and(|message| message.method() == "initialize"),
            begun: None,
        }
    }

    /// Sends it and passes the reply on. An error is the client's end, which takes no more.
    pub(super) async fn run<O: AsyncWrite + Unpin>(mut self, bridge: Arc<Bridge<O>>) -> io::Result<()> {
        let (line, fields) = (self.line.clone(), std::mem::take(&mut self.fields));
        let sent = bridge.upstream.send(None, Method::POST, fields, line).await;
        if !self.is_initialize {
            drop(self.begun.take());
        }
        let replied = match sent {
            Ok(response) => self.reply(&bridge, response).await,
            Err(failure) => self.failed(&bridge, &failure).await,
        };
        if let Some(id) = &self.id {
            bridge.running().remove(id);
        }
        replied
    }

    async fn failed<O: AsyncWrite + Unpin>(&self, bridge: &Bridge<O>, failure: &Failure) -> io::Result<()> {
        let id = self.id.as_ref();
        match failure {
            Failure::Unauthorized(code) => {
                let status = StatusCode::from_u16(*code).unwrap_or(StatusCode::UNAUTHORIZED);
                bridge.fail(id, i64::from(*code), &refusal(status)).await
            }
            failure => bridge.fail(id, UPSTREAM_FAILED, &failure.to_string()).await,
        }
    }

    async fn reply<O: AsyncWrite + Unpin>(
        &self,
        bridge: &Bridge<O>,
        response: Response<OpenBody>,
    ) -> io::Result<()> {
        let id = self.id.as_ref();
        let (parts, body) = response.into_parts();
        if self.is_initialize
            && let Some(session) = parts.headers.get(SESSION_ID)
        {
            bridge.session().id = Some(session.clone());
        }
        if !parts.status.is_success() {
            return self.refused(bridge, parts.status, body).await;
        }
        match kind(&parts.headers).as_str() {
            "text/event-stream" => self.events(bridge, body).await,
            "application/json" if self.is_initialize => match read(body, INITIALIZE_LIMIT_BYTES).await {
                Some(reply) => bridge.message(&reply, id).await.map(drop),
                None => bridge.fail(id, UPSTREAM_FAILED, GONE).await,
            },
            "application/json" if id.is_some() => self.json(bridge, body).await,
            _ if id.is_none() => Ok(()),
            "" => {
                bridge
                    .fail(
                        id,
                        UPSTREAM_FAILED,
                        "the server takes the request and answers nothing",
                    )
                    .await
            }
            other => {
                let message = format!(
                    "the server answers with `{other}`, which is no reply of an MCP server; check the URL"
                );
                bridge.fail(id, UPSTREAM_FAILED, &message).await
            }
        }
    }

    /// A reply that is one message in JSON, however long it is.
    async fn json<O: AsyncWrite + Unpin>(&self, bridge: &Bridge<O>, mut body: OpenBody) -> io::Result<()> {
        let mut held = Vec::new();
        let mut line: Option<OpenLine<'_, O>> = None;
        while let Some(frame) = body.frame().await {
            let Ok(frame) = frame else {
                if let Some(line) = line.take() {
                    line.end().await?;
                }
                return bridge.fail(self.id.as_ref(), UPSTREAM_FAILED, GONE).await;
            };
            let piece = frame.into_data().unwrap_or_default();
            match &mut line {
                Some(line) => line.part(&piece).await?,
                None => held.extend_from_slice(&piece),
            }
            if line.is_none() && held.len() > SHORT_BYTES {
                let mut begun = bridge.output.begin().await;
                begun.part(&std::mem::take(&mut held)).await?;
                line = Some(begun);
            }
        }
        match line {
            Some(line) => line.end().await,
            None if held.trim_ascii().is_empty() => {
                let message = "the server answers nothing; check the URL";
                bridge.fail(self.id.as_ref(), UPSTREAM_FAILED, message).await
            }
            None => bridge.output.say(&held).await,
        }
    }

    /// A reply that comes in a stream of events, which may break and go on.
    async fn events<O: AsyncWrite + Unpin>(&self, bridge: &Bridge<O>, body: OpenBody) -> io::Result<()> {
        let id = self.id.as_ref();
        let mut resumption = Resumption::default();
        let mut streamed = bridge.stream(body, id, &mut resumption).await?;
        let mut in_vain = 0;
        while id.is_some() && !streamed.has_reply && !streamed.is_too_long {
            let before = resumption.clone();
            let Some(last) = before
                .last_event_id
                .as_deref()
                .filter(|_| in_vain < MOST_RESUMPTIONS)
            else {
                return bridge.fail(id, UPSTREAM_FAILED, GONE).await;
            };
            sleep(resumption.retry.max(Duration::from_millis(10))).await;
            let fields = fields::of_stream(&bridge.session(), Some(last));
            match bridge
                .upstream
                .send(None, Method::GET, fields, Bytes::new())
                .await
            {
                Ok(response) if response.status().is_success() => {
                    streamed = bridge.stream(response.into_body(), id, &mut resumption).await?;
                }
                Ok(response) if !response.status().is_server_error() => {
                    return bridge.fail(id, UPSTREAM_FAILED, GONE).await;
                }
                _ => {}
            }
            in_vain = if resumption.last_event_id == before.last_event_id {
                in_vain + 1
            } else {
                0
            };
        }
        if streamed.is_too_long {
            let message = "the server's reply is longer than what can be held of one event";
            return bridge.fail(id, UPSTREAM_FAILED, message).await;
        }
        Ok(())
    }

    /// A status that is none of success. Servers say more in a JSON-RPC error beside it.
    async fn refused<O: AsyncWrite + Unpin>(
        &self,
        bridge: &Bridge<O>,
        status: StatusCode,
        body: OpenBody,
    ) -> io::Result<()> {
        let Some(id) = &self.id else {
            return Ok(());
        };
        let reply = read(body, ERROR_LIMIT_BYTES).await.unwrap_or_default();
        let glance = Glance::of(&reply);
        if glance.is_reply() && glance.known_id() == Some(id) {
            return bridge.output.say(&reply).await;
        }
        bridge
            .fail(Some(id), i64::from(status.as_u16()), &refusal(status))
            .await
    }
}

/// The type of a reply, without parameters.
pub(super) fn kind(fields: &HeaderMap) -> String {
    let value = fields.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let kind = value.unwrap_or_default().split(';').next().unwrap_or_default();
    kind.trim().to_ascii_lowercase()
}
