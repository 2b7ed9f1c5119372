//! Replies that end when their caller is no longer admitted.
//!
//! A request is judged when it arrives, but a stream may stay open for days. So the caller of an open stream is checked
//! again from time to time, as if the request arrived anew.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use callgate_core::grant::Token;
use callgate_core::{Args, Caller, Request};
use http::{HeaderValue, Response, header};
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tokio::time::Sleep;
use tonic::body::Body;

use super::GATEWAY;
use super::caller::ProvenCaller;
use super::request::token_of;
use crate::gate::Gate;
use crate::in_force::ServerEntry;
use crate::proxy::ANONYMOUS;

/// Time between two checks of a caller: a change ends the caller's streams within this time.
const PERIOD: Duration = Duration::from_secs(1);

/// The error of a reply that is cut short and has no regular end.
const ENDED: &str = "its caller is no longer let in";

/// The rule of a token that belongs to no grant, or that has ended.
const UNKNOWN: &str = "(unknown grant)";

/// The rules that end every reply.
const NOBODY: [&str; 2] = [UNKNOWN, "(grant revoked)"];

/// The rule that ends only streams that wait for messages.
const EXPIRED: &str = "(grant expired)";

/// A caller with an open reply.
#[derive(Debug)]
pub(super) struct OpenReply {
    pub(super) gate: Arc<Gate>,
    pub(super) entry: Arc<ServerEntry>,
    pub(super) caller: ProvenCaller,
    /// The credential by which the caller was identified.
    pub(super) authorization: Option<HeaderValue>,
    /// True for a stream of any messages, false for an answer that ends by itself.
    pub(super) waits: bool,
}

impl OpenReply {
    /// Returns true if the reply may continue. The answer to a request that was made in time is completed even if the
    /// caller's time is over.
    fn holds(&self) -> bool {
        let configuration = self.gate.configuration();
        let gateway = &configuration.parts.gateway;
        let now = self.gate.clock.now();
        let labels = self.caller.labels();
        let caller = match &self.caller {
            ProvenCaller::Anybody if gateway.issuers.is_empty() => Caller::named(ANONYMOUS),
            ProvenCaller::Anybody => return false,
            ProvenCaller::Grant(_) => {
                let token = self.authorization.as_ref().and_then(token_of);
                token.map_or(Caller::named(""), |token| Caller::Token(Token::new(token)))
            }
            ProvenCaller::Issued(issued, by) => {
                // One that is configured in another way has not said who this is.
                let is_believed = gateway.issuers.iter().any(|one| Arc::ptr_eq(one, by));
                let is_over = self.waits && now.unix_us() >= issued.expires_at_us;
                if !is_believed || is_over {
                    return false;
                }
                self.caller.issued(&labels).unwrap_or(Caller::named(""))
            }
        };
        let request = Request {
            caller,
            pep: GATEWAY,
            tool: "",
            server: &self.entry.server,
            session: None,
            args: Args::NONE,
            reserve: None,
            pins: None,
            unseen_member: None,
        };
        let decision = self.gate.engine.recognise(&configuration.state, &request, now);
        let rule = decision.rule.as_ref();
        // An unknown token that has a grant is one that has ended; the grant itself may have been taken away as well.
        let has_ended = decision
            .grant_index
            .is_some_and(|grant| configuration.state.grant_serves(grant, &self.entry.server));
        let is_over = rule == EXPIRED || rule == UNKNOWN && has_ended;
        if is_over {
            !self.waits
        } else {
            !NOBODY.contains(&rule)
        }
    }
}

/// Makes a reply that ends when its caller is no longer admitted: a stream of events ends as if its server had ended
/// it, so that clients reconnect; any other reply ends as one that was cut short.
pub(super) fn watched(reply: Response<Body>, standing: OpenReply) -> Response<Body> {
    if reply.body().is_end_stream() {
        return reply;
    }
    let kind = reply.headers().get(header::CONTENT_TYPE);
    let has_events = kind.is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"));
    reply.map(|body| {
        let seen_s = standing.gate.second();
        Body::new(WatchedReply {
            body: Some(body),
            standing,
            has_events,
            seen_s,
            sleep: None,
        })
    })
}

struct WatchedReply {
    /// `None` when nothing more is passed on.
    body: Option<Body>,
    standing: OpenReply,
    has_events: bool,
    /// The second of the last check, for a stream that never pauses.
    seen_s: u64,
    /// The timer until the next check, for a stream that pauses.
    sleep: Option<Pin<Box<Sleep>>>,
}

impl WatchedReply {
    fn end(&mut self) -> Poll<Option<Result<Frame<Bytes>, tonic::Status>>> {
        // With it goes the connection to the server.
        self.body = None;
        let failure = || Err(tonic::Status::aborted(ENDED));
        Poll::Ready((!self.has_events).then(failure))
    }
}

impl HttpBody for WatchedReply {
    type Data = Bytes;
    type Error = tonic::Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, tonic::Status>>> {
        let Some(body) = &mut self.body else {
            return Poll::Ready(None);
        };
        let polled = Pin::new(body).poll_frame(context);
        if polled.is_ready() {
            let second = self.standing.gate.second();
            if second != self.seen_s && !self.standing.holds() {
                return self.end();
            }
            self.seen_s = second;
            return polled;
        }
        loop {
            let sleep = self
                .sleep
                .get_or_insert_with(|| Box::pin(tokio::time::sleep(PERIOD)));
            if sleep.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
            self.sleep = None;
            if !self.standing.holds() {
                return self.end();
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body
            .as_ref()
            .map_or_else(SizeHint::default, HttpBody::size_hint)
    }
}
