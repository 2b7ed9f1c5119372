//! One MCP server: how it is asked.

mod config;
mod connector;
mod failure;
mod old_transport;
mod open;
mod patient;
mod probe;
mod resolver;
mod tally;
mod tls;

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use http::header::{LOCATION, WWW_AUTHENTICATE};
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri};
use http_body_util::Full;

use crate::fields;
pub use config::{UpstreamConfig, UpstreamError};
pub use failure::{Failure, FailureKind};
pub use open::OpenBody;
use probe::Probes;
pub use probe::{ProbeError, ProbeNews};
use tally::Bounds;
pub use tally::{Place, Tally};

pub(crate) use config::{endpoint, headers};
pub(crate) use connector::{Connector, connector};
pub(crate) use failure::chain;

use crate::pool::{Pool, PooledBody};

/// Redirects on the same host that one request may meet: `/mcp` and `/mcp/` lead to each other at some servers.
const MAX_REDIRECTS: usize = 2;

/// The handling of a request that is answered with a redirect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Redirects {
    /// Sends the request again to the address of the redirect.
    Follow,
    /// Fails the request. A call is sent once for the units that it took, and the server that redirects has received
    /// it.
    Refuse,
}

/// One MCP server.
#[derive(Debug)]
pub struct Upstream {
    config: UpstreamConfig,
    endpoint: Uri,
    /// The address to which redirects led last: calls, for which none is followed, begin here.
    moved_to: ArcSwapOption<Uri>,
    headers: HeaderMap,
    pool: Pool,
    tally: Arc<Tally>,
    probes: Probes,
}

impl Upstream {
    /// Creates a server from its configuration without connecting to it; its numbers go to `tally`.
    pub fn new(config: UpstreamConfig, tally: Arc<Tally>) -> Result<Self, UpstreamError> {
        let endpoint = config::endpoint(&config.url, config.allow_link_local)?;
        let headers = config::headers(&config.headers)?;
        let is_secure = endpoint.scheme_str() == Some("https");
        if config.ca_pem.is_some() && !is_secure {
            return Err(UpstreamError::new(
                "ca",
                "authorities mean nothing without `https` in `url`",
            ));
        }
        let connector = connector(
            config.ca_pem.as_deref(),
            is_secure,
            config.allow_link_local,
            Duration::from_millis(config.connect_timeout_ms),
        )?;
        let idle_time = Duration::from_millis(config.idle_timeout_ms);
        let pool = Pool::new(connector, &endpoint, config.max_idle_connections, idle_time)
            .ok_or_else(|| UpstreamError::new("url", "expected a URL with a host"))?;
        Ok(Self {
            config,
            endpoint,
            moved_to: ArcSwapOption::empty(),
            headers,
            pool,
            tally,
            probes: Probes::default(),
        })
    }

    /// The configuration.
    pub const fn config(&self) -> &UpstreamConfig {
        &self.config
    }

    /// Counts a failure that [`Upstream::send`] has not met: one after the head of a reply.
    pub fn failed(&self, failure: &Failure) {
        self.tally.failed(failure.kind());
    }

    /// Sends a request whose fields are those of [`crate::fields::of_request`], asked for whenever it is sent, and waits for
    /// the head of the reply. Dropped, it closes the connection, which is how a client cancels. `grant` is who asks, where
    /// callers prove that.
    pub async fn send(
        &self,
        grant: Option<&str>,
        redirects: Redirects,
        method: Method,
        fields: impl Fn() -> HeaderMap,
        body: Bytes,
    ) -> Result<Response<OpenBody>, Failure> {
        let answered = self.ask(grant, redirects, method, fields, body).await;
        answered.inspect_err(|failure| self.failed(failure))
    }

    async fn ask(
        &self,
        grant: Option<&str>,
        redirects: Redirects,
        method: Method,
        fields: impl Fn() -> HeaderMap,
        body: Bytes,
    ) -> Result<Response<OpenBody>, Failure> {
        let bounds = Bounds {
            in_all: self.config.max_requests,
            of_grant: self.config.most_of_one_grant(),
        };
        let place = self.tally.open(grant, bounds)?;
        let patience = Duration::from_millis(self.config.answer_timeout_ms);
        let asked = self.follow(redirects, method.clone(), &fields, body);
        let response = tokio::time::timeout(patience, asked)
            .await
            .map_err(|_| Failure::TooSlow(self.config.answer_timeout_ms))??;
        if old_transport::may_answer(&method, &fields, &response) && self.has_old_transport(&fields).await {
            return Err(Failure::OldTransport);
        }
        let status = response.status();
        let challenges = status.is_client_error() && response.headers().contains_key(WWW_AUTHENTICATE);
        if status == StatusCode::UNAUTHORIZED || challenges {
            // The client's token is the gateway's to judge: told so, it would throw away one that is good.
            return Err(Failure::Unauthorized(status.as_u16()));
        }
        Ok(open::opened(response, place))
    }

    /// Returns true if the server streams events as that of the old transport does.
    async fn has_old_transport(&self, fields: impl Fn() -> HeaderMap) -> bool {
        let asking = || old_transport::asking(fields());
        let asked = async {
            // Where the message was answered; what a redirect of a stream leads to is no matter of messages.
            let stream = self.follow(Redirects::Refuse, Method::GET, asking, Bytes::new());
            match stream.await {
                Ok(reply) => old_transport::is_stream(reply).await,
                Err(_) => false,
            }
        };
        let answer = tokio::time::timeout(old_transport::PATIENCE, asked).await;
        answer.unwrap_or_default()
    }

    /// Sends a request, and again where a redirect on the same host leads, if it may be sent again.
    async fn follow(
        &self,
        redirects: Redirects,
        method: Method,
        sent: impl Fn() -> HeaderMap,
        body: Bytes,
    ) -> Result<Response<PooledBody>, Failure> {
        let mut target = self.begin(redirects);
        for followed in 0..=MAX_REDIRECTS {
            let request = || {
                let mut request = Request::new(Full::new(body.clone()));
                *request.method_mut() = method.clone();
                *request.uri_mut() = target.clone();
                *request.headers_mut() = sent();
                for (name, value) in &self.headers {
                    fields::remove_alike(request.headers_mut(), name);
                    request.headers_mut().insert(name, value.clone());
                }
                request
            };
            let response = self.pool.send(request, &self.tally.usage).await;
            let response = response.map_err(|error| {
                let failure = Failure::of_http(&error);
                if followed > 0 && failure.never_reached() {
                    // Whoever answered with a redirect has had the request.
                    return Failure::Broken(failure.to_string());
                }
                failure
            })?;
            if !response.status().is_redirection() {
                self.found(redirects, target, response.status());
                return Ok(response);
            }
            let next = next(&target, &method, &response).filter(|next| *next != target);
            if redirects == Redirects::Refuse {
                self.moved_to.store(next.map(Arc::new));
                return Err(Failure::Redirected);
            }
            target = next.ok_or(Failure::Redirected)?;
        }
        Err(Failure::Redirected)
    }

    /// The first address of a request.
    fn begin(&self, redirects: Redirects) -> Uri {
        let moved_to = match redirects {
            Redirects::Refuse => self.moved_to.load_full(),
            Redirects::Follow => None,
        };
        moved_to.map_or_else(|| self.endpoint.clone(), |moved_to| Uri::clone(&moved_to))
    }

    /// Takes down where a request has been answered, or that there is nothing any more.
    fn found(&self, redirects: Redirects, target: Uri, status: StatusCode) {
        let is_gone = matches!(status, StatusCode::NOT_FOUND | StatusCode::GONE);
        match redirects {
            Redirects::Refuse if is_gone => self.moved_to.store(None),
            Redirects::Refuse => {}
            Redirects::Follow if target == self.endpoint => self.moved_to.store(None),
            Redirects::Follow => self.moved_to.store(Some(Arc::new(target))),
        }
    }
}

/// The target of a redirect, if the same request may be sent there: to the same host, by a status that keeps the method.
fn next(from: &Uri, method: &Method, response: &Response<PooledBody>) -> Option<Uri> {
    let keeps_method = matches!(
        response.status(),
        StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT
    );
    if !keeps_method && *method == Method::POST {
        return None;
    }
    let location = response.headers().get(LOCATION)?.to_str().ok()?;
    resolved(from, location)
}

/// A location on the same host, absolute or from the root.
fn resolved(from: &Uri, location: &str) -> Option<Uri> {
    if location.starts_with('/') && !location.starts_with("//") {
        let mut parts = from.clone().into_parts();
        parts.path_and_query = Some(location.parse().ok()?);
        return Uri::from_parts(parts).ok();
    }
    let to: Uri = location.parse().ok()?;
    let is_same = to.scheme() == from.scheme() && to.authority() == from.authority();
    is_same.then_some(to)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_stay_on_their_host() {
        let from: Uri = "http://a:1/mcp?x=1".parse().unwrap();
        let to = |location: &str| resolved(&from, location).map(|uri| uri.to_string());
        assert_eq!(to("/mcp/").as_deref(), Some("http://a:1/mcp/"));
        assert_eq!(to("http://a:1/mcp/").as_deref(), Some("http://a:1/mcp/"));
        for elsewhere in [
            "//evil/mcp",
            "http://evil/",
            "https://a:1/mcp",
            "http://a/mcp",
            "mcp/",
            "",
        ] {
            assert_eq!(to(elsewhere), None, "{elsewhere}");
        }
    }
}
