//! Forward authorization: a proxy asks over HTTP whether a request may be forwarded.
//!
//! nginx' `auth_request`, Caddy's `forward_auth` and Traefik's `ForwardAuth` describe the request in header fields;
//! Envoy's HTTP `ext_authz`, and the `HAProxy` action in `deploy/haproxy`, send the request itself behind a prefix of
//! its path. The forwarded fields are the client's word: its `authorization` is its own token, its `Host` is its own.
//! Only [`PEP_FIELD`], which the proxy sets, belongs to an enforcement point.
//!
//! A 2xx answer makes the proxy forward the request, whatever the body says, so only an allowed request is answered so.

mod description;
mod original;
mod reply;

use std::sync::Arc;

use http::request::Parts;
use http::{HeaderName, Request, Response, StatusCode};
use tonic::body::Body;

use super::{body, reply as plain};
use crate::bodies::{ConnectionShare, RequestBody};
use crate::doors::callgate_fields;
use crate::doors::http::HttpContext;
use crate::gate::{Buffers, work_on};
use crate::identity::{Peer, UnknownPepError};
use crate::judging::{Admission, Judge, Payload, whole};
use crate::listener::Listener;
use crate::passes::settled;
use crate::proxy::{Attributes as _, UnclearError};
use original::Original;
pub(crate) use original::texts;
use reply::ForwardAuth;

/// The field of an enforcement point's token: `Bearer <token>`.
const PEP_FIELD: HeaderName = HeaderName::from_static("x-callgate-pep");

/// The form of a question: how the proxy describes the request, and how it uses an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// `/v1/forward-auth`: described in fields; answers reach the client unchanged.
    Described,
    /// `/v1/auth-request`: described in fields, by nginx, which treats every status but 2xx, 401 and 403 as a fault of
    /// the server, and reads no body.
    DescribedByNginx,
    /// `/v1/ext-authz` and the request's own path: the request itself.
    Itself,
}

impl Form {
    /// The prefix before the path of a request.
    const PREFIX: &str = "/v1/ext-authz";

    /// Finds the form of the question at this path. The query is ignored: proxies pass on their client's.
    pub(super) fn of(path: &str) -> Option<Self> {
        match path {
            "/v1/forward-auth" => Some(Self::Described),
            "/v1/auth-request" => Some(Self::DescribedByNginx),
            _ => path
                .strip_prefix(Self::PREFIX)
                .filter(|rest| rest.starts_with('/'))
                .map(|_| Self::Itself),
        }
    }
}

/// Answers one question.
pub(super) async fn answer(
    context: &HttpContext,
    listener: Listener,
    (peer, share): (&Arc<Peer>, &Arc<ConnectionShare>),
    form: Form,
    request: Request<RequestBody>,
) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let peps = Arc::clone(&context.gate.configuration().parts.peps);
    let asker = match peps.ask_by(&PEP_FIELD, peer, &parts.headers) {
        Ok(asker) => asker,
        Err(unknown) => return unknown_pep(context, unknown),
    };
    // `Host` and `Origin` may be those of the proxy's client. A browser's page cannot prove to be a proxy; if no proof
    // is required, these fields are checked here too.
    if asker.is_none()
        && let Some(reason) = context.access.refusal(listener, &parts.uri, &parts.headers)
    {
        return plain::error(StatusCode::FORBIDDEN, &reason);
    }
    match body::read_plain(body, context.body_limit_bytes, context.message_timeout).await {
        Ok(body) => {
            let answer = settled(
                &context.gate,
                None,
                body.len(),
                || body::keep(share, &body),
                |configuration, asking| {
                    // While the body came, who asks may have been withdrawn.
                    let admission = match Admission::of(configuration, asking, asker.as_ref()) {
                        Ok(admission) => admission,
                        Err(unknown) => return unknown_pep(context, unknown),
                    };
                    work_on(&body, |buffers| {
                        judge(context, &admission, form, &parts, &body, buffers)
                    })
                },
            );
            answer.await
        }
        Err(refusal) => refusal,
    }
}

/// A 403, because a 401 would tell the proxy's client to log in: it is the proxy that is unknown here.
fn unknown_pep(context: &HttpContext, unknown: UnknownPepError) -> Response<Body> {
    context.gate.refused_asker(unknown);
    plain::error(StatusCode::FORBIDDEN, &unknown.message_about(&PEP_FIELD))
}

fn judge(
    context: &HttpContext,
    admission: &Admission<'_>,
    form: Form,
    parts: &Parts,
    body: &[u8],
    buffers: &mut Buffers,
) -> Response<Body> {
    let responder = ForwardAuth {
        form,
        headers: &parts.headers,
    };
    let judge = Judge::new(&responder, &context.gate, admission);
    match Original::of(form, parts, !body.is_empty()) {
        Ok(original) => judge.answer(&original, carried(form, &original, body), buffers),
        Err(unclear) => judge.unclear(&unclear),
    }
}

/// Reads the part of the body that the proxy sent along. Proxies that forward no body remove the client's fields about
/// its length as well.
fn carried<'a>(form: Form, original: &Original<'a>, body: &'a [u8]) -> Result<Payload<'a>, UnclearError> {
    // nginx takes no headers away that its configuration does not name, and it names those that we send.
    if form == Form::DescribedByNginx
        && let Some((name, _)) = original
            .headers()
            .find(|(name, _)| callgate_fields::is_one(name) && !callgate_fields::NAMES.contains(name))
    {
        return Err(UnclearError::new(format!(
            "the header `{name}` is none that a client sends; send the request without it"
        )));
    }
    if body.is_empty() {
        Ok(Payload::Fields)
    } else {
        whole(original, body).map(|body| Payload::Body(body, None))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_paths_are_ours() {
        assert_eq!(Form::of("/v1/forward-auth"), Some(Form::Described));
        assert_eq!(Form::of("/v1/auth-request"), Some(Form::DescribedByNginx));
        for path in ["/v1/ext-authz/", "/v1/ext-authz//x", "/v1/ext-authz/mcp/aws"] {
            assert_eq!(Form::of(path), Some(Form::Itself), "{path}");
        }
        for path in [
            "/v1/forward-auth/",
            "/v1/auth-request/403",
            "/v1/ext-authz",
            "/v1/ext-authzx",
            "/v1/ext-authz*",
            "/V1/forward-auth",
            "//v1/forward-auth",
            "/",
            "",
        ] {
            assert_eq!(Form::of(path), None, "{path}");
        }
    }
}
