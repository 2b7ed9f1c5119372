//! Decisions as an MCP client is told them.

use std::sync::Arc;

use callgate_core::bindings::Bindings;
use callgate_core::{Decision, Outcome, PinnedTools, ReservationId};
use callgate_gateway::pins::{Server as PinnedServer, Variant};
use callgate_mcp::message::TOOLS_CALL;
use callgate_mcp::{FIRST_MIRRORING_VERSION, Headers, Id, TraceContext, reply as mcp};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use tonic::body::Body;

use super::answer;
use super::caller::is_nobody;
use super::challenge::Challenge;
use super::forward::SESSION;
use crate::doors::{callgate_fields, quota};
use crate::ingress::TRACEPARENT;
use crate::judging::pins::PinnedCall;
use crate::judging::{Denial, JudgedRequest, OpenReservation, Responder, Subject};
use crate::metrics::INVALID_REQUEST;
use crate::protocol::Protocol;
use crate::random::random_reservation_id;

/// The method whose replies are lists of tools.
const TOOLS_LIST: &str = "tools/list";

/// The method that begins a session.
const INITIALIZE: &str = "initialize";

/// The method whose reply stays open, since MCP 2026-07-28.
const LISTEN: &str = "subscriptions/listen";

/// The gateway, for one request.
#[derive(Clone, Copy)]
pub(super) struct GatewayResponder<'a> {
    /// The challenge for an unknown caller.
    pub(super) challenge: &'a Challenge<'a>,
    /// Callers prove who they are by the tokens of grants: who is no grant is nobody.
    pub(super) needs_token: bool,
    pub(super) server: &'a str,
    /// The pins of the server's tools.
    pub(super) pins: Option<&'a PinnedServer>,
    /// Reads the client's variant out of the request.
    pub(super) variant: &'a (dyn Fn() -> Variant + Sync),
}

/// The outcome of judging a request.
#[derive(Debug)]
pub(super) enum Verdict {
    Allowed(Allowed),
    Denied(Response<Body>),
}

/// The field that says which revision of MCP a message is of.
const PROTOCOL_VERSION: &str = "mcp-protocol-version";

/// The purpose of a request, as far as it matters to its reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// A list of tools.
    List,
    /// The call of a tool.
    Call,
    /// The begin of a session.
    Session,
    /// The request for a stream of any messages.
    Stream,
    Other,
}

impl Purpose {
    fn of(method: Option<&str>) -> Self {
        match method {
            Some(TOOLS_LIST) => Self::List,
            Some(TOOLS_CALL) => Self::Call,
            Some(INITIALIZE) => Self::Session,
            Some(LISTEN) => Self::Stream,
            _ => Self::Other,
        }
    }
}

/// A request that may go on.
#[derive(Debug)]
pub(super) struct Allowed {
    /// The units that it took, until it is known to have reached the server.
    pub(super) reserved: Option<OpenReservation>,
    pub(super) purpose: Purpose,
    /// The id of its message, as it stands in JSON.
    pub(super) id: Option<String>,
    /// The trace context in `_meta` of its message, as header fields.
    pub(super) trace: Option<TraceFields>,
}

/// The field of vendors of tracing systems, beside `traceparent`.
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// A trace context as header fields.
#[derive(Clone, Debug)]
pub(super) struct TraceFields {
    traceparent: HeaderValue,
    tracestate: Option<HeaderValue>,
}

impl TraceFields {
    fn of(trace: TraceContext<'_>) -> Option<Self> {
        Some(Self {
            traceparent: HeaderValue::try_from(trace.traceparent.to_string()).ok()?,
            tracestate: trace
                .tracestate
                .and_then(|state| HeaderValue::from_str(state).ok()),
        })
    }

    /// Adds the fields to a request that has no `traceparent`; one that is there stays as it is.
    pub(super) fn add_to(&self, fields: &mut HeaderMap) {
        if fields.contains_key(TRACEPARENT) {
            return;
        }
        fields.insert(TRACEPARENT, self.traceparent.clone());
        if let Some(state) = &self.tracestate {
            fields.insert(TRACESTATE, state.clone());
        }
    }
}

impl GatewayResponder<'_> {
    /// Returns true for a revision without sessions, whose clients do not take 404 for the end of one.
    fn is_sessionless(&self) -> bool {
        let headers = &self.challenge.parts.headers;
        let version = headers
            .get(PROTOCOL_VERSION)
            .and_then(|field| field.to_str().ok());
        version.is_some_and(|version| version >= FIRST_MIRRORING_VERSION) && !headers.contains_key(SESSION)
    }
}

impl Responder for GatewayResponder<'_> {
    type Answer = Verdict;

    const PROTOCOL: Protocol = Protocol::Gateway;

    fn reserve(&self) -> Option<ReservationId> {
        // Without random numbers the call is judged all the same, and its units are not given back.
        random_reservation_id().ok()
    }

    /// Before 2026-07-28 servers ask their clients; since then what a client has to say comes with its own requests.
    fn takes_answers(&self, headers: &Headers<'_>) -> bool {
        headers
            .protocol_version()
            .is_none_or(|version| version < FIRST_MIRRORING_VERSION)
    }

    fn with_pins<R>(&self, judge: impl FnOnce(Option<&dyn PinnedTools>) -> R) -> R {
        let call = self.pins.map(|pins| PinnedCall {
            pins,
            server: self.server,
            variant: self.variant,
        });
        judge(call.as_ref().map(|call| call as &dyn PinnedTools))
    }

    fn bindings(&self, tool: &str) -> Option<Arc<Bindings>> {
        self.pins?.bindings(tool)
    }

    fn allowed(&self, asked: &JudgedRequest<'_>, decision: &Decision<'_>) -> Verdict {
        let can_be_given_back = !decision.limits.is_empty() || !decision.approval.is_empty();
        let reservation = decision.reservation.filter(|_| can_be_given_back);
        Verdict::Allowed(Allowed {
            reserved: reservation.map(|reservation| OpenReservation {
                reservation,
                pep: asked.request.pep.id,
            }),
            purpose: Purpose::of(asked.method),
            id: asked.id.map(|id| Id::json(id).to_owned()),
            trace: asked.trace.and_then(TraceFields::of),
        })
    }

    fn denied(&self, decision: &Decision<'_>, denied: Denial<'_>) -> Verdict {
        if is_nobody(decision, self.needs_token) {
            let body = mcp::denied_as(answer::code(StatusCode::UNAUTHORIZED), denied.id, decision);
            return Verdict::Denied(self.challenge.unauthorized(body));
        }
        let mut response = if decision.rule == INVALID_REQUEST {
            answer::json(StatusCode::BAD_REQUEST, denied.body)
        } else if denied.subject == Subject::UnknownMethod && self.is_sessionless() {
            let body = mcp::denied_as(mcp::METHOD_NOT_FOUND, denied.id, decision);
            answer::json(StatusCode::NOT_FOUND, body)
        } else if denied.subject == Subject::Notification {
            answer::empty(StatusCode::FORBIDDEN)
        } else if denied.id.is_some() {
            // An answer like any other: many clients take every other status for the end of the session.
            answer::json(StatusCode::OK, denied.body)
        } else {
            let status = StatusCode::from_u16(decision.outcome.http_status());
            answer::json(status.unwrap_or(StatusCode::FORBIDDEN), denied.body)
        };
        let fields = callgate_fields::fields(decision).filter_map(|(name, value)| {
            Some((HeaderName::from_static(name), HeaderValue::try_from(value).ok()?))
        });
        response.headers_mut().extend(fields);
        if decision.outcome == Outcome::RateLimited {
            response.headers_mut().extend(quota::fields(decision));
        }
        Verdict::Denied(response)
    }
}
