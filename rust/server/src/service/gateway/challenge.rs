//! What a client is told that has not proven who it is, and what it can look up then.

use http::request::Parts;
use http::{Method, Response, StatusCode, header};
use tonic::body::Body;

use super::super::Doors;
use super::{Gateway, MCP, METADATA, answer};

/// The challenge to a request (RFC 6750 section 3), written where it is needed.
#[derive(Clone, Copy)]
pub(super) struct Challenge<'a> {
    pub(super) doors: &'a Doors,
    pub(super) gateway: &'a Gateway,
    pub(super) parts: &'a Parts,
    pub(super) server: &'a str,
}

impl Challenge<'_> {
    /// The answer to somebody who is not known.
    pub(super) fn unauthorized(&self, body: String) -> Response<Body> {
        let error = if self.parts.headers.contains_key(header::AUTHORIZATION) {
            "error=\"invalid_token\", "
        } else {
            ""
        };
        self.answer(StatusCode::UNAUTHORIZED, error, body)
    }

    /// An answer whose challenge begins with these parameters.
    pub(super) fn answer(&self, status: StatusCode, first: &str, body: String) -> Response<Body> {
        let base = base(self.doors, self.gateway, self.parts);
        let issuer = self.gateway.issuer.as_ref();
        let scopes = issuer.map(|issuer| issuer.config().scopes.join(" "));
        let scopes = scopes.filter(|scopes| !scopes.is_empty());
        let scope = scopes.map_or_else(String::new, |scopes| format!("scope=\"{scopes}\", "));
        let server = self.server;
        let challenge = format!("Bearer {first}{scope}resource_metadata=\"{base}{METADATA}{MCP}{server}\"");
        answer::challenging(status, &challenge, body)
    }
}

/// What protects a server.
pub(super) fn metadata(doors: &Doors, parts: &Parts, resource: &str) -> Response<Body> {
    let gateway = doors.gate.gateway.now();
    match gateway.at(resource) {
        Ok(_) if parts.method == Method::GET => {
            let resource = format!("{}{resource}", base(doors, &gateway, parts));
            answer::metadata(&resource, gateway.issuer.as_deref())
        }
        Ok(_) => answer::refused(StatusCode::METHOD_NOT_ALLOWED, "expected `GET`"),
        Err(reason) => answer::refused(StatusCode::NOT_FOUND, &reason),
    }
}

/// Where clients reach the gateway.
fn base(doors: &Doors, gateway: &Gateway, parts: &Parts) -> String {
    if let Some(url) = &gateway.public_url {
        return url.clone();
    }
    let scheme = doors.access.scheme();
    let target = parts.uri.authority().map(http::uri::Authority::as_str);
    let sent = parts
        .headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok());
    let is_plain = |host: &&str| {
        host.bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte))
    };
    format!(
        "{scheme}://{}",
        target.or(sent).filter(is_plain).unwrap_or("localhost")
    )
}
