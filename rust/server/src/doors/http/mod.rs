//! Plain HTTP, over HTTP/1.1 and HTTP/2: `POST /v1/check`, `POST /v1/peek`, `GET /v1/approvals/ID`, and forward authorization.

mod access;
mod approval;
mod body;
mod call;
mod forward;
pub(super) mod reply;
mod split;

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use tokio::sync::watch;
use tonic::body::Body;

use crate::apart::apart;
use crate::approvals::Asking;
use crate::bodies::{ConnectionShare, RequestBody};
use crate::gate::{Buffers, Gate, work_on};
use crate::identity::{Asker, Peer, UnknownPepError};
use crate::in_force::Configuration;
use crate::ingress::Ingress;
use crate::listener::Listener;
use crate::passes::settled;
use crate::phase::Phase;
use crate::protocol::Protocol;
use crate::random::random_reservation_id;
use call::{CheckCall, CheckCallError};
use forward::Form;

pub(crate) use access::Access;
pub(super) use body::read as read_body;
pub(super) use forward::texts;

const CHECK: &str = "/v1/check";
const PEEK: &str = "/v1/peek";

/// The parts that all doors of HTTP share.
pub(crate) struct HttpContext {
    pub(crate) gate: Arc<Gate>,
    pub(crate) access: Access,
    /// The largest body, in bytes.
    pub(crate) body_limit_bytes: usize,
    /// The longest time that a body may take to arrive.
    pub(crate) message_timeout: Duration,
    /// The stage of the server's life.
    pub(crate) phase: watch::Receiver<Phase>,
}

/// Returns true for every path of plain HTTP, whatever the request's header fields say. gRPC answers each request with
/// status 200, which would tell a proxy to forward its client's request.
pub(super) fn owns(path: &str) -> bool {
    path.starts_with("/v1/")
}

/// Answers one request of the plain HTTP door.
pub(super) async fn answer(
    context: &HttpContext,
    listener: Listener,
    peer: &Arc<Peer>,
    share: &Arc<ConnectionShare>,
    request: Request<RequestBody>,
) -> Response<Body> {
    if let Some(form) = Form::of(request.uri().path()) {
        return forward::answer(context, listener, (peer, share), form, request).await;
    }
    if let Some(refusal) = refusal(context, listener, &request) {
        return refusal;
    }
    let peeks = request.uri().path() == PEEK;
    let asker = context
        .gate
        .configuration()
        .parts
        .peps
        .ask(peer, request.headers());
    let asker = match asker {
        Ok(asker) => asker,
        Err(unknown) => return unauthenticated(context, unknown),
    };
    if let Some(id) = approval::id(request.uri().path()) {
        return approval::answer(context, asker.as_ref(), id, request.uri().query()).await;
    }
    let ingress = context.gate.ingress(Protocol::Http, request.headers());
    match body::read_plain(
        request.into_body(),
        context.body_limit_bytes,
        context.message_timeout,
    )
    .await
    {
        Ok(body) if peeks => {
            apart(body.len()).await;
            work_on(&body, |buffers| peek(context, asker.as_ref(), &body, buffers))
        }
        Ok(body) => {
            let answer = settled(
                &context.gate,
                None,
                body.len(),
                || body::keep(share, &body),
                |configuration, asking| {
                    work_on(&body, |buffers| {
                        let pass = (configuration, asking);
                        check(context, asker.as_ref(), ingress, &body, pass, buffers)
                    })
                },
            );
            answer.await
        }
        Err(refusal) => refusal,
    }
}

/// Rejects a request that is not valid, before its body is read.
fn refusal(
    context: &HttpContext,
    listener: Listener,
    request: &Request<RequestBody>,
) -> Option<Response<Body>> {
    if let Some(reason) = context.access.refusal(listener, request.uri(), request.headers()) {
        return Some(reply::error(StatusCode::FORBIDDEN, &reason));
    }
    let path = request.uri().path();
    let is_approval = approval::id(path).is_some();
    if !is_approval && !matches!(path, CHECK | PEEK) {
        return Some(reply::error(
            StatusCode::NOT_FOUND,
            "no such path; expected `/v1/check`, `/v1/peek` or `/v1/approvals/ID`",
        ));
    }
    let method = if is_approval { Method::GET } else { Method::POST };
    if request.method() != method {
        let message = format!("expected method `{method}`");
        let mut refusal = reply::error(StatusCode::METHOD_NOT_ALLOWED, &message);
        let allowed = if is_approval { "GET" } else { "POST" };
        refusal
            .headers_mut()
            .insert(header::ALLOW, HeaderValue::from_static(allowed));
        return Some(refusal);
    }
    if !is_plain(request.headers()) {
        let message = "expected a body without content encoding";
        return Some(reply::error(StatusCode::UNSUPPORTED_MEDIA_TYPE, message));
    }
    None
}

fn unauthenticated(context: &HttpContext, unknown: UnknownPepError) -> Response<Body> {
    context.gate.refused_asker(unknown);
    let mut refusal = reply::error(StatusCode::UNAUTHORIZED, unknown.message());
    refusal
        .headers_mut()
        .insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    refusal
}

/// Returns true if the body is not encoded. Its content type does not matter: it is read as JSON or refused, and pages
/// of a browser are recognised by their `Origin`.
fn is_plain(headers: &HeaderMap) -> bool {
    headers
        .get_all(header::CONTENT_ENCODING)
        .iter()
        .all(|encoding| encoding.as_bytes().eq_ignore_ascii_case(b"identity"))
}

fn check(
    context: &HttpContext,
    asker: Option<&Asker>,
    ingress: Ingress,
    body: &[u8],
    (configuration, asking): (&Configuration, &Asking),
    Buffers { scratch, tape, bytes }: &mut Buffers,
) -> Response<Body> {
    // While the body came, who asks may have been withdrawn.
    let pep = match configuration.parts.peps.still(asker) {
        Ok(pep) => pep,
        Err(unknown) => return unauthenticated(context, unknown),
    };
    let call = match CheckCall::read(body, bytes, tape) {
        Ok(call) => call,
        Err(CheckCallError::NoObject(message)) => return reply::error(StatusCode::BAD_REQUEST, &message),
        Err(CheckCallError::Invalid(message)) => {
            return context.gate.refuse(ingress, message, reply::decision);
        }
    };
    match call.reserve.then(random_reservation_id).transpose() {
        Ok(reserve) => {
            let request = call.request(pep, reserve);
            let gate = &context.gate;
            gate.decide_over(
                ingress,
                configuration,
                &request,
                (scratch, asking),
                reply::decision,
            )
        }
        // An id that can be guessed would let others settle: better none, and no decision.
        Err(error) => {
            let message = format!("no random numbers for a reservation id: {error}");
            reply::error(StatusCode::INTERNAL_SERVER_ERROR, &message)
        }
    }
}

/// Looks at what is left for the caller of a body. A fault of its fields is an error here, because no call is decided.
fn peek(
    context: &HttpContext,
    asker: Option<&Asker>,
    body: &[u8],
    Buffers { scratch, tape, bytes }: &mut Buffers,
) -> Response<Body> {
    // As in `check`.
    let configuration = context.gate.configuration();
    let pep = match configuration.parts.peps.still(asker) {
        Ok(pep) => pep,
        Err(unknown) => return unauthenticated(context, unknown),
    };
    match CheckCall::read_peek(body, bytes, tape) {
        Ok(call) => {
            let request = call.request(pep, None);
            context.gate.peek(&configuration, &request, scratch, reply::peek)
        }
        Err(CheckCallError::NoObject(message) | CheckCallError::Invalid(message)) => {
            reply::error(StatusCode::BAD_REQUEST, &message)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_are_read_as_they_come() {
        let accepts = |fields: &[(header::HeaderName, &'static str)]| {
            let fields = fields
                .iter()
                .map(|(name, value)| (name.clone(), HeaderValue::from_static(value)));
            is_plain(&fields.collect())
        };
        assert!(accepts(&[]));
        assert!(accepts(&[(
            header::CONTENT_TYPE,
            "application/x-www-form-urlencoded"
        )]));
        assert!(accepts(&[(header::CONTENT_ENCODING, "identity")]));
        assert!(!accepts(&[(header::CONTENT_ENCODING, "gzip")]));
        assert!(!accepts(&[(header::CONTENT_ENCODING, "gzip, identity")]));
    }
}
