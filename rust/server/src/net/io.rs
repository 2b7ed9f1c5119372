//! A connection's bytes, with a watch on its opening.

use std::io::{IoSlice, Result};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes after which it is settled which HTTP is spoken: the length of HTTP/2's preface.
const PREFACE_BYTES: usize = 24;

/// Whether it is settled which HTTP a connection speaks. Until then no timeout of either protocol runs.
#[derive(Clone, Debug, Default)]
pub(super) struct Opening(Arc<AtomicBool>);

impl Opening {
    pub(super) fn is_over(&self) -> bool {
        // Relaxed: it publishes nothing else.
        self.0.load(Ordering::Relaxed)
    }
}

/// Reads and writes as `I` does, and notices when the opening is over.
pub(super) struct Watched<I> {
    inner: I,
    opening: Opening,
    missing: usize,
}

impl<I> Watched<I> {
    pub(super) fn new(inner: I) -> (Self, Opening) {
        let opening = Opening::default();
        (
            Self {
                inner,
                opening: opening.clone(),
                missing: PREFACE_BYTES,
            },
            opening,
        )
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for Watched<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.inner).poll_read(cx, buffer))?;
        if self.missing > 0 {
            self.missing = self.missing.saturating_sub(buffer.filled().len() - before);
            if self.missing == 0 {
                // Relaxed, as in `is_over`.
                self.opening.0.store(true, Ordering::Relaxed);
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Watched<I> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &[u8]) -> Poll<Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, buffer)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(cx, buffers)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
}
