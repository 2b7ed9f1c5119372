//! The reply to one message: JSON, or a stream of events.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use callgate_gateway::upstream::{OpenBody, Redirects};
use http::Method;
use http_body_util::BodyExt as _;
use tokio::io::AsyncWrite;
use tokio::time::sleep;

use super::bridge::{About, Bridge};
use super::events::Resumption;
use super::exchange::{Exchange, GONE};
use super::fields;
use super::output::OpenLine;
use super::tools::LIST_LIMIT_BYTES;
use crate::failed::UPSTREAM_FAILED;

/// The number of times that the stream of one reply is resumed without anything new on it.
const MOST_RESUMPTIONS: usize = 5;

/// Of a reply in JSON this much is held before its line begins, so that one that breaks early leaves nothing behind.
const SHORT_BYTES: usize = 64 * 1024;

impl Exchange {
    /// A reply that is one message in JSON, however long it is.
    pub(super) async fn json<O: AsyncWrite + Unpin>(
        &self,
        bridge: &Bridge<O>,
        mut body: OpenBody,
    ) -> io::Result<()> {
        let mut held = Vec::new();
        let mut list = (self.about == About::List).then(Vec::new);
        let mut line: Option<OpenLine<'_, O>> = None;
        while let Some(frame) = body.frame().await {
            let Ok(frame) = frame else {
                if let Some(line) = line.take() {
                    line.end().await?;
                }
                return bridge.fail(self.id.as_ref(), UPSTREAM_FAILED, GONE).await;
            };
            let piece = frame.into_data().unwrap_or_default();
            list = list.filter(|list| list.len() + piece.len() <= LIST_LIMIT_BYTES);
            if let Some(list) = &mut list {
                list.extend_from_slice(&piece);
            }
            match &mut line {
                Some(line) => line.part(&piece).await?,
                None => held.extend_from_slice(&piece),
            }
            if line.is_none() && held.len() > SHORT_BYTES {
                let mut begun = bridge.output.begin().await?;
                begun.part(&std::mem::take(&mut held)).await?;
                line = Some(begun);
            }
        }
        if let Some(list) = list {
            bridge.learn(&list, &self.about);
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
    pub(super) async fn events<O: AsyncWrite + Unpin>(
        &self,
        bridge: &Bridge<O>,
        body: OpenBody,
    ) -> io::Result<()> {
        let id = self.id.as_ref();
        let mut resumption = Resumption::default();
        let mut streamed = bridge.stream(body, self.awaited(), &mut resumption).await?;
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
                .send(
                    None,
                    Redirects::Follow,
                    Method::GET,
                    || fields.clone(),
                    Bytes::new(),
                )
                .await
            {
                Ok(response) if response.status().is_success() => {
                    streamed = bridge
                        .stream(response.into_body(), self.awaited(), &mut resumption)
                        .await?;
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
}
