//! `GET /v1/approvals/ID`: the state of an approval, and with `wait_ms` the wait for people.

use std::pin::pin;
use std::time::{Duration, Instant};

use callgate_core::json::ValueWriter;
use http::{HeaderValue, Response, StatusCode, header};
use tokio::time::timeout_at;
use tonic::body::Body;

use super::{HttpContext, reply, unauthenticated};
use crate::approvals::{ApprovalFault, ApprovalView};
use crate::identity::Asker;
use crate::phase::Phase;

const PREFIX: &str = "/v1/approvals/";

/// The longest wait of one request, in milliseconds: proxies between give up on longer ones.
const MAX_WAIT_MS: u64 = 60_000;

/// The id in a path of this kind.
pub(super) fn id(path: &str) -> Option<&str> {
    path.strip_prefix(PREFIX)
}

/// Answers with the state of an approval; while it is pending, not before a change or the end of the wait.
pub(super) async fn answer(
    context: &HttpContext,
    asker: Option<&Asker>,
    id: &str,
    query: Option<&str>,
) -> Response<Body> {
    let wait = match wait(query) {
        Ok(wait) => wait,
        Err(message) => return reply::error(StatusCode::BAD_REQUEST, &message),
    };
    let view = match view(context, id, wait).await {
        Ok(view) => view,
        Err(fault) => return refusal(fault),
    };
    // Meanwhile, the configuration may have changed.
    match context.gate.configuration().parts.peps.still(asker) {
        Ok(_) => fresh(reply::json(StatusCode::OK, document(&view))),
        Err(unknown) => unauthenticated(context, unknown),
    }
}

async fn view(context: &HttpContext, id: &str, wait: Duration) -> Result<ApprovalView, ApprovalFault> {
    if let Some(fault) = ApprovalFault::of_id(id) {
        return Err(fault);
    }
    let watch = context.gate.watch_approval(id);
    let mut watch = watch.ok_or(ApprovalFault::Unavailable)?.patient(wait);
    let until = Instant::now() + wait;
    let mut phase = context.phase.clone();
    // A server that stops lets nobody wait.
    let mut stopping = pin!(phase.wait_for(|phase| *phase >= Phase::Draining));
    let first = tokio::select! {
        biased;
        first = watch.next() => first?.ok_or(ApprovalFault::Unknown)?,
        _ = &mut stopping, if !wait.is_zero() => return Err(ApprovalFault::Unavailable),
    };
    if !watch.is_pending() || wait.is_zero() {
        return Ok(first);
    }
    let waited = tokio::select! {
        waited = timeout_at(until.into(), watch.next()) => waited,
        _ = &mut stopping => return Ok(first),
    };
    match waited {
        Ok(next) => next?.ok_or(ApprovalFault::Unknown),
        Err(_) => Ok(first),
    }
}

/// The wait that a query asks for.
fn wait(query: Option<&str>) -> Result<Duration, String> {
    let Some(query) = query.filter(|query| !query.is_empty()) else {
        return Ok(Duration::ZERO);
    };
    let wait_ms = query
        .strip_prefix("wait_ms=")
        // Rust would take a sign.
        .filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))
        .and_then(|text| text.parse().ok());
    match wait_ms {
        Some(wait_ms) if wait_ms <= MAX_WAIT_MS => Ok(Duration::from_millis(wait_ms)),
        _ => Err(format!(
            "expected no query, or `wait_ms` with 0 to {MAX_WAIT_MS} milliseconds"
        )),
    }
}

fn refusal(fault: ApprovalFault) -> Response<Body> {
    let status = match fault {
        ApprovalFault::Invalid => StatusCode::BAD_REQUEST,
        ApprovalFault::Unknown => StatusCode::NOT_FOUND,
        ApprovalFault::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        ApprovalFault::TooMany => StatusCode::TOO_MANY_REQUESTS,
    };
    let mut refusal = fresh(reply::error(status, fault.message()));
    if fault == ApprovalFault::TooMany {
        let fields = refusal.headers_mut();
        fields.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    refusal
}

/// The same, for no cache to keep: the state changes.
fn fresh(mut response: Response<Body>) -> Response<Body> {
    let fields = response.headers_mut();
    fields.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn document(view: &ApprovalView) -> String {
    let mut json = String::with_capacity(256);
    ValueWriter::new(&mut json).object(|fields| {
        fields.field("id").text(&view.id);
        fields.field("state").text(view.state.as_str());
        fields.field("rule").text(&view.rule);
        fields
            .field("approvers")
            .texts(view.approvers.iter().map(String::as_str));
        fields.field("reason").text(&view.reason);
        fields.field("until_us").integer(view.until_us);
        fields.field("permit").text(&view.permit);
    });
    json
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_bounded() {
        assert_eq!(wait(None), Ok(Duration::ZERO));
        assert_eq!(wait(Some("")), Ok(Duration::ZERO));
        assert_eq!(wait(Some("wait_ms=0")), Ok(Duration::ZERO));
        assert_eq!(wait(Some("wait_ms=60000")), Ok(Duration::from_secs(60)));
        for wrong in [
            "wait_ms=60001",
            "wait_ms=-1",
            "wait_ms=+5",
            "wait_ms=",
            "wait_ms=1&x=2",
            "wait=1",
            "x",
        ] {
            let message = wait(Some(wrong)).unwrap_err();
            assert!(
                message.contains("`wait_ms` with 0 to 60000"),
                "{wrong}: {message}"
            );
        }
    }
}
