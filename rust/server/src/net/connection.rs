//! One connection, from its first byte to its last.

use std::sync::Arc;
use std::time::Duration;

use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;

use super::accept::Phase;
use super::io::Watched;
use crate::identity::Peer;
use crate::limits::Limits;
use crate::service::{Door, Doors};

/// Header fields of one HTTP/1.1 request.
const MAX_HEADERS: usize = 64;
/// Buffer of one HTTP/1.1 connection: bounds the request line and header, not the body.
const HTTP1_BUFFER_BYTES: usize = 64 * 1024;
/// What one HTTP/2 connection may send that is not read yet: over all of its streams, and on one of them. A stream whose
/// answers are not taken is not read either, so a few such streams must not stop the others.
const CONNECTION_WINDOW_BYTES: u32 = 1024 * 1024;
pub(crate) const STREAM_WINDOW_BYTES: u32 = 256 * 1024;
/// Answers of one stream that wait to be sent, whatever window the client has opened.
const SEND_BUFFER_BYTES: usize = 64 * 1024;
/// Streams that a client may open and reset before they are looked at: hyper's own bound against rapid resets.
const MAX_UNSEEN_RESETS: usize = 20;
/// Streams of one connection that are refused or broken in its whole life. A client may open thousands of streams before
/// it has read how many are allowed; whoever goes on loses the connection.
const MAX_REFUSED_STREAMS: usize = 16 * 1024;

/// How HTTP is spoken.
pub(super) fn protocols(limits: &Limits) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_millis(limits.header_timeout_ms))
        .max_headers(MAX_HEADERS)
        .max_buf_size(HTTP1_BUFFER_BYTES);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.max_streams)
        .max_header_list_size(limits.header_limit_bytes)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_send_buf_size(SEND_BUFFER_BYTES)
        .max_pending_accept_reset_streams(MAX_UNSEEN_RESETS)
        .max_local_error_reset_streams(MAX_REFUSED_STREAMS)
        .keep_alive_interval(Duration::from_millis(limits.keepalive_interval_ms))
        .keep_alive_timeout(Duration::from_millis(limits.keepalive_timeout_ms));
    builder
}

/// Serves one connection until it ends, or until the server stops.
pub(super) async fn serve<I>(
    protocols: &Builder<TokioExecutor>,
    stream: I,
    doors: Arc<Doors>,
    door: Door,
    peer: Peer,
    opening_timeout: Duration,
    mut phase: watch::Receiver<Phase>,
) where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (stream, opening) = Watched::new(stream);
    let (unfinished, peer) = (doors.unfinished.share(), Arc::new(peer));
    let service = hyper::service::service_fn(move |request| doors.answer(door, &peer, &unfinished, request));
    let connection = protocols.serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);

    // A fault of the connection ends it, and nobody is left to be told.
    tokio::select! {
        biased;
        _ = connection.as_mut() => return,
        () = draining(&mut phase) => {}
        () = overdue(opening_timeout, &opening) => return,
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
async fn overdue(patience: Duration, opening: &super::io::Opening) {
    tokio::time::sleep(patience).await;
    if opening.is_over() {
        std::future::pending::<()>().await;
    }
}
