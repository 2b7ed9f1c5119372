//! Retries of requests that a server refuses for a reason that its client over pipes cannot know.
//!
//! A request that the server may have acted on is never sent again. Servers check session and header fields before
//! anything else (MCP 2025-11-25 and 2026-07-28, transport pages), so a request that is refused for these had no
//! effect.

use std::sync::Arc;

use callgate_core::json::Tape;
use callgate_mcp::Reason;
use callgate_mcp::list::MAX_ANSWER_DEPTH;
use http::{HeaderMap, StatusCode};
use tokio::io::AsyncWrite;

use super::bridge::{About, Bridge};
use super::exchange::{ErrorReply, Exchange};
use super::fields::SESSION_ID;

/// JSON-RPC's code of a method that the server does not have, which newer servers answer with status 404.
const METHOD_NOT_FOUND: i64 = -32_601;

impl Exchange {
    /// The fields with which a refused request is worth sending once more.
    pub(super) async fn mended<O: AsyncWrite + Send + Unpin + 'static>(
        &self,
        bridge: &Arc<Bridge<O>>,
        refused: &ErrorReply,
        sent: &HeaderMap,
    ) -> Option<HeaderMap> {
        // A message without a waiting client belongs to the session that has ended.
        self.id.as_ref()?;
        let code = refused.code();
        match (&self.about, sent.get(SESSION_ID)) {
            (About::Initialize, _) => None,
            (_, Some(ended)) if refused.status == StatusCode::NOT_FOUND && code != Some(METHOD_NOT_FOUND) => {
                let is_begun = bridge.renew(ended).await;
                is_begun.then(|| self.remade(bridge))
            }
            (About::Call(tool), _) if code == Some(Reason::HeaderMismatch.code()) => {
                bridge.relist(&self.line, tool).await;
                let remade = self.remade(bridge);
                (remade != *sent).then_some(remade)
            }
            _ => None,
        }
    }
}

impl ErrorReply {
    /// The code of the JSON-RPC error in it.
    fn code(&self) -> Option<i64> {
        let mut tape = Tape::new();
        let reply = tape.parse(&self.reply, MAX_ANSWER_DEPTH).ok()?;
        reply.get("error")?.get("code")?.as_number()?.parse().ok()
    }
}
