//! The MCP gateway: `/mcp/{server}` stands for a server, and every message to it is judged first (`docs/gateway.md`).

mod answer;
mod caller;
mod challenge;
mod forward;
mod issuer;
mod open_reply;
mod origins;
mod request;
mod responder;
mod variant;

use std::sync::Arc;

use callgate_gateway::pins::{Listing, Variant};

use callgate_core::{Pep, PepId};
use http::request::Parts;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use tonic::body::Body;

use crate::approvals::Asking;
use crate::bodies::RequestBody;
use crate::bodies::{ConnectionShare, HeldBytes};
use crate::doors::http::HttpContext;
use crate::doors::http::read_body;
use crate::gate::{Buffers, Gate, work_on};
use crate::identity::{Peer, UnknownPepError};
use crate::in_force::{Configuration, Gateway, MCP, ServerEntry, session};
use crate::judging::{Admission, Judge, Payload, whole};
use crate::listener::Listener;
use crate::passes::settled;
use caller::ProvenCaller;
use challenge::{Challenge, metadata};
use forward::{Forward, Session};
use request::ClientRequest;
use responder::{Allowed, GatewayResponder, Purpose, Verdict};

/// Prefix of the paths of servers' metadata (RFC 9728 section 3.1).
const METADATA: &str = "/.well-known/oauth-protected-resource";

/// The gateway asks for its own callers. No configured enforcement point has this number.
const GATEWAY: Pep = Pep {
    id: PepId(u32::MAX),
    vouches: false,
};

/// Returns true if a path is the gateway's.
pub(super) fn owns(path: &str) -> bool {
    path.starts_with(MCP) || path.starts_with(METADATA)
}

/// Answers one request of an MCP client.
pub(super) async fn answer(
    context: &HttpContext,
    listener: Listener,
    peer: &Peer,
    share: Arc<ConnectionShare>,
    request: Request<RequestBody>,
) -> Response<Body> {
    let gateway = Arc::clone(&context.gate.configuration().parts.gateway);
    let origin = gateway.origins.of(request.headers()).cloned();
    drop(gateway);
    let Some(origin) = origin else {
        return answer_to(context, listener, peer, share, request, false).await;
    };
    let mut response = answer_to(context, listener, peer, share, request, true).await;
    origins::share(origin, &mut response);
    response
}

/// The answer to a request, whose `Origin` may be one that is allowed here.
async fn answer_to(
    context: &HttpContext,
    listener: Listener,
    peer: &Peer,
    share: Arc<ConnectionShare>,
    request: Request<RequestBody>,
    has_allowed_origin: bool,
) -> Response<Body> {
    if !context.gate.configuration().parts.peps.admits(peer) {
        return answer::refused(StatusCode::UNAUTHORIZED, UnknownPepError::Withdrawn.message());
    }
    let reason = if has_allowed_origin {
        context
            .access
            .host_refusal(listener, request.uri(), request.headers())
    } else {
        context.access.refusal(listener, request.uri(), request.headers())
    };
    if let Some(reason) = reason {
        return answer::refused(StatusCode::FORBIDDEN, &reason);
    }
    let (parts, body) = request.into_parts();
    if has_allowed_origin && origins::is_preflight(&parts) {
        return origins::preflight(&parts.headers);
    }
    if let Some(resource) = parts.uri.path().strip_prefix(METADATA) {
        return metadata(context, &parts, resource);
    }
    if let Some(refusal) = refusal(&parts) {
        return refusal;
    }
    issuer::wait_for_key(context, &parts).await;
    // For an unknown caller or an unknown server no body is read and held.
    let known = match known(context, &parts) {
        Ok(known) => known,
        Err(refusal) => return *refusal,
    };
    let body = match read_body(body, context.body_limit_bytes, context.message_timeout).await {
        Ok(body) => body,
        Err(error) => return error.refusal(answer::refused),
    };
    // A request that waits for an approval or for a server continues to hold its body.
    let held = match HeldBytes::of(&share, body.len()) {
        Ok(held) => held,
        Err(full) => return answer::refused(StatusCode::SERVICE_UNAVAILABLE, full.message()),
    };
    let mut parts = parts;
    let mut prepared = None;
    let judged = settled(
        &context.gate,
        None,
        body.len(),
        || Ok(()),
        |configuration, asking| {
            // The second pass goes on with the session and the caller of the first.
            let prepared = match &prepared {
                Some(prepared) => prepared,
                None => prepared.insert(Prepared::of(context, configuration, &mut parts, &known)?),
            };
            work_on(&body, |buffers| {
                let pass = (configuration, asking);
                judge(context, pass, &parts, prepared, &body, buffers)
            })
        },
    );
    let allowed = match judged.await {
        Ok(allowed) => allowed,
        Err(refusal) => return *refusal,
    };
    let Some(prepared) = prepared else {
        return answer::refused(StatusCode::INTERNAL_SERVER_ERROR, "the request was not judged");
    };
    let forward = prepared.forward(context, parts, allowed, &body);
    forward.run(body, held, share).await
}

/// Rejects a request that is not for a server, before its body is read.
fn refusal(parts: &Parts) -> Option<Response<Body>> {
    if !matches!(parts.method, Method::POST | Method::GET | Method::DELETE) {
        let mut refusal = answer::refused(
            StatusCode::METHOD_NOT_ALLOWED,
            "expected `POST` with a message, `GET` for a session's stream, or `DELETE` to end one",
        );
        let allowed = HeaderValue::from_static("POST, GET, DELETE");
        refusal.headers_mut().insert(header::ALLOW, allowed);
        return Some(refusal);
    }
    // Addresses end up in logs and histories. Nothing of a query goes on, so none is a mistake, or a token.
    parts.uri.query().map(|_| {
        answer::refused(
            StatusCode::BAD_REQUEST,
            "the address has a query, of which nothing would go on; send tokens as `authorization: Bearer <token>`",
        )
    })
}

/// The caller, as far as it is known without the body, and the gateway that identified it.
struct KnownCaller {
    gateway: Arc<Gateway>,
    caller: ProvenCaller,
}

/// Reads the header fields of a request: its server and its caller. Returns a refusal if the request is refused with
/// any body.
fn known(context: &HttpContext, parts: &Parts) -> Result<KnownCaller, Box<Response<Body>>> {
    let gate = &context.gate;
    let configuration = gate.configuration();
    let gateway = &configuration.parts.gateway;
    let entry = server_at(gateway, parts)?;
    let challenge = Challenge {
        context,
        configuration: &configuration,
        parts,
        server: &entry.server,
    };
    let caller = ProvenCaller::of(&challenge)?;
    caller.check(&challenge)?;
    Ok(KnownCaller {
        caller,
        gateway: Arc::clone(gateway),
    })
}

/// The server that stands at the path of a request.
fn server_at<'g>(gateway: &'g Gateway, parts: &Parts) -> Result<&'g Arc<ServerEntry>, Box<Response<Body>>> {
    gateway
        .at(parts.uri.path())
        .map_err(|reason| Box::new(answer::refused(StatusCode::NOT_FOUND, &reason)))
}

/// A request whose caller and session are known, before it is judged.
struct Prepared {
    entry: Arc<ServerEntry>,
    caller: ProvenCaller,
    needs_token: bool,
    session: Session,
    lists_allowed_only: bool,
}

impl Prepared {
    /// Makes out the caller and the session. While the body came, the configuration may have changed.
    fn of(
        context: &HttpContext,
        configuration: &Configuration,
        parts: &mut Parts,
        known: &KnownCaller,
    ) -> Result<Self, Box<Response<Body>>> {
        let gate = &context.gate;
        let gateway = &configuration.parts.gateway;
        let entry = server_at(gateway, parts)?;
        let server = &entry.server;
        let unauthorized = Challenge {
            context,
            configuration,
            parts,
            server,
        };
        let is_same = Arc::ptr_eq(gateway, &known.gateway);
        let caller = match &known.caller {
            // A signature that was valid stays valid.
            issued @ ProvenCaller::Issued(..) if is_same && !issued.has_expired(gate.clock.now()) => {
                issued.clone()
            }
            _ => ProvenCaller::of(&unauthorized)?,
        };
        let needs_token = !matches!(caller, ProvenCaller::Anybody);
        let session = session(gate, parts, server, caller.grant())?;
        Ok(Self {
            entry: Arc::clone(entry),
            caller,
            needs_token,
            session,
            lists_allowed_only: gateway.lists_allowed_only,
        })
    }

    /// The request on its way to the server.
    fn forward(self, context: &HttpContext, parts: Parts, allowed: Allowed, body: &[u8]) -> Forward {
        Forward {
            gate: Arc::clone(&context.gate),
            entry: self.entry,
            caller: self.caller,
            session: self.session,
            parts,
            listing: if allowed.purpose == Purpose::List {
                Listing::of_request(body)
            } else {
                Listing::default()
            },
            begun: (allowed.purpose == Purpose::Session).then(|| Variant::of_initialize(body)),
            allowed,
            lists_allowed_only: self.lists_allowed_only,
        }
    }
}

/// Judges a request: how it goes on, or its refusal.
fn judge(
    context: &HttpContext,
    (configuration, asking): (&Configuration, &Asking),
    parts: &Parts,
    prepared: &Prepared,
    body: &[u8],
    buffers: &mut Buffers,
) -> Result<Allowed, Box<Response<Body>>> {
    let gate = &context.gate;
    let Prepared {
        entry,
        caller,
        needs_token,
        session,
        ..
    } = prepared;
    let server = &entry.server;
    let challenge = Challenge {
        context,
        configuration,
        parts,
        server,
    };
    let admission = Admission {
        configuration,
        pep: GATEWAY,
        proxies: configuration.parts.gateway.reading(*needs_token),
        asking,
    };
    let responder = GatewayResponder {
        challenge: &challenge,
        needs_token: *needs_token && !caller.is_proven(),
        server,
        pins: entry.pins.as_ref(),
        variant: &|| {
            let said = Variant::of_request(body);
            variant::of_client(said, session.variant.as_ref(), parts)
        },
    };
    let judge = Judge::new(&responder, gate, &admission);
    let labels = caller.labels();
    let request = ClientRequest::new(parts, server, caller.issued(&labels));
    let carried = whole(&request, body).map(|body| Payload::Body(body, None));
    match judge.answer(&request, carried, buffers) {
        Verdict::Denied(refusal) => Err(Box::new(refusal)),
        Verdict::Allowed(allowed) => Ok(allowed),
    }
}

/// Finds the session of a request; a session of another grant is refused.
fn session(
    gate: &Gate,
    parts: &mut Parts,
    server: &str,
    grant: Option<&str>,
) -> Result<Session, Box<Response<Body>>> {
    let Some(named) = parts.headers.get(forward::SESSION) else {
        return Ok(Session::default());
    };
    let named = named.to_str().ok();
    let Some(grant) = grant else {
        // Two session ids are ambiguous: they are refused when the request is judged.
        let is_one = parts.headers.get_all(forward::SESSION).iter().count() == 1;
        let said = named.filter(|_| is_one).and_then(session::said_by);
        let said = said.and_then(|(variant, own)| Some((variant, HeaderValue::from_str(own).ok()?)));
        // From here on the request has only the server's own id: limits count by that.
        return Ok(said.map_or_else(Session::default, |(variant, own)| {
            parts.headers.insert(forward::SESSION, own);
            Session {
                own: None,
                variant: Some(variant),
            }
        }));
    };
    let own = named
        .and_then(|marked| gate.sessions.as_ref()?.unmarked(server, grant, marked))
        .and_then(|(variant, own)| Some((variant, HeaderValue::from_str(own).ok()?)));
    // Clients begin another session after this status.
    let (variant, own) = own.ok_or_else(|| {
        Box::new(answer::refused(
            StatusCode::NOT_FOUND,
            "no such session of this grant; begin another one with `initialize`",
        ))
    })?;
    Ok(Session {
        own: Some(own),
        variant: Some(variant),
    })
}
