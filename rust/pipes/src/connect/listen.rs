//! The server's own stream, in protocol versions that have sessions.

use std::sync::Arc;

use bytes::Bytes;
use callgate_gateway::upstream::Redirects;
use http::Method;
use tokio::io::AsyncWrite;
use tokio::time::sleep;

use super::bridge::Bridge;
use super::events::Resumption;
use super::exchange::kind;
use super::fields;

/// The number of failed requests for the stream, in a row, after which no more are made.
const MOST_FAILURES: u32 = 8;

impl<O: AsyncWrite + Send + Unpin + 'static> Bridge<O> {
    /// Asks for the server's own stream, in place of that of a session before.
    pub(super) fn listen(self: &Arc<Self>) {
        self.session().is_listening = true;
        let task = tokio::spawn(listen(Arc::clone(self)));
        if let Some(before) = self.listener().replace(task.abort_handle()) {
            before.abort();
        }
    }
}

/// Passes on what the server says by itself, for as long as it offers a stream.
async fn listen<O: AsyncWrite + Unpin>(bridge: Arc<Bridge<O>>) {
    let mut resumption = Resumption::default();
    let mut failures = 0;
    while failures < MOST_FAILURES {
        let fields = fields::of_stream(&bridge.session(), resumption.last_event_id.as_deref());
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
            Ok(response)
                if response.status().is_success() && kind(response.headers()) == "text/event-stream" =>
            {
                failures = 0;
                // The client's end is found out by whoever writes next.
                if bridge
                    .stream(response.into_body(), None, &mut resumption)
                    .await
                    .is_err()
                {
                    return;
                }
            }
            // 405: it has none; 404: the session has ended. Neither changes.
            Ok(response) if !response.status().is_server_error() => return,
            _ => failures += 1,
        }
        sleep(resumption.retry.saturating_mul(1 << failures)).await;
    }
}
