//! Answers of the plain HTTP door.

use callgate_core::engine::Peek;
use callgate_core::json::ValueWriter;
use callgate_core::{Decision, Outcome};
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::Full;
use tonic::body::Body;

use crate::doors::quota;

/// `{"error": message}`: the body of an answer without a decision.
pub(super) fn error(status: StatusCode, message: &str) -> Response<Body> {
    let mut text = String::new();
    ValueWriter::new(&mut text).object(|body| body.field("error").text(message));
    json(status, text)
}

/// A decision, with the status and the fields of `docs/policy.md` section 5.
pub(super) fn decision(decision: &Decision<'_>) -> Response<Body> {
    let mut text = String::with_capacity(256);
    decision.write_json(&mut text);
    let mut response = json(status(decision.outcome), text);
    response.headers_mut().extend(quota::fields(decision));
    response
}

/// The answer to a peek: the remaining units, with the status and the fields of the decision that the call would get: a proxy that asks here
/// by mistake forwards no call that is denied.
pub(super) fn peek(peek: &Peek<'_>) -> Response<Body> {
    let mut text = String::with_capacity(512);
    peek.write_json(&mut text);
    let mut response = json(status(peek.outcome()), text);
    if let Some(decision) = &peek.decision {
        response.headers_mut().extend(quota::fields(decision));
    }
    response
}

/// The status of an outcome.
fn status(outcome: Outcome) -> StatusCode {
    // The four statuses are valid ones.
    StatusCode::from_u16(outcome.http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

/// An answer with this document.
pub(super) fn json(status: StatusCode, text: String) -> Response<Body> {
    let mut response = Response::new(Body::new(Full::from(text)));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
