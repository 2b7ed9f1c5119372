//! One connection, from its first byte to its last.

use std::sync::Arc;
use std::time::Duration;

use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;

use super::accept::Phase;
use super::io::Watched;
use crate::service::{Door, Doors};

/// Streams open at once on one HTTP/2 connection.
const MAX_STREAMS: u32 = 1_024;
/// Bytes of all header fields of one request.
const MAX_HEADER_BYTES: u32 = 16 * 1024;
/// Header fields of one HTTP/1.1 request.
const MAX_HEADERS: usize = 64;
/// Buffer of one HTTP/1.1 connection: bounds the request line and header, not the body.
const HTTP1_BUFFER_BYTES: usize = 64 * 1024;
/// A client that has not said which HTTP it speaks by then is cut off.
const OPENING_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest wait for the next request's header over HTTP/1.1, idle time between requests included: short, because whoever
/// sends headers byte by byte holds a connection for as long.
const HEADER_TIMEOUT: Duration = Duration::from_secs(20);
/// An HTTP/2 client is asked this often whether it is still there.
const PING_INTERVAL: Duration = Duration::from_secs(30);
/// And has this long to answer.
const PING_TIMEOUT: Duration = Duration::from_secs(20);

/// How HTTP is spoken.
pub(super) fn protocols() -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_headers(MAX_HEADERS)
        .max_buf_size(HTTP1_BUFFER_BYTES);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(MAX_HEADER_BYTES)
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT);
    builder
}

/// Serves one connection until it ends, or until the server stops.
pub(super) async fn serve<I>(
    protocols: &Builder<TokioExecutor>,
    stream: I,
    doors: Arc<Doors>,
    door: Door,
    mut phase: watch::Receiver<Phase>,
) where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (stream, opening) = Watched::new(stream);
    let service = hyper::service::service_fn(move |request| Arc::clone(&doors).answer(door, request));
    let connection = protocols.serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);

    // A fault of the connection ends it, and nobody is left to be told.
    tokio::select! {
        biased;
        _ = connection.as_mut() => return,
        () = draining(&mut phase) => {}
        () = overdue(&opening) => return,
    }
    connection.as_mut().graceful_shutdown();
    tokio::select! {
        biased;
        _ = connection => {}
        () = closing(&mut phase) => {}
    }
}

/// Ready when the server stops accepting; a server that is gone has stopped.
async fn draining(phase: &mut watch::Receiver<Phase>) {
    let _ = phase.wait_for(|phase| *phase >= Phase::Draining).await;
}

/// Ready when time for what is in flight is up.
async fn closing(phase: &mut watch::Receiver<Phase>) {
    let _ = phase.wait_for(|phase| *phase >= Phase::Closed).await;
}

/// Ready when the client has been silent for too long at the start; never once it has spoken.
async fn overdue(opening: &super::io::Opening) {
    tokio::time::sleep(OPENING_TIMEOUT).await;
    if opening.is_over() {
        std::future::pending::<()>().await;
    }
}
