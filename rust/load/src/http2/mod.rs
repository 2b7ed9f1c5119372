//! The client side of one HTTP/2 connection, as load needs it, on the `h2` crate: what all requests of a turn say goes
//! out in one write, and a request costs no task and no timer.

mod answer;
mod exchange;
mod failure;
mod ready;
#[cfg(test)]
mod tests;
mod transport;

use std::cell::RefCell;
use std::future::{Future as _, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use h2::client::{Builder, SendRequest};
use h2::{Ping, Reason};
use http::{HeaderValue, Method, Request, Uri, Version, header};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::connect::Wire;
use crate::error::reason;
use exchange::Exchange;
pub(crate) use failure::Failure;
use ready::{Bell, Ready};
use transport::{Line, Transport};

/// The bytes that the peer may send on one stream before an acknowledgement.
const STREAM_WINDOW_BYTES: u32 = 1 << 20;

/// The same limit for the whole connection.
const CONNECTION_WINDOW_BYTES: u32 = 1 << 24;

/// Streams that were given up and whose late answers are ignored.
const MAX_GIVEN_UP: usize = 100_000;

/// A received event.
#[derive(Debug)]
pub(crate) enum Event<'a, T> {
    /// A message of an answer.
    Message(&'a mut T, &'a [u8]),
    /// The end of an answer.
    Closed(T, Result<(), Failure>),
}

/// The target of a connection and the header fields of its requests.
// No `Debug`: the token is a secret.
#[derive(Clone)]
pub(crate) struct Head {
    pub(crate) is_tls: bool,
    pub(crate) authority: String,
    pub(crate) path: String,
    pub(crate) token: Option<String>,
}

impl Head {
    /// The head of every request.
    fn request(&self) -> Result<Request<()>, http::Error> {
        let uri = Uri::builder()
            .scheme(if self.is_tls { "https" } else { "http" })
            .authority(self.authority.as_str())
            .path_and_query(self.path.as_str())
            .build()?;
        let mut request = Request::builder()
            .method(Method::POST)
            .version(Version::HTTP_2)
            .uri(uri)
            .header(header::TE, "trailers")
            .header(header::CONTENT_TYPE, "application/grpc")
            .header(
                header::USER_AGENT,
                concat!("callgate-bench/", env!("CARGO_PKG_VERSION")),
            );
        if let Some(token) = &self.token {
            let value = HeaderValue::try_from(format!("Bearer {token}"))?;
            request = request.header(header::AUTHORIZATION, value);
        }
        request.body(())
    }
}

/// The connection that `h2` drives.
type Connection<W> = h2::client::Connection<Transport<W>, Bytes>;

/// The client side of one connection; `T` is the sender's own data for each request.
pub(crate) struct Http2<T, W = Wire> {
    connection: Connection<W>,
    line: Rc<RefCell<Line<W>>>,
    requests: SendRequest<Bytes>,
    request: Request<()>,
    places: Vec<Place<T>>,
    /// Places without a request.
    free: Vec<usize>,
    /// Places with messages that are not sent yet.
    pushed: Vec<usize>,
    ready: Arc<Ready>,
    /// The places whose news are looked at; kept for its memory.
    news: Vec<usize>,
}

/// A place for one request at a time.
struct Place<T> {
    exchange: Option<Exchange<T>>,
    bell: Arc<Bell>,
    waker: Waker,
}

impl<T, W: AsyncRead + AsyncWrite + Unpin> Http2<T, W> {
    /// Opens a connection: exchanges settings and a ping, which proves that the peer speaks HTTP/2.
    pub(crate) async fn open(wire: W, head: &Head) -> Result<Self, String> {
        let request = head.request().map_err(|error| error.to_string())?;
        let line = Rc::new(RefCell::new(Line::new(wire)));
        let (requests, mut connection) = Builder::new()
            .enable_push(false)
            .initial_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .max_concurrent_reset_streams(MAX_GIVEN_UP)
            .max_local_error_reset_streams(None)
            .handshake(Transport(Rc::clone(&line)))
            .await
            .map_err(|error| Ended::new(&error).why)?;
        let mut pings = connection.ping_pong();
        if let Some(pings) = &mut pings {
            pings
                .send_ping(Ping::opaque())
                .map_err(|error| Ended::new(&error).why)?;
        }
        let answered = poll_fn(|cx| {
            if let Poll::Ready(ended) = poll_all(&mut connection, &line, cx) {
                return Poll::Ready(Err(ended));
            }
            match &mut pings {
                Some(pings) => pings
                    .poll_pong(cx)
                    .map_ok(|_| ())
                    .map_err(|error| Ended::new(&error)),
                None => Poll::Ready(Ok(())),
            }
        });
        if let Err(ended) = answered.await {
            return Err(if line.borrow().is_http1() {
                "it answers HTTP/1, expected HTTP/2".to_owned()
            } else if ended.is_against_rules {
                "it does not answer HTTP/2".to_owned()
            } else {
                ended.why
            });
        }
        Ok(Self {
            connection,
            line,
            requests,
            request,
            places: Vec::new(),
            free: Vec::new(),
            pushed: Vec::new(),
            ready: Arc::default(),
            news: Vec::new(),
        })
    }

    /// Returns whether the peer takes no further request on this connection.
    pub(crate) fn is_closing(&mut self) -> bool {
        // An error of another kind ends the connection, which its next turn says.
        matches!(self.poll_ready(), Poll::Ready(Err(error)) if !error.is_io() && !error.is_library())
    }

    /// Returns whether a request can be opened now.
    pub(crate) fn can_open(&mut self) -> bool {
        matches!(self.poll_ready(), Poll::Ready(Ok(())))
    }

    fn poll_ready(&mut self) -> Poll<Result<(), h2::Error>> {
        // Without a waker: what makes room for requests are answers, and each is looked at.
        self.requests.poll_ready(&mut Context::from_waker(Waker::noop()))
    }

    /// The number of requests that the peer allows to be open at once.
    pub(crate) fn peer_max_streams(&self) -> usize {
        self.requests.current_max_send_streams()
    }

    /// The bytes sent and received since the last time.
    pub(crate) fn take_traffic(&self) -> (u64, u64) {
        self.line.borrow_mut().take_traffic()
    }

    /// Sends a request with `message`, prefix included, as its first message; `is_last` if no other follows. Returns
    /// its place, or its own data if the connection takes no request.
    pub(crate) fn send(&mut self, message: Bytes, is_last: bool, own: T) -> Result<usize, T> {
        let Ok((response, mut stream)) = self.requests.send_request(self.request.clone(), false) else {
            return Err(own);
        };
        // A stream that is no longer open says so in its answer.
        let _ = stream.send_data(message, is_last);
        let exchange = if is_last {
            Exchange::said(own, response)
        } else {
            Exchange::open(own, response, stream)
        };
        let place = self.free.pop().unwrap_or(self.places.len());
        if let Some(free) = self.places.get_mut(place) {
            free.exchange = Some(exchange);
            free.waker.wake_by_ref();
        } else {
            let (bell, waker) = self.ready.bell(place);
            waker.wake_by_ref();
            self.places.push(Place {
                exchange: Some(exchange),
                bell,
                waker,
            });
        }
        Ok(place)
    }

    /// Sends another message on an open request; `None` if the request is not open.
    pub(crate) fn push(&mut self, place: usize, message: &[u8]) -> Option<()> {
        if self.places.get_mut(place)?.exchange.as_mut()?.push(message) {
            self.pushed.push(place);
        }
        Some(())
    }

    /// Ends the client's side of a request: no message follows.
    pub(crate) fn finish(&mut self, place: usize) {
        if let Some(exchange) = self.exchange(place) {
            exchange.finish();
        }
    }

    /// The sender's own data for a request.
    pub(crate) fn own(&mut self, place: usize) -> Option<&mut T> {
        Some(&mut self.exchange(place)?.own)
    }

    /// Cancels the requests for which `is_over` holds.
    pub(crate) fn cancel(&mut self, is_over: impl Fn(&T) -> bool, mut gone: impl FnMut(T)) {
        for (number, place) in self.places.iter_mut().enumerate() {
            if let Some(exchange) = place.exchange.take_if(|exchange| is_over(&exchange.own)) {
                // Its stream is reset as soon as nothing refers to it.
                gone(exchange.own);
                self.free.push(number);
            }
        }
    }

    /// Writes and reads as much as possible; ready with the reason once the connection has ended.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<String> {
        while let Some(place) = self.pushed.pop() {
            if let Some(exchange) = self.exchange(place) {
                exchange.send();
            }
        }
        poll_all(&mut self.connection, &self.line, cx).map(|ended| ended.why)
    }

    /// Passes on the events since the last time.
    pub(crate) fn events(&mut self, mut event: impl FnMut(Event<'_, T>)) {
        loop {
            let mut news = std::mem::take(&mut self.news);
            self.ready.take_into(&mut news);
            let is_last = news.is_empty();
            for number in news.drain(..) {
                let Some(place) = self.places.get_mut(number) else {
                    continue;
                };
                place.bell.heard();
                let Some(exchange) = &mut place.exchange else {
                    continue;
                };
                let cx = &mut Context::from_waker(&place.waker);
                let polled = exchange.poll(cx, |own, message| event(Event::Message(own, message)));
                if let Poll::Ready(verdict) = polled
                    && let Some(exchange) = place.exchange.take()
                {
                    event(Event::Closed(exchange.own, verdict));
                    self.free.push(number);
                }
            }
            self.news = news;
            if is_last {
                return;
            }
        }
    }

    fn exchange(&mut self, place: usize) -> Option<&mut Exchange<T>> {
        self.places.get_mut(place)?.exchange.as_mut()
    }
}

/// Writes and reads as much as possible; ready once the connection has ended.
fn poll_all<W: AsyncRead + AsyncWrite + Unpin>(
    connection: &mut Connection<W>,
    line: &RefCell<Line<W>>,
    cx: &mut Context<'_>,
) -> Poll<Ended> {
    if let Poll::Ready(ended) = Pin::new(connection).poll(cx) {
        return Poll::Ready(ended.map_or_else(|error| Ended::new(&error), |()| Ended::by_peer()));
    }
    match line.borrow_mut().poll_send(cx) {
        Poll::Ready(Err(error)) => Poll::Ready(Ended::because(reason(&error))),
        Poll::Ready(Ok(())) | Poll::Pending => Poll::Pending,
    }
}

/// The end of a connection.
struct Ended {
    /// The reason in a few words.
    why: String,
    /// True if the peer broke the rules of HTTP/2.
    is_against_rules: bool,
}

impl Ended {
    fn new(error: &h2::Error) -> Self {
        match (error.get_io(), error.reason()) {
            (Some(error), _) => Self::because(reason(error)),
            (None, Some(Reason::NO_ERROR)) => Self::by_peer(),
            (None, Some(code)) if error.is_remote() => {
                Self::because(format!("it closed the connection: {code}"))
            }
            (None, Some(code)) => Self {
                why: format!("it breaks the rules of HTTP/2: {code}"),
                is_against_rules: true,
            },
            (None, None) => Self::because(error.to_string()),
        }
    }

    fn by_peer() -> Self {
        Self::because("connection closed by peer".to_owned())
    }

    const fn because(why: String) -> Self {
        Self {
            why,
            is_against_rules: false,
        }
    }
}
