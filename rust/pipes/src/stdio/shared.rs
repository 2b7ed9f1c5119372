//! The state that the two directions of one client share.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::io::{AsyncWrite, AsyncWriteExt as _};
use tokio::sync::{Mutex as AsyncMutex, Notify};

use super::judging::Judging;
use super::open::Open;
use crate::failed::{UPSTREAM_FAILED, failed};

/// The state that the two directions of one client share.
pub(super) struct Shared<O> {
    pub(super) judge: Arc<dyn Judging>,
    open: Mutex<Open>,
    /// The client's end. Whoever writes holds it for whole lines.
    pub(super) output: AsyncMutex<O>,
    /// Told when no request waits for its reply any more.
    pub(super) answered: Notify,
}

impl<O: AsyncWrite + Unpin> Shared<O> {
    pub(super) fn new(judge: Arc<dyn Judging>, output: O) -> Self {
        Self {
            judge,
            open: Mutex::default(),
            output: AsyncMutex::new(output),
            answered: Notify::new(),
        }
    }

    pub(super) fn open(&self) -> MutexGuard<'_, Open> {
        // A panic while it was held leaves a table that is one all the same.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes a message as a line.
    pub(super) async fn say(&self, message: &str) -> io::Result<()> {
        let mut line = Vec::with_capacity(message.len() + 1);
        line.extend_from_slice(message.as_bytes());
        line.push(b'\n');
        let mut output = self.output.lock().await;
        output.write_all(&line).await?;
        output.flush().await
    }

    /// Answers every request that waits: the server will not.
    pub(super) async fn fail_all(&self, reason: &str) -> io::Result<()> {
        let mut waiting = self.open().close_all();
        // In an order that does not depend on the table's.
        waiting.sort_by_cached_key(crate::RequestId::json);
        for id in waiting {
            self.say(&failed(Some(&id), UPSTREAM_FAILED, reason)).await?;
        }
        Ok(())
    }
}
