//! Connections that know whether anything of a request was written to them.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll};

use http::Uri;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_rustls::MaybeHttpsStream;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};
use tokio::net::TcpStream;
use tower_service::Service;

/// Bytes may have been written since the request began, or no request has begun.
const WRITTEN: u8 = 0;
/// A request has begun, and nothing was written since: on a new connection, or on one that was used before.
const UNSENT_NEW: u8 = 1;
const UNSENT_REUSED: u8 = 2;
/// The first bytes are being written.
const WRITING: u8 = 3;
/// The request was withdrawn before any byte of it was written.
const WITHDRAWN: u8 = 4;

/// Shows if any byte of a request was written to its socket, below TLS. If none was, no server can have seen it.
// Relaxed everywhere: it is one variable, and nothing else is read by its value.
#[derive(Debug, Default)]
pub(super) struct Writes(AtomicU8);

impl Writes {
    /// A request begins.
    pub(super) fn begin(&self, is_reused: bool) {
        let unsent = if is_reused { UNSENT_REUSED } else { UNSENT_NEW };
        self.0.store(unsent, Ordering::Relaxed);
    }

    /// Returns true if nothing was written since the request began. Then nothing ever will be: hyper reports an error before it
    /// gives up what it holds.
    pub(super) fn withdraw(&self) -> bool {
        self.swap(UNSENT_NEW, WITHDRAWN) || self.swap(UNSENT_REUSED, WITHDRAWN)
    }

    fn swap(&self, from: u8, to: u8) -> bool {
        self.0
            .compare_exchange(from, to, Ordering::Relaxed, Ordering::Relaxed)
            .is_ok()
    }

    fn state(&self) -> u8 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A TCP connection; TLS, where there is any, is above it.
#[derive(Debug)]
pub(crate) struct Wire {
    io: TokioIo<TcpStream>,
    writes: Arc<Writes>,
}

/// The write state of a connection.
pub(super) fn writes(stream: &MaybeHttpsStream<Wire>) -> Arc<Writes> {
    let wire = match stream {
        MaybeHttpsStream::Http(wire) => wire,
        MaybeHttpsStream::Https(stream) => stream.inner().get_ref().0.inner(),
    };
    Arc::clone(&wire.writes)
}

impl Wire {
    /// Writes, unless the request was withdrawn, or these would be its first bytes and the server has closed the connection.
    fn write(
        &mut self,
        write: impl FnOnce(Pin<&mut TokioIo<TcpStream>>) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        let before = self.writes.state();
        if before == WRITTEN {
            return write(Pin::new(&mut self.io));
        }
        if before == WITHDRAWN || !self.writes.swap(before, WRITING) {
            let message = "the request was withdrawn";
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::ConnectionAborted, message)));
        }
        let written = if is_closed(self.io.inner(), before == UNSENT_REUSED) {
            let message = "the server has closed the connection";
            Poll::Ready(Err(io::Error::new(io::ErrorKind::ConnectionAborted, message)))
        } else {
            write(Pin::new(&mut self.io))
        };
        let is_begun = matches!(written, Poll::Ready(Ok(1..)));
        self.writes.swap(WRITING, if is_begun { WRITTEN } else { before });
        written
    }
}

/// Returns true if the server has closed a connection, by the socket itself: the runtime may know an older state. Anything
/// that a server says between two requests announces the close as well; on a new connection it may belong to TLS.
fn is_closed(stream: &TcpStream, is_reused: bool) -> bool {
    let mut byte = [0];
    match recv(stream, &mut byte, RecvFlags::PEEK | RecvFlags::DONTWAIT) {
        Ok((_, 0)) => true,
        Ok(_) => is_reused,
        Err(Errno::AGAIN | Errno::INTR) => false,
        Err(_) => true,
    }
}

impl Read for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(context, buffer)
    }
}

impl Write for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.write(|io| io.poll_write(context, bytes))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.write(|io| io.poll_write_vectored(context, buffers))
    }
}

impl Connection for Wire {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

/// A connector whose connections know what was written to them.
#[derive(Clone, Debug)]
pub(crate) struct Wired<C>(pub(crate) C);

impl<C> Service<Uri> for Wired<C>
where
    C: Service<Uri, Response = TokioIo<TcpStream>>,
    C::Future: Send + 'static,
{
    type Response = Wire;
    type Error = C::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Wire, C::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), C::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, to: Uri) -> Self::Future {
        let connecting = self.0.call(to);
        Box::pin(async move {
            Ok(Wire {
                io: connecting.await?,
                writes: Arc::default(),
            })
        })
    }
}
