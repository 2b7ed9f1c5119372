//! Pages of other sites whose scripts may use the gateway: CORS, as the Fetch standard defines it.

use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
    ACCESS_CONTROL_REQUEST_METHOD, VARY,
};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use tonic::body::Body;

use super::answer;

/// The methods that a script may send.
const METHODS: HeaderValue = HeaderValue::from_static("POST, GET, DELETE");

/// The fields that clients of MCP set, in lower case as browsers ask for them.
const SENT: [&str; 8] = [
    "accept",
    "authorization",
    "content-type",
    "last-event-id",
    "mcp-method",
    "mcp-name",
    "mcp-protocol-version",
    "mcp-session-id",
];

/// The prefix of the fields that mirror arguments. CORS knows no patterns, so the answer names those that were asked
/// for.
const MIRRORED: &str = "mcp-param-";

/// The fields that a script may read besides those that every script may.
const READ: HeaderValue = HeaderValue::from_static(
    "Mcp-Session-Id, MCP-Protocol-Version, WWW-Authenticate, Retry-After, RateLimit, RateLimit-Policy, \
     X-Callgate-Outcome, X-Callgate-Rule, X-Callgate-Policy, X-Callgate-Policy-Version, X-Callgate-Remaining, \
     X-Callgate-Shadow",
);

/// The time for which a browser may remember the answer, in seconds. An origin that is removed from the list gets no
/// new preflight answer after this time at the latest; its requests are refused at once.
const MAX_AGE_S: HeaderValue = HeaderValue::from_static("600");

/// The most fields that are answered; more than a browser asks for in one preflight.
const MAX_FIELDS: usize = 64;

/// Returns true for a preflight: a browser's question which requests a script may send.
pub(super) fn is_preflight(parts: &Parts) -> bool {
    parts.method == Method::OPTIONS && parts.headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD)
}

/// Answers a preflight: the fields that a script may send, of those that it asks for.
pub(super) fn preflight(asked: &HeaderMap) -> Response<Body> {
    let asked = asked.get_all(ACCESS_CONTROL_REQUEST_HEADERS).iter();
    let asked = asked.filter_map(|names| names.to_str().ok());
    let names = asked.flat_map(|names| names.split(',')).map(str::trim);
    let names: Vec<&str> = names.filter(|name| may_be_sent(name)).take(MAX_FIELDS).collect();
    let mut response = answer::empty(StatusCode::NO_CONTENT);
    let fields = response.headers_mut();
    fields.insert(ACCESS_CONTROL_ALLOW_METHODS, METHODS);
    fields.insert(ACCESS_CONTROL_MAX_AGE, MAX_AGE_S);
    if let Ok(names) = HeaderValue::try_from(names.join(", ")) {
        fields.insert(ACCESS_CONTROL_ALLOW_HEADERS, names);
    }
    response
}

fn may_be_sent(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    SENT.contains(&name.as_str()) || name.starts_with(MIRRORED)
}

/// Lets scripts of this origin read an answer. Cookies are not used, so the answer has no field about credentials.
pub(super) fn share(origin: HeaderValue, response: &mut Response<Body>) {
    let fields = response.headers_mut();
    fields.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    fields.insert(ACCESS_CONTROL_EXPOSE_HEADERS, READ);
    fields.append(VARY, HeaderValue::from_static("Origin"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_fields_of_mcp_are_allowed() {
        let asked = HeaderValue::from_static(
            "Authorization,mcp-param-Region, x-forwarded-for,mcp-param,cookie, mcp-name",
        );
        let asked = [(ACCESS_CONTROL_REQUEST_HEADERS, asked)].into_iter().collect();
        let answer = preflight(&asked);
        assert_eq!(
            answer.headers().get(ACCESS_CONTROL_ALLOW_HEADERS).unwrap(),
            "Authorization, mcp-param-Region, mcp-name"
        );
    }
}
