//! The gateway's own answers.

use callgate_core::json::{ObjectWriter, ValueWriter};
use callgate_gateway::Failure;
use callgate_gateway::oauth::Issuers;
use callgate_mcp::{Id, reply as mcp};
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::Full;
use tonic::body::Body;

/// Makes an answer with a JSON body that must not be stored: it is valid now and for this caller alone.
pub(super) fn json(status: StatusCode, body: String) -> Response<Body> {
    let mut response = Response::new(Body::new(Full::from(body)));
    *response.status_mut() = status;
    let fields = response.headers_mut();
    fields.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    fields.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Makes an answer without a body.
pub(super) fn empty(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    let no_store = HeaderValue::from_static("no-store");
    response.headers_mut().insert(header::CACHE_CONTROL, no_store);
    response
}

/// Makes the refusal of a request that is not for the gateway.
pub(super) fn refused(status: StatusCode, message: &str) -> Response<Body> {
    json(status, mcp::failed_request(None, code(status), message))
}

/// Returns the code of an error under this status.
pub(super) fn code(status: StatusCode) -> i64 {
    i64::from(status.as_u16())
}

/// Makes an answer with a challenge: the credential that would be accepted.
pub(super) fn challenging(status: StatusCode, challenge: &str, body: String) -> Response<Body> {
    let mut response = json(status, body);
    if let Ok(challenge) = HeaderValue::from_str(challenge) {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
    }
    response
}

/// Makes the answer for a request that the server has not answered: for a call, a tool's result that a model can read.
///
/// The details of the failure are for the operator alone: they may contain addresses and hosts.
pub(super) fn failed(id: Option<Id<'_>>, is_call: bool, failure: &Failure) -> Response<Body> {
    let happened = match failure {
        Failure::Unreachable(_) => "the server cannot be reached, so nothing was done; try again later",
        Failure::Untrusted(_) => {
            "whoever answers there could not prove to be the server, so nothing was done; ask the operator to look at \
             callgate's log"
        }
        Failure::Busy(_) => "too many requests are open at the server, so nothing was done; try again later",
        Failure::GrantBusy(_) => {
            "too many requests of yours are open at the server, so nothing was done; end some of them, or try again later"
        }
        Failure::Broken(_) => {
            "the connection to the server broke, so nobody knows whether this was done; look before you try again"
        }
        Failure::TooSlow(_) => {
            "the server did not answer in time, so nobody knows whether this was done; look before you try again"
        }
        Failure::Unreadable(_) => {
            "the server answered in a form that cannot be passed on, so nobody knows whether this was done; ask the operator to look at callgate's log"
        }
        Failure::OldTransport => {
            "the server speaks a transport of MCP that is not supported here (HTTP+SSE, of 2024-11-05), so nothing was done; \
             ask the operator to connect it by streamable HTTP"
        }
        Failure::Redirected | Failure::Unauthorized(_) => {
            "the server refused the gateway's request; ask the operator to look at callgate's log"
        }
    };
    let status = match failure {
        Failure::Busy(_) | Failure::GrantBusy(_) => StatusCode::SERVICE_UNAVAILABLE,
        Failure::TooSlow(_) => StatusCode::GATEWAY_TIMEOUT,
        _ => StatusCode::BAD_GATEWAY,
    };
    match id {
        Some(id) if is_call => json(StatusCode::OK, mcp::failed_call(id, happened)),
        id => json(status, mcp::failed_request(id, code(status), happened)),
    }
}

/// Makes the list of the issuers that protect a server, for clients that look for it (RFC 9728 section 3.2).
pub(super) fn metadata(resource: &str, issuers: &Issuers) -> Response<Body> {
    let configs = || issuers.iter().map(|issuer| issuer.config());
    let names: Vec<&str> = configs().map(|config| config.issuer.as_str()).collect();
    let mut scopes: Vec<&str> = Vec::new();
    for scope in configs().flat_map(|config| &config.scopes) {
        if !scopes.contains(&scope.as_str()) {
            scopes.push(scope);
        }
    }
    let mut body = String::new();
    ValueWriter::new(&mut body).object(|metadata| {
        metadata.field("resource").text(resource);
        write_texts(metadata, "authorization_servers", &names);
        write_texts(metadata, "scopes_supported", &scopes);
        metadata.field("bearer_methods_supported").texts(["header"]);
    });
    json(StatusCode::OK, body)
}

/// Writes a member that is a list of texts, if there are some.
fn write_texts(object: &mut ObjectWriter<'_>, name: &'static str, texts: &[&str]) {
    if !texts.is_empty() {
        object.field(name).texts(texts.iter().copied());
    }
}
