//! The 401 challenge for an unauthenticated client, and the metadata that it names.

use callgate_gateway::oauth::Issuer;
use http::request::Parts;
use http::{Method, Response, StatusCode, header};
use tonic::body::Body;

use super::caller::ProvenCaller;
use super::{METADATA, answer};
use crate::doors::http::HttpContext;
use crate::in_force::{Configuration, Gateway, MCP, plain};

/// The challenge to a request (RFC 6750 section 3), written where it is needed.
#[derive(Clone, Copy)]
pub(super) struct Challenge<'a> {
    pub(super) context: &'a HttpContext,
    pub(super) configuration: &'a Configuration,
    pub(super) parts: &'a Parts,
    pub(super) server: &'a str,
}

impl Challenge<'_> {
    /// The servers behind the gateway.
    pub(super) fn gateway(&self) -> &Gateway {
        &self.configuration.parts.gateway
    }

    /// Makes the answer to an unknown caller.
    pub(super) fn unauthorized(&self, body: String) -> Response<Body> {
        let error = if self.parts.headers.contains_key(header::AUTHORIZATION) {
            "error=\"invalid_token\", "
        } else {
            ""
        };
        self.answer(StatusCode::UNAUTHORIZED, error, None, body)
    }

    /// An answer whose challenge begins with these parameters, and names what this issuer's tokens need.
    pub(super) fn answer(
        &self,
        status: StatusCode,
        first: &str,
        issuer: Option<&Issuer>,
        body: String,
    ) -> Response<Body> {
        let base = base(self.context, self.gateway(), self.parts);
        let scopes = issuer.map_or_else(
            || self.common_scopes(),
            |issuer| issuer.config().scopes.as_slice(),
        );
        let scope = if scopes.is_empty() {
            String::new()
        } else {
            format!("scope=\"{}\", ", scopes.join(" "))
        };
        let server = self.server;
        let challenge = format!("Bearer {first}{scope}resource_metadata=\"{base}{METADATA}{MCP}{server}\"");
        answer::challenging(status, &challenge, body)
    }

    /// The scopes that a token needs, whichever issuer it is of; none where that differs.
    fn common_scopes(&self) -> &[String] {
        let mut scopes = self
            .gateway()
            .issuers
            .iter()
            .map(|issuer| issuer.config().scopes.as_slice());
        let first = scopes.next().unwrap_or_default();
        if scopes.all(|other| other == first) {
            first
        } else {
            &[]
        }
    }
}

/// The metadata of a protected server.
pub(super) fn metadata(context: &HttpContext, parts: &Parts, resource: &str) -> Response<Body> {
    let configuration = context.gate.configuration();
    let gateway = &configuration.parts.gateway;
    match gateway.at(resource) {
        Ok(_) if !ProvenCaller::is_asked_for(&configuration) => {
            // Clients that find metadata begin to log in.
            answer::refused(
                StatusCode::NOT_FOUND,
                "nothing protects this server; send requests without a token",
            )
        }
        Ok(_) if parts.method == Method::GET => {
            let resource = format!("{}{}", base(context, gateway, parts), plain(resource));
            answer::metadata(&resource, &gateway.issuers)
        }
        Ok(_) => answer::refused(StatusCode::METHOD_NOT_ALLOWED, "expected `GET`"),
        Err(reason) => answer::refused(StatusCode::NOT_FOUND, &reason),
    }
}

/// The address at which clients reach the gateway.
fn base(context: &HttpContext, gateway: &Gateway, parts: &Parts) -> String {
    if let Some(url) = &gateway.public_url {
        return url.clone();
    }
    let scheme = context.access.scheme();
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
