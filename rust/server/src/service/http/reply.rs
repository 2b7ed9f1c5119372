//! Answers of the plain HTTP door.

use std::fmt::Write as _;

use callgate_core::{Decision, LimitState};
use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use http_body_util::Full;
use tonic::body::Body;

use super::super::decision::hex;
use super::quota;

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// `{"error": message}`: for what is no request at all.
pub(super) fn error(status: StatusCode, message: &str) -> Response<Body> {
    let mut json = String::from(r#"{"error":"#);
    write_string(&mut json, message);
    json.push('}');
    response(status, json)
}

/// A decision, with the status and the fields of `docs/policy.md` section 5.
pub(super) fn decision(decision: &Decision<'_>) -> Response<Body> {
    // The four statuses are valid ones.
    let status =
        StatusCode::from_u16(decision.outcome.http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = response(status, json(decision));
    let headers = response.headers_mut();
    if let Some(retry_after_ms) = decision.retry_after_ms {
        headers.insert(
            header::RETRY_AFTER,
            HeaderValue::from(quota::seconds(retry_after_ms)),
        );
    }
    if !decision.limits.is_empty() {
        let fields = [
            (RATE_LIMIT, quota::remaining(&decision.limits)),
            (RATE_LIMIT_POLICY, quota::policy(&decision.limits)),
        ];
        for (name, value) in fields {
            if let Ok(value) = HeaderValue::try_from(value) {
                headers.insert(name, value);
            }
        }
    }
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

fn json(decision: &Decision<'_>) -> String {
    let mut json = String::with_capacity(256);
    json.push_str(r#"{"outcome":"#);
    write_string(&mut json, decision.outcome.as_str());
    write_text(&mut json, "rule", &decision.rule);
    write_text(&mut json, "message", &decision.message);
    if let Some(retry_after_ms) = decision.retry_after_ms {
        write_number(&mut json, "retry_after_ms", retry_after_ms);
    }
    json.push_str(r#","limits":["#);
    for (index, limit) in decision.limits.iter().enumerate() {
        if index > 0 {
            json.push(',');
        }
        write_limit(&mut json, limit);
    }
    json.push(']');
    write_text(&mut json, "policy", &decision.policy);
    write_text(&mut json, "policy_version", &decision.policy_version);
    if let Some(shadow) = &decision.shadow {
        json.push_str(r#","shadow":{"outcome":"#);
        write_string(&mut json, shadow.outcome.as_str());
        write_text(&mut json, "rule", &shadow.rule);
        json.push('}');
    }
    if let Some(fingerprint) = &decision.fingerprint {
        write_text(&mut json, "fingerprint", &hex(fingerprint));
    }
    write_number(&mut json, "decided_at_us", decision.decided_at_us);
    if let Some(reservation) = decision.reservation {
        write_text(&mut json, "reservation", &format!("{reservation:032x}"));
    }
    json.push('}');
    json
}

fn write_limit(json: &mut String, limit: &LimitState<'_>) {
    json.push_str(r#"{"counter":"#);
    write_string(json, &limit.counter);
    write_number(json, "max", limit.max);
    write_number(json, "remaining", limit.remaining);
    write_number(json, "reset_after_ms", limit.reset_after_ms);
    json.push('}');
}

fn write_text(json: &mut String, name: &str, text: &str) {
    // Writing to a string cannot fail, here and below; the names are ours and need no escapes.
    let _ = write!(json, ",\"{name}\":");
    write_string(json, text);
}

fn write_number(json: &mut String, name: &str, number: impl std::fmt::Display) {
    let _ = write!(json, ",\"{name}\":{number}");
}

fn write_string(json: &mut String, text: &str) {
    json.push('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => json.extend(['\\', character]),
            '\0'..='\x1f' => {
                let _ = write!(json, "\\u{:04x}", u32::from(character));
            }
            _ => json.push(character),
        }
    }
    json.push('"');
}
