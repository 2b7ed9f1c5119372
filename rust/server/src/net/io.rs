//! A connection's bytes, and the progress that they show.

use std::io::{IoSlice, Result};
use std::os::fd::AsFd;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use rustix::net::{RecvFlags, recv};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::server::TlsStream;

use super::progress::Progress;

/// A connection below HTTP.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static {
    /// Returns true if the system has received bytes that nobody has read: the runtime learns of them later.
    fn has_unread(&self) -> bool;
}

impl Stream for TcpStream {
    fn has_unread(&self) -> bool {
        holds_bytes(self)
    }
}

impl Stream for UnixStream {
    fn has_unread(&self) -> bool {
        holds_bytes(self)
    }
}

impl Stream for TlsStream<TcpStream> {
    fn has_unread(&self) -> bool {
        holds_bytes(self.get_ref().0)
    }
}

fn holds_bytes(socket: &impl AsFd) -> bool {
    let mut byte = [0];
    let peeked = recv(socket, &mut byte, RecvFlags::PEEK | RecvFlags::DONTWAIT);
    // Neither the end nor a fault is a request.
    peeked.is_ok_and(|(_, count)| count > 0)
}

/// Reads and writes like `I`, and records the connection's progress.
pub(super) struct Watched<I> {
    inner: I,
    progress: Arc<Progress>,
}

impl<I> Watched<I> {
    pub(super) fn new(inner: I) -> (Self, Arc<Progress>) {
        let progress = Arc::<Progress>::default();
        let watched = Self {
            inner,
            progress: Arc::clone(&progress),
        };
        (watched, progress)
    }
}

impl<I: Stream> AsyncRead for Watched<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.inner).poll_read(cx, buffer);
        if self.progress.is_draining() {
            self.progress
                .set_unread(polled.is_pending() && self.inner.has_unread());
        }
        ready!(polled)?;
        if let Some(read) = buffer.filled().get(before..) {
            self.progress.read(read);
        }
        Poll::Ready(Ok(()))
    }
}

impl<I: Stream> AsyncWrite for Watched<I> {
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
