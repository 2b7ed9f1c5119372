//! A request that may be forwarded, on its way to the server and back.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use callgate_core::grant::Token;
use callgate_core::json::Tape;
use callgate_core::{Caller, Request};
use callgate_gateway::pins::{Listing, Observation, Page, Variant};
use callgate_gateway::reply::{self, Cut, Holds, Room};
use callgate_gateway::upstream::{OpenBody, Place, Redirects};
use callgate_gateway::{Failure, fields};
use callgate_mcp::Id;
use callgate_mcp::sse::Event;
use http::request::Parts;
use http::{HeaderName, HeaderValue, Method, Response, header};
use tonic::body::Body;

use super::caller::ProvenCaller;
use super::open_reply::{OpenReply, watched};
use super::request::token;
use super::responder::{Allowed, Purpose};
use super::{GATEWAY, answer, variant};
use crate::apart::poll_apart;
use crate::bodies::{ConnectionShare, HeldBytes};
use crate::events::{FieldValue, Level};
use crate::gate::{Buffers, Gate, work_on};
use crate::in_force::{ServerEntry, session};
use crate::judging::{Lists, OpenReservation};
use crate::judging::{pins, policy_names};
use crate::protocol::Protocol;
use crate::proxy::ANONYMOUS;

/// The session of the versions before 2026-07-28.
pub(super) const SESSION: HeaderName = HeaderName::from_static("mcp-session-id");

/// The header of a stream that continues one that was cut.
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// The error of a reply that holds a list of tools that was not asked for.
const UNASKED: &str = "it shows a list of tools that it was not asked for";

/// The session of a request, by its id.
#[derive(Debug, Default)]
pub(super) struct Session {
    /// The server's own id, if the client's id is a marked one.
    pub(super) own: Option<HeaderValue>,
    /// The client's variant at the start of the session; `None` if there is no session, or the variant is not known.
    pub(super) variant: Option<Variant>,
}

/// A request that may be forwarded.
#[derive(Debug)]
pub(super) struct Forward {
    pub(super) gate: Arc<Gate>,
    pub(super) entry: Arc<ServerEntry>,
    /// The caller.
    pub(super) caller: ProvenCaller,
    pub(super) session: Session,
    pub(super) parts: Parts,
    /// The list that the request is for; empty if it is for none.
    pub(super) listing: Listing,
    /// The client's variant, if the request begins a session.
    pub(super) begun: Option<Variant>,
    pub(super) allowed: Allowed,
    /// See [`crate::GatewayConfig::lists_allowed_only`].
    pub(super) lists_allowed_only: bool,
}

impl Forward {
    /// Sends the request, and returns the server's answer while it arrives. Bytes of it that have to be held count
    /// against `share`, as `waiting` does for the body.
    pub(super) async fn run(
        self,
        body: Bytes,
        waiting: HeldBytes,
        share: Arc<ConnectionShare>,
    ) -> Response<Body> {
        let standing = self.open_reply();
        watched(self.answer(body, waiting, share).await, standing)
    }

    /// Makes the record of the caller that is kept while the reply lasts.
    fn open_reply(&self) -> OpenReply {
        OpenReply {
            gate: Arc::clone(&self.gate),
            entry: Arc::clone(&self.entry),
            caller: self.caller.clone(),
            authorization: self.parts.headers.get(header::AUTHORIZATION).cloned(),
            waits: self.parts.method == Method::GET || self.allowed.purpose == Purpose::Stream,
        }
    }

    async fn answer(self, body: Bytes, waiting: HeldBytes, share: Arc<ConnectionShare>) -> Response<Body> {
        let Self {
            gate,
            entry,
            caller,
            session,
            parts,
            listing: Listing { page, variant: said },
            begun,
            allowed,
            lists_allowed_only,
        } = self;
        let Allowed {
            reserved,
            purpose,
            id,
            trace,
        } = allowed;
        let is_call = purpose == Purpose::Call;
        let mut units = Units {
            gate: &gate,
            reserved,
        };
        let resumes = parts.method == Method::GET || parts.headers.contains_key(LAST_EVENT_ID);
        let holds = match (purpose == Purpose::List, resumes) {
            (true, _) => Holds::List,
            (false, true) => Holds::Anything,
            (false, false) => Holds::Nothing,
        };
        let sent = || {
            let mut sent = fields::of_request(&parts.headers);
            if let Some(own) = &session.own {
                sent.insert(SESSION, own.clone());
            }
            if let Some(trace) = &trace {
                trace.add_to(&mut sent);
            }
            sent
        };
        let (server, grant) = (entry.server.as_str(), caller.grant());
        let redirects = if is_call {
            Redirects::Refuse
        } else {
            Redirects::Follow
        };
        let method = parts.method.clone();
        let asked = entry.upstream.send(grant, redirects, method, sent, body);
        let answered = asked.await;
        drop(waiting);
        let opened = match answered {
            Ok(opened) => opened,
            Err(failure) => {
                units.settle(failure.never_reached());
                tell(&gate, server, grant, &failure);
                return answer::failed(id.as_deref().and_then(Id::from_json), is_call, &failure);
            }
        };
        units.settle(false);
        let (mut head, body) = opened.into_parts();
        head.headers = fields::of_reply(&head.headers);
        let of_session = begun.as_ref().or(session.variant.as_ref());
        mark(&mut head, &gate, &entry, grant, of_session);
        let reply = Response::from_parts(head, body);
        if holds == Holds::Nothing {
            let (at_gate, unasked) = (Arc::clone(&gate), Arc::clone(&entry));
            let watched = reply::watched(reply, HeldBytes::new(share), move || {
                unreadable(&at_gate, &unasked, UNASKED);
            });
            return watched.map_or_else(
                |reason| {
                    let failure = unreadable(&gate, &entry, reason);
                    answer::failed(id.as_deref().and_then(Id::from_json), is_call, &failure)
                },
                |reply| reply.map(Body::new),
            );
        }
        let cutting = Cutting {
            place: reply.body().place(),
            gate: Arc::clone(&gate),
            variant: variant::of_client(said, session.variant.as_ref(), &parts),
            parts,
            caller,
            id: id.filter(|_| holds == Holds::List),
            allowed_only: lists_allowed_only,
            page,
            entry,
            held: HeldBytes::new(Arc::clone(&share)),
            share,
        };
        cut(reply, holds, cutting).await
    }
}

/// Removes from a reply everything that its caller may not see. A single message is read completely first; a stream is
/// passed on at once.
async fn cut(reply: Response<OpenBody>, holds: Holds, cutting: Cutting) -> Response<Body> {
    let (gate, entry) = (Arc::clone(&cutting.gate), Arc::clone(&cutting.entry));
    let id = cutting.id.clone();
    let config = entry.upstream.config();
    let patience = Duration::from_millis(config.answer_timeout_ms);
    let room = HeldBytes::new(Arc::clone(&cutting.share));
    let cut = reply::cut(reply, holds, config.list_limit_bytes, room, cutting);
    if let Ok(cut) = tokio::time::timeout(patience, cut).await {
        return cut.map(Body::new);
    }
    let failure = Failure::TooSlow(config.answer_timeout_ms);
    entry.upstream.failed(&failure);
    tell(&gate, &entry.server, None, &failure);
    answer::failed(id.as_deref().and_then(Id::from_json), false, &failure)
}

/// Marks the session that a reply names as one of this grant and of this client variant.
fn mark(
    head: &mut http::response::Parts,
    gate: &Gate,
    entry: &ServerEntry,
    grant: Option<&str>,
    variant: Option<&Variant>,
) {
    let Some(own) = head
        .headers
        .get(SESSION)
        .and_then(|session| session.to_str().ok())
    else {
        return;
    };
    let variant = variant.cloned().unwrap_or_default();
    let marked = match (&gate.sessions, grant) {
        (Some(sessions), Some(grant)) => sessions.marked(&entry.server, grant, &variant, own),
        // Callers need no proof, and lists are compared with pins.
        (_, None) if entry.pins.is_some() => session::saying(&variant, own),
        _ => return,
    };
    if let Ok(marked) = HeaderValue::try_from(marked) {
        head.headers.insert(SESSION, marked);
    }
}

/// Logs why a server did not answer, at a bounded pace, and the caller of the request if the caller is the reason.
fn tell(gate: &Gate, server: &str, grant: Option<&str>, failure: &Failure) {
    if gate.paces.upstreams.admits(gate.second()) {
        // Not cut like a caller's name: the text says what to do.
        let error = FieldValue::Text(failure.to_string());
        let mut fields = vec![("server", server.into()), ("error", error)];
        if let (Failure::GrantBusy(_), Some(grant)) = (failure, grant) {
            fields.push(("grant", grant.into()));
        }
        gate.events.push(Level::Warning, "upstream_failed", fields);
    }
}

/// Counts and logs a reply that cannot be passed on for this reason.
fn unreadable(gate: &Gate, entry: &ServerEntry, reason: &'static str) -> Failure {
    let failure = Failure::Unreadable(reason);
    entry.upstream.failed(&failure);
    tell(gate, &entry.server, None, &failure);
    failure
}

/// The units of a forwarded call. If its client stops waiting, the call was sent nevertheless.
struct Units<'g> {
    gate: &'g Gate,
    reserved: Option<OpenReservation>,
}

impl Units<'_> {
    fn settle(&mut self, never_reached: bool) {
        if let Some(reserved) = self.reserved.take() {
            reserved.settle(self.gate, never_reached);
        }
    }
}

impl Drop for Units<'_> {
    fn drop(&mut self) {
        self.settle(false);
    }
}

/// Removes from a reply everything that its caller may not see at that moment.
struct Cutting {
    gate: Arc<Gate>,
    parts: Parts,
    caller: ProvenCaller,
    id: Option<String>,
    allowed_only: bool,
    /// The page of a list that was requested.
    page: Page,
    /// The variant of the requesting client.
    variant: Variant,
    entry: Arc<ServerEntry>,
    /// The share of the connection, for held bytes.
    share: Arc<ConnectionShare>,
    /// The bytes so far of a message that is not complete.
    held: HeldBytes,
    /// The request's place at its server, until the client has received all of the reply.
    place: Arc<Place>,
}

/// The holds of bytes on their way to the client.
struct SentBytes {
    _held: HeldBytes,
    _place: Arc<Place>,
}

impl Room for HeldBytes {
    fn holds(&mut self, bytes: usize) -> Result<(), String> {
        self.set(bytes).map_err(|full| full.message().to_owned())
    }
}

impl Cutting {
    /// Compares a list with the accepted tools of the server; the error says why the list must not be shown.
    fn observe(&self, tape: &mut Tape, message: &[u8]) -> Result<Option<Observation>, String> {
        let asked = self.page.as_page_ref();
        policy_names::compare(&self.gate, &self.entry.server, asked, tape, message);
        let Some(pins) = &self.entry.pins else {
            return Ok(None);
        };
        pins::observe(
            &self.gate,
            pins,
            &self.entry.server,
            (asked, &self.variant),
            tape,
            message,
        )
    }

    fn lists<R>(&self, observed: Option<&Observation>, work: impl FnOnce(&Lists<'_>) -> R) -> R {
        let configuration = self.gate.configuration();
        let labels = self.caller.labels();
        let now_us = self.gate.clock.now().unix_us();
        let caller = match &self.caller {
            ProvenCaller::Anybody => Caller::named(ANONYMOUS),
            ProvenCaller::Grant(_) => {
                token(&self.parts).map_or(Caller::named(""), |token| Caller::Token(Token::new(token)))
            }
            // A caller whose proof has expired sees no tools, like a revoked grant.
            ProvenCaller::Issued(issued, _) if now_us >= issued.expires_at_us => Caller::named(""),
            issued @ ProvenCaller::Issued(..) => issued.issued(&labels).unwrap_or(Caller::named("")),
        };
        let request = Request {
            caller,
            pep: GATEWAY,
            tool: "",
            server: &self.entry.server,
            session: None,
            args: callgate_core::Args::NONE,
            reserve: None,
            pins: None,
            unseen_member: None,
        };
        work(&Lists {
            gate: &self.gate,
            protocol: Protocol::Gateway,
            configuration: &configuration,
            request,
            id: self.id.as_deref().and_then(Id::from_json),
            allowed_only: self.allowed_only,
            observed,
        })
    }
}

impl Cut for Cutting {
    type Kept = SentBytes;

    fn poll_work(&mut self, context: &mut Context<'_>, bytes: usize) -> Poll<()> {
        poll_apart(context, bytes)
    }

    fn holds(&mut self, bytes: usize) -> Result<(), String> {
        self.held.holds(bytes)
    }

    fn keeps(&mut self, bytes: usize) -> Result<SentBytes, String> {
        let mut held = HeldBytes::new(Arc::clone(&self.share));
        held.holds(bytes)?;
        Ok(SentBytes {
            _held: held,
            _place: Arc::clone(&self.place),
        })
    }

    fn message(&mut self, message: &[u8]) -> Result<Vec<u8>, String> {
        work_on(message, |Buffers { tape, .. }| {
            let observed = self
                .observe(tape, message)
                .map_err(|reason| self.withheld(&reason))?;
            self.lists(observed.as_ref(), |lists| lists.reply(tape, message))
        })
    }

    fn event(&mut self, event: &Event<'_>) -> Result<Vec<u8>, String> {
        work_on(event.raw(), |Buffers { tape, .. }| {
            let observed = match event.message() {
                Some(message) => self
                    .observe(tape, &message)
                    .map_err(|reason| self.withheld(&reason))?,
                None => None,
            };
            self.lists(observed.as_ref(), |lists| lists.event(tape, event))
        })
    }

    fn withheld(&mut self, reason: &str) -> String {
        self.lists(None, |lists| lists.withheld(reason))
    }
}
