//! Reading a body, within its limits.

use std::time::Duration;

use bytes::Bytes;
use http::{Response, StatusCode, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Body as _;
use tonic::body::Body;
use tonic::{Code, Status};

use super::super::arriving::Arriving;
use super::reply;

/// The whole body, or the refusal to send; a body that takes longer than `timeout` to arrive is given up.
pub(in super::super) async fn read(
    body: Arriving,
    limit_bytes: usize,
    timeout: Duration,
) -> Result<Bytes, Response<Body>> {
    // What `Content-Length` promises, where it is sent: such a body is refused before it is read.
    if body.size_hint().lower() > u64::try_from(limit_bytes).unwrap_or(u64::MAX) {
        return Err(too_large(limit_bytes));
    }
    match tokio::time::timeout(timeout, Limited::new(body, limit_bytes).collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large(limit_bytes)),
        Ok(Err(error)) if is_refused(error.as_ref()) => Err(closing(reply::error(
            StatusCode::SERVICE_UNAVAILABLE,
            "too many bytes of unfinished bodies; try again later",
        ))),
        Ok(Err(_)) => Err(reply::error(
            StatusCode::BAD_REQUEST,
            "the body broke off; expected one JSON object",
        )),
        Err(_) => Err(closing(reply::error(
            StatusCode::REQUEST_TIMEOUT,
            "the body took too long to arrive",
        ))),
    }
}

/// Whether there was no room for the body.
fn is_refused(error: &(dyn std::error::Error + Send + Sync + 'static)) -> bool {
    error
        .downcast_ref::<Status>()
        .is_some_and(|status| status.code() == Code::ResourceExhausted)
}

fn too_large(limit_bytes: usize) -> Response<Body> {
    let message = format!("the body is too large; expected at most {limit_bytes} bytes");
    closing(reply::error(StatusCode::PAYLOAD_TOO_LARGE, &message))
}

/// What is left of the body is not read, so the connection cannot be used again (HTTP/2 ignores this field's meaning).
fn closing(mut response: Response<Body>) -> Response<Body> {
    response
        .headers_mut()
        .insert(header::CONNECTION, http::HeaderValue::from_static("close"));
    response
}
