//! One connection, from its first byte to its last.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use http::header::CONNECTION;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, Version};
use hyper::body::Incoming;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::sync::watch;
use tonic::body::Body;

use super::guarded::{Guarded, Watch};
use super::head_timer::HeadTimer;
use super::io::{Stream, Watched};
use super::progress::Progress;
use super::requests::{NewRequests, Requests};
use crate::doors::Services;
use crate::identity::Peer;
use crate::limits::{Limits, STREAM_WINDOW_BYTES};
use crate::listener::Listener;
use crate::phase::Phase;
use crate::threads::Seat;

/// Header fields of one HTTP/1.1 request.
const MAX_HEADERS: usize = 64;
/// Buffer of one HTTP/1.1 connection: bounds the request line and header, not the body.
const HTTP1_BUFFER_BYTES: usize = 64 * 1024;
/// The flow-control window of one HTTP/2 connection, over all of its streams: a few streams that are not read must not
/// stop the others.
const CONNECTION_WINDOW_BYTES: u32 = 1024 * 1024;
/// Bytes of one stream that may wait to be sent, even if the client opens a larger window.
const SEND_BUFFER_BYTES: usize = 64 * 1024;
/// Streams that a client has opened and reset, and that hyper has not seen yet. Resets are bounded by [`super::guard`],
/// which passes so few in one turn that this bound is never reached.
const MAX_UNSEEN_RESETS: usize = 4 * 1024;
/// Streams of one connection that are refused or broken in its whole life. A client may open thousands of streams
/// before it has read the allowed number; a client that continues loses the connection.
const MAX_REFUSED_STREAMS: usize = 16 * 1024;

/// The time announced to clients is shorter by this margin than the time for which idle connections are kept.
const MARGIN_MS: u64 = 5_000;
/// Longest wait of a stopping server for the rest of a request over HTTP/1.1 that has begun to arrive.
const READING_TIME: Duration = Duration::from_secs(1);

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");

/// Makes the settings of HTTP for one connection.
fn protocols(limits: &Limits, executor: NewRequests) -> Builder<NewRequests> {
    let mut builder = Builder::new(executor);
    builder
        .http1()
        .timer(TokioTimer::new())
        // From the end of one request to the begin of the next; `HeadTimer` cuts it where one has begun.
        .header_read_timeout(Duration::from_millis(limits.idle_timeout_ms))
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

/// The settings of all connections.
#[derive(Clone, Debug)]
pub(super) struct Manners {
    limits: Limits,
    opening_timeout: Duration,
    header_timeout: Duration,
    /// The announced time for which idle connections over HTTP/1.1 are kept; `None` if it is too short to be announced.
    announcement: Option<HeaderValue>,
}

impl Manners {
    pub(super) fn new(limits: &Limits) -> Self {
        let announced_s = announced_s(limits.idle_timeout_ms);
        let announcement = HeaderValue::try_from(format!("timeout={announced_s}"));
        Self {
            limits: *limits,
            opening_timeout: Duration::from_millis(limits.opening_timeout_ms),
            header_timeout: Duration::from_millis(limits.header_timeout_ms),
            announcement: announcement.ok().filter(|_| announced_s > 0),
        }
    }

    /// Adds the fields to a reply over HTTP/1.1 that tell a client whether it can reuse the connection.
    fn mark(&self, fields: &mut HeaderMap, is_draining: bool) {
        if is_draining {
            fields.insert(CONNECTION, HeaderValue::from_static("close"));
        } else if let Some(announcement) = &self.announcement
            && !fields.contains_key(CONNECTION)
        {
            fields.insert(CONNECTION, HeaderValue::from_static("keep-alive"));
            fields.insert(KEEP_ALIVE, announcement.clone());
        }
    }
}

/// Returns the time, in seconds, for which a client is told that an idle connection is kept: less than the real time,
/// as a request may be on its way when that ends.
const fn announced_s(idle_timeout_ms: u64) -> u64 {
    let margin_ms = if idle_timeout_ms < 4 * MARGIN_MS {
        idle_timeout_ms / 4
    } else {
        MARGIN_MS
    };
    (idle_timeout_ms - margin_ms) / 1_000
}

/// Serves one connection until it ends, or until the server stops.
pub(super) async fn serve<I: Stream>(
    manners: Arc<Manners>,
    stream: I,
    services: Arc<Services>,
    listener: Listener,
    peer: Peer,
    (seat, phase): (Seat, watch::Receiver<Phase>),
) {
    let (unfinished, peer) = (services.unfinished.share(), Arc::new(peer));
    let (watch, told) = (Watch::default(), Arc::clone(&services));
    let answer = move |request| services.answer(listener, &peer, &unfinished, request);
    hold(manners, stream, answer, (seat, phase), watch.clone()).await;
    if let Some(flood) = watch.flood() {
        told.gate.flooded(flood);
    }
}

/// Serves requests until the connection ends, or the server stops.
async fn hold<I, F>(
    manners: Arc<Manners>,
    stream: I,
    answer: impl Fn(Request<Incoming>) -> F + Send + 'static,
    (seat, mut phase): (Seat, watch::Receiver<Phase>),
    watch: Watch,
) where
    I: Stream,
    F: Future<Output = Result<Response<Body>, Infallible>> + Send + Unpin + 'static,
{
    let (stream, progress) = Watched::new(stream);
    seat.set_http2(progress.http2_note());
    let stream = Guarded::new(stream, manners.limits.max_streams, watch.clone());
    let mut requests = Requests::default();
    let mut protocols = protocols(&manners.limits, requests.executor());
    let timer = HeadTimer::new(Arc::clone(&progress), manners.header_timeout);
    protocols.http1().timer(timer);
    let opening_timeout = manners.opening_timeout;
    let of_connection = Arc::clone(&progress);
    let service = hyper::service::service_fn(move |request: Request<Incoming>| {
        // For HTTP/1.0 hyper adds these fields itself.
        let is_kept = request.version() == Version::HTTP_11 && !closes(request.headers());
        Marking {
            answering: answer(request),
            mark: is_kept.then(|| (Arc::clone(&manners), Arc::clone(&of_connection))),
        }
    });
    let connection = protocols.serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);

    // It is kept until the connection has ended.
    let seat = Arc::new(seat);
    let mut signals = signals(
        Arc::clone(&seat),
        phase.clone(),
        opening_timeout,
        Arc::clone(&progress),
    );
    loop {
        tokio::select! {
            biased;
            // A fault of the connection ends it, and nobody is left to be told.
            _ = in_turns(connection.as_mut(), &mut requests, &watch) => return,
            Some(signal) = signals.next() => match signal {
                Signal::Overdue => return,
                // Its streams are answered before it ends.
                Signal::Leave => connection.as_mut().graceful_shutdown(),
                Signal::Drain => break,
            }
        }
    }
    // A request that has come as a whole is answered, though nobody has read it yet: over HTTP/1.1 nothing else tells a client
    // that it was not done. Over HTTP/2 the end of the connection says which were.
    progress.drain();
    if is_over(in_turns(connection.as_mut(), &mut requests, &watch)).await {
        return;
    }
    if progress.has_unread() && !progress.is_http2() {
        tokio::select! {
            biased;
            _ = in_turns(connection.as_mut(), &mut requests, &watch) => return,
            () = closing(&mut phase) => return,
            () = tokio::time::sleep(READING_TIME) => {}
        }
    }
    connection.as_mut().graceful_shutdown();
    tokio::select! {
        biased;
        _ = in_turns(connection, &mut requests, &watch) => {}
        () = closing(&mut phase) => {}
    }
}

/// A reason to do something about a connection, besides what its client sends.
enum Signal {
    /// The client has sent nothing for too long at the start.
    Overdue,
    /// The thread of the connection is busy.
    Leave,
    /// The server stops.
    Drain,
}

/// A signal that has not come yet.
type Waiting = Pin<Box<dyn Future<Output = Signal> + Send>>;

/// The signals of one connection. Each is looked at when it wakes the task, and not in each turn of the connection: that would
/// take a lock that all connections share.
fn signals(
    seat: Arc<Seat>,
    mut phase: watch::Receiver<Phase>,
    opening_timeout: Duration,
    progress: Arc<Progress>,
) -> FuturesUnordered<Waiting> {
    let signals = FuturesUnordered::<Waiting>::new();
    let overdue = async move {
        overdue(opening_timeout, &progress).await;
        Signal::Overdue
    };
    signals.push(Box::pin(overdue));
    signals.push(Box::pin(async move {
        seat.leaving().await;
        Signal::Leave
    }));
    signals.push(Box::pin(async move {
        draining(&mut phase).await;
        Signal::Drain
    }));
    signals
}

/// Polls a connection and its requests, and notifies its watch of each turn.
async fn in_turns<C: Future>(
    mut connection: Pin<&mut C>,
    requests: &mut Requests,
    watch: &Watch,
) -> C::Output {
    poll_fn(|context| {
        watch.begin_turn();
        let polled = connection.as_mut().poll(context);
        // Their replies wake the connection, which sends them in its next turn.
        requests.poll(context);
        polled
    })
    .await
}

/// An answer with the fields about its connection. Not an `async` block, which would hold the answering future twice.
struct Marking<F> {
    answering: F,
    mark: Option<(Arc<Manners>, Arc<Progress>)>,
}

impl<F> Future for Marking<F>
where
    F: Future<Output = Result<Response<Body>, Infallible>> + Unpin,
{
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let mut answered = ready!(Pin::new(&mut self.answering).poll(context));
        if let (Some((manners, progress)), Ok(response)) = (&self.mark, &mut answered) {
            manners.mark(response.headers_mut(), progress.is_draining());
        }
        Poll::Ready(answered)
    }
}

/// Polls a connection once; returns true if it has ended.
async fn is_over(connection: impl Future) -> bool {
    let mut connection = std::pin::pin!(connection);
    poll_fn(|context| Poll::Ready(connection.as_mut().poll(context).is_ready())).await
}

/// Returns true if the client closes the connection after this request.
fn closes(fields: &HeaderMap) -> bool {
    let values = fields.get_all(CONNECTION).iter();
    values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|option| option.trim().eq_ignore_ascii_case("close"))
}

/// Ready when the server stops accepting; a server that is gone has stopped.
async fn draining(phase: &mut watch::Receiver<Phase>) {
    let _ = phase.wait_for(|phase| *phase >= Phase::Draining).await;
}

/// Ready when the time for open requests is over.
async fn closing(phase: &mut watch::Receiver<Phase>) {
    let _ = phase.wait_for(|phase| *phase >= Phase::Closed).await;
}

/// Ready if the client has sent nothing for too long at the start; never once it has sent something.
async fn overdue(patience: Duration, progress: &Progress) {
    tokio::time::sleep(patience).await;
    if progress.is_opened() {
        std::future::pending::<()>().await;
    }
}

#[cfg(test)]
mod tests;
