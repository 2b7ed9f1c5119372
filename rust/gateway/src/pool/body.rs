//! Replies whose connection is kept when they have ended.

use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::runtime::Handle;
use tokio::time::Instant;

use super::Link;
use super::idle::Idle;

/// The body of a reply. When it has ended, its connection waits for another request; dropped before, it closes the connection.
#[derive(Debug)]
pub(crate) struct PooledBody {
    body: Incoming,
    lease: Option<Lease>,
}

/// A connection that is in use.
#[derive(Debug)]
pub(super) struct Lease {
    link: Link,
    idle: Weak<Idle>,
    keep_for: Duration,
}

impl Lease {
    pub(super) fn new(link: Link, idle: &Arc<Idle>, keep_for: Duration) -> Self {
        Self {
            link,
            idle: Arc::downgrade(idle),
            keep_for,
        }
    }

    /// Keeps the connection, if it can be used again.
    fn give_back(mut self) {
        // Of a server that is configured otherwise by now, none is kept.
        if self.keep_for.is_zero() || self.link.sender.is_closed() || self.idle.strong_count() == 0 {
            return;
        }
        if self.link.sender.is_ready() {
            return self.keep();
        }
        // The reply has come before all of the request was written, or hyper has not looked after the end yet.
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(async move {
                let ready = tokio::time::timeout(self.keep_for, self.link.sender.ready()).await;
                if matches!(ready, Ok(Ok(()))) {
                    self.keep();
                }
            });
        }
    }

    fn keep(self) {
        if let Some(idle) = self.idle.upgrade() {
            idle.put(self.link, Instant::now() + self.keep_for);
        }
    }
}

impl PooledBody {
    pub(super) fn new(body: Incoming, lease: Lease) -> Self {
        let mut pooled = Self {
            body,
            lease: Some(lease),
        };
        pooled.give_back_at_end();
        pooled
    }

    fn give_back_at_end(&mut self) {
        if self.body.is_end_stream() {
            self.give_back();
        }
    }

    fn give_back(&mut self) {
        if let Some(lease) = self.lease.take() {
            lease.give_back();
        }
    }
}

impl Body for PooledBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        match &polled {
            Poll::Ready(None) => self.give_back(),
            Poll::Ready(Some(Ok(_))) => self.give_back_at_end(),
            Poll::Ready(Some(Err(_))) => drop(self.lease.take()),
            Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
