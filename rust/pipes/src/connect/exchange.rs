//! One message of the client, and the reply to it.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use callgate_core::json::Tape;
use callgate_gateway::upstream::{Failure, OpenBody, Redirects};
use callgate_mcp::Message;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, Method, Response, StatusCode};
use tokio::io::AsyncWrite;
use tokio::sync::oneshot;

use super::bridge::{About, Awaited, Bridge, INITIALIZE_LIMIT_BYTES, read, refusal};
use super::fields::{self, SESSION_ID};
use super::run::INITIALIZE;
use crate::failed::UPSTREAM_FAILED;
use crate::glance::Glance;
use crate::id::RequestId;

/// Greatest length of a reply that is no message, which is read for its error.
const ERROR_LIMIT_BYTES: usize = 64 * 1024;

/// The method whose replies say which arguments are mirrored.
const TOOLS_LIST: &str = "tools/list";

pub(super) const GONE: &str =
    "the connection to the server broke within its reply; the call may have happened";

/// A status that is none of success, and what stands beside it.
#[derive(Debug)]
pub(super) struct ErrorReply {
    pub(super) status: StatusCode,
    /// The reply; empty if it is longer than the limit.
    pub(super) reply: Bytes,
}

/// One message of the client.
#[derive(Debug)]
pub(super) struct Exchange {
    /// The line, without its end.
    pub(super) line: Bytes,
    fields: HeaderMap,
    /// Of a request.
    pub(super) id: Option<RequestId>,
    pub(super) about: About,
    redirects: Redirects,
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
            fields: fields_of(bridge, message),
            id: id.and_then(|id| RequestId::of_json(id.json())),
            about: message.map_or(About::Other, about),
            redirects: match message {
                Some(Message::Call(_)) => Redirects::Refuse,
                Some(Message::Other(_)) | None => Redirects::Follow,
            },
            begun: None,
        }
    }

    /// Sends it and passes the reply on. An error is the client's end, which takes no more.
    pub(super) async fn run<O: AsyncWrite + Send + Unpin + 'static>(
        mut self,
        bridge: Arc<Bridge<O>>,
    ) -> io::Result<()> {
        let replied = self.exchange(&bridge).await;
        if let Some(id) = &self.id {
            bridge.running().remove(id);
        }
        replied
    }

    async fn exchange<O: AsyncWrite + Send + Unpin + 'static>(
        &mut self,
        bridge: &Arc<Bridge<O>>,
    ) -> io::Result<()> {
        let fields = std::mem::take(&mut self.fields);
        let Some(refused) = self.once(bridge, fields.clone()).await? else {
            return Ok(());
        };
        let refused = match self.mended(bridge, &refused, &fields).await {
            Some(fields) => self.once(bridge, fields).await?,
            None => Some(refused),
        };
        match refused {
            Some(refused) => self.tell(bridge, &refused).await,
            None => Ok(()),
        }
    }

    /// The header fields of the message, by the present session and tools.
    pub(super) fn remade<O: AsyncWrite + Unpin>(&self, bridge: &Bridge<O>) -> HeaderMap {
        let mut tape = Tape::new();
        // It was read before.
        let message = Message::parse(&mut tape, &self.line).ok();
        fields_of(bridge, message.as_ref())
    }

    /// Sends the message once and passes the reply on; returns an HTTP error instead of passing it on.
    async fn once<O: AsyncWrite + Unpin>(
        &mut self,
        bridge: &Bridge<O>,
        fields: HeaderMap,
    ) -> io::Result<Option<ErrorReply>> {
        let sent = bridge
            .upstream
            .send(
                None,
                self.redirects,
                Method::POST,
                || fields.clone(),
                self.line.clone(),
            )
            .await;
        if self.about != About::Initialize {
            drop(self.begun.take());
        }
        match sent {
            Ok(response) if response.status().is_success() => {
                self.reply(bridge, response).await.map(|()| None)
            }
            Ok(response) => Ok(Some(ErrorReply {
                status: response.status(),
                reply: read(response.into_body(), ERROR_LIMIT_BYTES)
                    .await
                    .unwrap_or_default(),
            })),
            Err(failure) => self.failed(bridge, &failure).await.map(|()| None),
        }
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
        let is_initialize = self.about == About::Initialize;
        let (parts, body) = response.into_parts();
        if is_initialize && let Some(session) = parts.headers.get(SESSION_ID) {
            bridge.session().id = Some(session.clone());
        }
        match kind(&parts.headers).as_str() {
            "text/event-stream" => self.events(bridge, body).await,
            "application/json" if is_initialize => match read(body, INITIALIZE_LIMIT_BYTES).await {
                Some(reply) => bridge.message(&reply, self.awaited()).await.map(drop),
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

    pub(super) fn awaited(&self) -> Option<Awaited<'_>> {
        self.id.as_ref().map(|id| Awaited {
            id,
            about: &self.about,
        })
    }

    /// Passes on what came with a status that is none of success. Servers say more in a JSON-RPC error beside it.
    async fn tell<O: AsyncWrite + Unpin>(&self, bridge: &Bridge<O>, refused: &ErrorReply) -> io::Result<()> {
        let Some(id) = &self.id else {
            return Ok(());
        };
        let glance = Glance::of(&refused.reply);
        if glance.is_reply() && glance.known_id() == Some(id) {
            return bridge.output.say(&refused.reply).await;
        }
        let status = refused.status;
        bridge
            .fail(Some(id), i64::from(status.as_u16()), &refusal(status))
            .await
    }
}

/// Returns the kind of a message.
fn about(message: &Message<'_>) -> About {
    match message {
        Message::Call(call) if call.protocol_version.is_some_and(fields::mirrors) => {
            About::Call(call.tool.to_owned())
        }
        Message::Other(other) if other.method == INITIALIZE => About::Initialize,
        Message::Other(other) if other.method == TOOLS_LIST => About::List,
        Message::Call(_) | Message::Other(_) => About::Other,
    }
}

/// The fields of a message, by what is known of the session and of the tool that it calls.
fn fields_of<O: AsyncWrite + Unpin>(bridge: &Bridge<O>, message: Option<&Message<'_>>) -> HeaderMap {
    let bindings = match message {
        Some(Message::Call(call)) => bridge.tools().bindings(call.tool).cloned(),
        _ => None,
    };
    fields::of_message(&bridge.session(), message, bindings.as_deref())
}

/// The type of a reply, without parameters.
pub(super) fn kind(fields: &HeaderMap) -> String {
    let value = fields.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let kind = value.unwrap_or_default().split(';').next().unwrap_or_default();
    kind.trim().to_ascii_lowercase()
}
