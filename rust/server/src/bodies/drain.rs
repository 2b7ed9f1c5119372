//! Draining the rest of a body whose request has been answered.
//!
//! Many clients write the whole of a body before they read. A connection that is closed with bytes unread is reset: the
//! client's next write fails, and an answer that has arrived already is lost with it. So what is left of a body is read on
//! and thrown away, within bounds, before its connection is closed or used again. Over HTTP/2 it is read as well, because
//! some clients take a stream that ends before their own body for a fault.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, header};
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::runtime::Handle;

/// Bytes of one body that are thrown away at most: a client that sends more does not look at answers.
const MAX_BYTES: usize = 64 * 1024 * 1024;

/// Longest pause of a client. One that has read the answer may send no more and wait for the connection's end.
const MAX_PAUSE: Duration = Duration::from_secs(5);

/// A body that is read to its end, whether or not anybody wants all of it.
#[derive(Debug)]
pub(crate) struct DrainedBody {
    /// `None` after its end.
    inner: Option<Incoming>,
    /// Time for which it is read after it was dropped; `None`: not at all.
    patience: Option<Duration>,
    /// The client waits for `100 Continue`, so nothing is on its way.
    is_held_back: bool,
}

impl DrainedBody {
    /// The request, whose body is read for so long after it was dropped.
    pub(crate) fn request(request: Request<Incoming>, patience: Duration) -> Request<Self> {
        let is_held_back = request.headers().contains_key(header::EXPECT);
        request.map(|body| Self {
            inner: Some(body),
            patience: Some(patience),
            is_held_back,
        })
    }

    /// A body that ends where it is dropped: clients of gRPC know that streams end early.
    pub(crate) const fn never(body: Incoming) -> Self {
        Self {
            inner: Some(body),
            patience: None,
            is_held_back: false,
        }
    }
}

impl Body for DrainedBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        self.is_held_back = false;
        let Some(inner) = &mut self.inner else {
            return Poll::Ready(None);
        };
        let frame = ready!(Pin::new(inner).poll_frame(cx));
        if !matches!(frame, Some(Ok(_))) {
            self.inner = None;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(Incoming::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        let inner = self.inner.as_ref();
        inner.map_or_else(|| SizeHint::with_exact(0), Incoming::size_hint)
    }
}

impl Drop for DrainedBody {
    fn drop(&mut self) {
        if self.is_held_back || self.is_end_stream() {
            return;
        }
        let (Some(rest), Some(patience)) = (self.inner.take(), self.patience) else {
            return;
        };
        // Dropped with the runtime, the connection is gone as well.
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(tokio::time::timeout(patience, throw_away(rest)));
        }
    }
}

/// Reads a body to its end, to its fault or to a bound.
async fn throw_away(mut body: Incoming) {
    let mut left = MAX_BYTES;
    while let Ok(Some(Ok(frame))) = tokio::time::timeout(MAX_PAUSE, body.frame()).await {
        let length = frame.data_ref().map_or(0, Bytes::len);
        let Some(rest) = left.checked_sub(length) else {
            return;
        };
        left = rest;
    }
}
