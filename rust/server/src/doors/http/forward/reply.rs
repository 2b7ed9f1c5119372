//! Answers that proxies act on.

use callgate_core::Decision;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use http_body_util::Full;
use tonic::body::Body;

use super::{Form, PEP_FIELD};
use crate::doors::{callgate_fields, quota};
use crate::judging::{Denial, JudgedRequest, Responder};
use crate::protocol::Protocol;

/// Names the headers of the request that the proxy must remove before it forwards the request. Envoy knows this field.
const REMOVE: HeaderName = HeaderName::from_static("x-envoy-auth-headers-to-remove");

/// The status for the client, if it differs from the status of this answer: a 2xx status here would let the request go
/// on.
const CLIENT_STATUS: HeaderName = HeaderName::from_static("x-callgate-client-status");

/// A copy of the reply to the client, for proxies that read no body.
const REPLY: HeaderName = HeaderName::from_static("x-callgate-reply");

/// nginx reads all fields of an answer into one page of memory. A longer reply is left out.
const MAX_REPLY_BYTES: usize = 2_048;

/// Forward authorization.
#[derive(Clone, Copy, Debug)]
pub(super) struct ForwardAuth<'a> {
    pub(super) form: Form,
    pub(super) headers: &'a HeaderMap,
}

impl Responder for ForwardAuth<'_> {
    type Answer = Response<Body>;

    const PROTOCOL: Protocol = Protocol::ForwardAuth;

    fn allowed(&self, asked: &JudgedRequest<'_>, decision: &Decision<'_>) -> Response<Body> {
        let mut response = answer(StatusCode::OK, decision, String::new());
        if self.form == Form::Itself {
            let removed = self.removed(response.headers(), asked.hides_token());
            response
                .headers_mut()
                .extend(removed.map(|names| (REMOVE, names)));
        }
        response
    }

    fn denied(&self, decision: &Decision<'_>, denied: Denial<'_>) -> Response<Body> {
        // The four statuses are valid ones.
        let status = match self.form {
            Form::DescribedByNginx => StatusCode::FORBIDDEN,
            Form::Described | Form::Itself => StatusCode::from_u16(decision.outcome.http_status())
                .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
        };
        let reply = (self.form == Form::DescribedByNginx && denied.body.len() <= MAX_REPLY_BYTES)
            .then(|| HeaderValue::from_bytes(denied.body.as_bytes()).ok())
            .flatten();
        let mut response = answer(status, decision, denied.body);
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.extend(quota::fields(decision));
        headers.extend(reply.map(|reply| (REPLY, reply)));
        if denied.is_tool_result && self.form == Form::Itself {
            headers.insert(CLIENT_STATUS, HeaderValue::from_static("200"));
        }
        response
    }
}

impl ForwardAuth<'_> {
    /// The names of the headers that the upstream must not see: those that only callgate may set, and a token for
    /// callgate.
    fn removed(&self, set: &HeaderMap, hide_token: bool) -> Option<HeaderValue> {
        let forged = self.headers.keys().filter(|name| *name != PEP_FIELD);
        // Fields that callgate sets replace those of the client, and proxies remove fields last.
        let forged = forged
            .filter(|name| !set.contains_key(*name))
            .map(HeaderName::as_str);
        let forged = forged.filter(|name| callgate_fields::is_one(name));
        let token = hide_token.then_some(header::AUTHORIZATION);
        let names: Vec<&str> = forged.chain(token.as_ref().map(HeaderName::as_str)).collect();
        (!names.is_empty())
            .then(|| HeaderValue::try_from(names.join(",")).ok())
            .flatten()
    }
}

fn answer(status: StatusCode, decision: &Decision<'_>, body: String) -> Response<Body> {
    let mut response = Response::new(Body::new(Full::from(body)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    // A proxy may keep answers to a `GET`; a decision holds once.
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.extend(callgate_fields::fields(decision).filter_map(|(name, value)| {
        let value = HeaderValue::from_str(&value)
            .ok()
            .filter(|value| value.to_str().is_ok())?;
        Some((HeaderName::from_static(name), value))
    }));
    response
}
