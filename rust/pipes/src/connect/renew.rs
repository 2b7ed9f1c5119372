//! Beginning another session in place of one that the server has ended.
//!
//! The versions that have sessions ask that of clients, and a client over pipes does not know of any: to it, everything after
//! would fail. What it said when it began is said again, and nothing else: what it has set since (a log level, subscriptions)
//! is gone with the session, which is told on standard error.

use std::sync::Arc;

use callgate_core::json::Tape;
use callgate_mcp::list::MAX_ANSWER_DEPTH;
use http::HeaderValue;
use tokio::io::{AsyncWrite, AsyncWriteExt as _};

use super::bridge::{Bridge, INITIALIZE_LIMIT_BYTES};
use super::fields::{self, SESSION_ID};
use super::session::{Opening, Session};
use crate::glance::Glance;

const BEGUN_ANEW: &[u8] =
    b"callgate: warning: the server has ended the session, and another one was begun; what the client \
    had set in it, such as a log level or subscriptions, is gone\n";

impl<O: AsyncWrite + Send + Unpin + 'static> Bridge<O> {
    /// Begins another session in place of the one of this id; whether there is one now, begun by this request or by
    /// another that came first.
    pub(super) async fn renew(self: &Arc<Self>, ended: &HeaderValue) -> bool {
        let _one_at_a_time = self.renewing.lock().await;
        let session = self.session().clone();
        if session.id.as_ref() != Some(ended) {
            return true;
        }
        let Some(id) = self.begin(&session).await else {
            return false;
        };
        self.session().id = id;
        // A parent process that does not read standard error must not hold the call up.
        tokio::spawn(async {
            // Nobody else could be told that it was not told.
            let _ = tokio::io::stderr().write_all(BEGUN_ANEW).await;
        });
        if session.is_listening {
            self.listen();
        }
        true
    }

    /// Repeats the client's opening of the session; returns the new session's id, which some servers omit.
    async fn begin(&self, session: &Session) -> Option<Option<HeaderValue>> {
        let Opening {
            initialize,
            initialized,
        } = &session.opening;
        let (initialize, initialized) = (initialize.clone()?, initialized.clone()?);
        let request = Glance::of(&initialize);
        let plain = fields::of_message(&Session::default(), None, None);
        let told = self.ask(plain, initialize, request.known_id(), INITIALIZE_LIMIT_BYTES);
        let told = told.await?;
        let mut tape = Tape::new();
        let reply = tape.parse(&told.message, MAX_ANSWER_DEPTH).ok()?;
        let version = reply.get("result")?.get("protocolVersion")?.as_str()?;
        let begun = Session {
            id: told.fields.get(SESSION_ID).cloned(),
            version: session.version.clone(),
            ..Session::default()
        };
        // The client was told another version, and goes on in that.
        let is_same = session.version.as_ref().is_some_and(|agreed| agreed == version);
        let fields = fields::of_message(&begun, None, None);
        if is_same && self.ask(fields, initialized, None, 0).await.is_some() {
            return Some(begun.id);
        }
        self.end(&begun).await;
        None
    }
}
