//! Connections to one server that are kept for later requests.
//!
//! Servers close connections that nobody uses, each after a time of its own, and a request that meets the close is
//! lost: nobody knows whether it was done. So a connection is kept for less than its server says (`Keep-Alive:
//! timeout`), and whether the server has closed it is looked at right before a request is written. A request of which
//! nothing was written is sent once more on a new connection; one of which a byte was written never is.

mod body;
mod idle;
mod keep_alive;
mod usage;
mod wire;

use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::HOST;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderValue, Request, Response, Uri};
use http_body_util::Full;
use hyper::client::conn::http1::{self, SendRequest};
use tokio::runtime::{self, Handle};
use tokio::time::Instant;
use tower_service::Service as _;

use crate::upstream::Connector;
use body::Lease;
use idle::Idle;
use wire::Writes;

pub(crate) use body::PooledBody;
pub(crate) use usage::Usage;
pub(crate) use wire::Wired;

/// The most of a reply that has come and is not passed on yet.
const MOST_READ_BYTES: usize = 64 * 1024;

/// An error of a connection that is being made.
type ConnectError = Box<dyn std::error::Error + Send + Sync>;

/// Connections to one server over HTTP/1.1.
pub(crate) struct Pool {
    connector: Connector,
    /// Scheme, host and port, which every request has in common.
    origin: Uri,
    host: HeaderValue,
    idle: Arc<Idle>,
    idle_time: Duration,
}

/// The reason why a request has no reply.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SendError {
    /// There is no connection.
    #[error(transparent)]
    Connect(ConnectError),
    /// The server closes its connections before anything of the request is written.
    #[error("the server closed the connection before the request was sent")]
    Unsent(#[source] hyper::Error),
    /// The connection broke when at least a part of the request was written.
    #[error("the connection broke")]
    Broken(#[source] hyper::Error),
}

/// A connection, and how it is written to.
#[derive(Debug)]
struct Link {
    /// The runtime that drives it. Used from another one, each step would wake a thread.
    home: runtime::Id,
    sender: SendRequest<Full<Bytes>>,
    writes: Arc<Writes>,
}

impl Pool {
    /// Connections to where a URL leads. At most `max_idle` are kept, each for `idle_time` unless the server says otherwise.
    /// `None` for a URL without scheme or host.
    pub(crate) fn new(connector: Connector, url: &Uri, max_idle: usize, idle_time: Duration) -> Option<Self> {
        let (scheme, authority) = (url.scheme()?, url.authority()?);
        let origin = Uri::builder()
            .scheme(scheme.clone())
            .authority(authority.clone())
            .path_and_query("/");
        Some(Self {
            connector,
            origin: origin.build().ok()?,
            host: host(scheme, authority)?,
            idle: Idle::new(max_idle),
            idle_time,
        })
    }

    /// Sends the request that `make` gives, and waits for the head of the reply. Its URL is of the pool's server. Dropped, it
    /// closes the connection.
    pub(crate) async fn send(
        &self,
        make: impl Fn() -> Request<Full<Bytes>>,
        usage: &Usage,
    ) -> Result<Response<PooledBody>, SendError> {
        let (link, is_reused) = match self.idle.take(Instant::now()) {
            Some(link) => (link, true),
            None => (self.open().await?, false),
        };
        match self.send_on(link, is_reused, make(), usage).await {
            Err(SendError::Unsent(_)) => {
                usage.retried();
                let link = self.open().await?;
                self.send_on(link, false, make(), usage).await
            }
            answered => answered,
        }
    }

    async fn send_on(
        &self,
        mut link: Link,
        is_reused: bool,
        mut request: Request<Full<Bytes>>,
        usage: &Usage,
    ) -> Result<Response<PooledBody>, SendError> {
        address(&mut request, &self.host);
        link.writes.begin(is_reused);
        match link.sender.try_send_request(request).await {
            Err(mut fault) => {
                // Nothing is written from here on, whatever hyper still holds; what it gives back, it has not begun to write.
                let is_unsent = link.writes.withdraw() || fault.take_message().is_some();
                let error = fault.into_error();
                if is_unsent {
                    return Err(SendError::Unsent(error));
                }
                usage.sent(is_reused);
                Err(SendError::Broken(error))
            }
            Ok(response) => {
                usage.sent(is_reused);
                let announced = keep_alive::announced(response.headers());
                let keep_for = keep_alive::kept(announced, self.idle_time);
                let lease = Lease::new(link, &self.idle, keep_for);
                Ok(response.map(|body| PooledBody::new(body, lease)))
            }
        }
    }

    async fn open(&self) -> Result<Link, SendError> {
        let mut connector = self.connector.clone();
        poll_fn(|context| connector.poll_ready(context))
            .await
            .map_err(SendError::Connect)?;
        let stream = connector
            .call(self.origin.clone())
            .await
            .map_err(SendError::Connect)?;
        let writes = wire::writes(&stream);
        let mut http = http1::Builder::new();
        http.max_buf_size(MOST_READ_BYTES);
        let (sender, connection) = http.handshake(stream).await.map_err(SendError::Unsent)?;
        // Its faults are told to whoever waits for a reply; while nobody does, they end it.
        tokio::spawn(async move { drop(connection.await) });
        Ok(Link {
            home: Handle::current().id(),
            sender,
            writes,
        })
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool")
            .field("origin", &self.origin)
            .finish_non_exhaustive()
    }
}

/// Writes a request's URL as servers want it: the path, and the host as a field of its own, unless another one is set.
fn address(request: &mut Request<Full<Bytes>>, host: &HeaderValue) {
    let path = request.uri().path_and_query().cloned();
    *request.uri_mut() = path.unwrap_or_else(|| PathAndQuery::from_static("/")).into();
    request.headers_mut().entry(HOST).or_insert_with(|| host.clone());
}

/// The host field, without the port that the scheme has anyway.
fn host(scheme: &Scheme, authority: &Authority) -> Option<HeaderValue> {
    let usual = if *scheme == Scheme::HTTPS { 443 } else { 80 };
    let host = authority.host();
    let value = match authority.port_u16() {
        Some(port) if port != usual => HeaderValue::try_from(format!("{host}:{port}")),
        _ => HeaderValue::try_from(host),
    };
    value.ok()
}

#[cfg(test)]
mod tests;
