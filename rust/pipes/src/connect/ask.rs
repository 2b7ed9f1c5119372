//! Requests that nobody but this process has asked for, and whose replies stay here.

use std::time::Duration;

use bytes::Bytes;
use callgate_gateway::upstream::{OpenBody, Redirects};
use callgate_mcp::sse::Events;
use http::{HeaderMap, Method};
use http_body_util::BodyExt as _;
use tokio::io::AsyncWrite;
use tokio::time::timeout;

use super::bridge::{Bridge, read};
use super::events::Resumption;
use super::exchange::kind;
use crate::glance::Glance;
use crate::id::RequestId;

/// The time that the client's own request waits for such a reply.
const PATIENCE: Duration = Duration::from_secs(30);

/// A reply to this process.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) fields: HeaderMap,
    /// The JSON-RPC message; empty where nothing was asked that has a reply.
    pub(super) message: Bytes,
}

impl<O: AsyncWrite + Unpin> Bridge<O> {
    /// Sends a message and gives the reply under `id`, as long as it is no longer than `limit_bytes`; of what has no
    /// id, that it was taken. `None` for everything else.
    pub(super) async fn ask(
        &self,
        fields: HeaderMap,
        line: Bytes,
        id: Option<&RequestId>,
        limit_bytes: usize,
    ) -> Option<Told> {
        let asked = async {
            let response = self
                .upstream
                .send(None, Redirects::Follow, Method::POST, || fields.clone(), line)
                .await
                .ok()?;
            if !response.status().is_success() {
                return None;
            }
            let (head, body) = response.into_parts();
            let fields = head.headers;
            let Some(id) = id else {
                return Some(Told {
                    fields,
                    message: Bytes::new(),
                });
            };
            let message = if kind(&fields) == "text/event-stream" {
                reply_in(body, id, limit_bytes).await?
            } else {
                read(body, limit_bytes).await.filter(|reply| answers(reply, id))?
            };
            Some(Told { fields, message })
        };
        timeout(PATIENCE, asked).await.ok()?
    }
}

/// The reply under this id among the messages of a stream.
async fn reply_in(mut body: OpenBody, id: &RequestId, limit_bytes: usize) -> Option<Bytes> {
    let mut events = Events::new(limit_bytes);
    let mut resumption = Resumption::default();
    let mut reply = None;
    while reply.is_none() {
        let piece = body.frame().await?.ok()?.into_data().unwrap_or_default();
        let mut see = |event: callgate_mcp::sse::Event<'_>| {
            if let Some(message) = resumption.see(&event).filter(|message| answers(message, id)) {
                reply = Some(Bytes::from(message.into_owned()));
            }
        };
        events.read(&piece, &mut see).ok()?;
    }
    reply
}

fn answers(message: &[u8], id: &RequestId) -> bool {
    let glance = Glance::of(message);
    glance.is_reply() && glance.known_id() == Some(id)
}
