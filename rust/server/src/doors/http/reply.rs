//! Answers of the plain HTTP door.

use callgate_core::Decision;
use callgate_core::json::ValueWriter;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::Full;
use tonic::body::Body;

use crate::doors::quota;

/// `{"error": message}`: the body of an answer without a decision.
pub(super) fn error(status: StatusCode, message: &str) -> Response<Body> {
    let mut json = String::new();
    ValueWriter::new(&mut json).object(|body| body.field("error").text(message));
    response(status, json)
}

/// A decision, with the status and the fields of `docs/policy.md` section 5.
pub(super) fn decision(decision: &Decision<'_>) -> Response<Body> {
    // The four statuses are valid ones.
    let status =
        StatusCode::from_u16(decision.outcome.http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut json = String::with_capacity(256);
    decision.write_json(&mut json);
    let mut response = response(status, json);
    response.headers_mut().extend(quota::fields(decision));
    response
}

fn response(status: StatusCode, json: String) -> Response<Body> {
    let mut response = Response::new(Body::new(Full::from(json)));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
