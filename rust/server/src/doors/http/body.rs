//! Reading a body, within its limits.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Body as _;
use tonic::body::Body;
use tonic::{Code, Status};

use super::reply;
use crate::bodies::{ConnectionShare, HeldBytes, RequestBody};

/// A failure to read a body to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BodyError {
    #[error("the body is too large; expected at most {0} bytes")]
    TooLarge(usize),
    #[error("too many bytes of unfinished bodies; try again later")]
    NoRoom,
    #[error("the body broke off; expected one JSON object")]
    BrokenOff,
    #[error("the body took too long to arrive")]
    TooSlow,
}

impl BodyError {
    /// The status of the refusal.
    pub(crate) const fn status(self) -> StatusCode {
        match self {
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::NoRoom => StatusCode::SERVICE_UNAVAILABLE,
            Self::BrokenOff => StatusCode::BAD_REQUEST,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
        }
    }

    /// The refusal of a request with such a body; `answer` is one with this status and message.
    pub(crate) fn refusal(self, answer: impl FnOnce(StatusCode, &str) -> Response<Body>) -> Response<Body> {
        let mut response = answer(self.status(), &self.to_string());
        // The unread rest may be longer than the part that is thrown away, so clients should not reuse this connection
        // (HTTP/2 ignores the field's meaning).
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(header::CONNECTION, close);
        response
    }
}

/// The whole body; one that takes longer than `timeout` to arrive is given up.
pub(crate) async fn read(
    body: RequestBody,
    limit_bytes: usize,
    timeout: Duration,
) -> Result<Bytes, BodyError> {
    // The length by `Content-Length`, if it is sent: such a body is refused before it is read.
    if body.size_hint().lower() > u64::try_from(limit_bytes).unwrap_or(u64::MAX) {
        return Err(BodyError::TooLarge(limit_bytes));
    }
    match tokio::time::timeout(timeout, Limited::new(body, limit_bytes).collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(BodyError::TooLarge(limit_bytes)),
        Ok(Err(error)) if is_refused(error.as_ref()) => Err(BodyError::NoRoom),
        Ok(Err(_)) => Err(BodyError::BrokenOff),
        Err(_) => Err(BodyError::TooSlow),
    }
}

/// The whole body, or the refusal that the doors of plain HTTP send.
pub(super) async fn read_plain(
    body: RequestBody,
    limit_bytes: usize,
    timeout: Duration,
) -> Result<Bytes, Response<Body>> {
    let read = read(body, limit_bytes, timeout).await;
    read.map_err(|error| error.refusal(reply::error))
}

/// Counts a body that is kept while its call waits for a person's answer.
pub(super) fn keep(share: &Arc<ConnectionShare>, body: &[u8]) -> Result<HeldBytes, Box<Response<Body>>> {
    HeldBytes::of(share, body.len())
        .map_err(|full| Box::new(reply::error(StatusCode::SERVICE_UNAVAILABLE, full.message())))
}

/// Returns true if there was no room for the body.
fn is_refused(error: &(dyn std::error::Error + Send + Sync + 'static)) -> bool {
    error
        .downcast_ref::<Status>()
        .is_some_and(|status| status.code() == Code::ResourceExhausted)
}
