//! A client's request, as its policy sees it.

use callgate_core::Caller;
use http::request::Parts;
use http::{HeaderValue, header};

use crate::doors::http::texts;
use crate::identity::bearer;
use crate::in_force::plain;
use crate::proxy::{Attributes, Found, Singles, single};

/// A request but for its body.
#[derive(Debug)]
pub(super) struct ClientRequest<'a> {
    parts: &'a Parts,
    /// The server that its path names.
    server: &'a str,
    /// The caller, if more than the fields identified it.
    caller: Option<Caller<'a>>,
    singles: Singles<'a>,
}

impl<'a> ClientRequest<'a> {
    pub(super) fn new(parts: &'a Parts, server: &'a str, caller: Option<Caller<'a>>) -> Self {
        Self {
            parts,
            server,
            caller,
            singles: Singles::of(texts(&parts.headers)),
        }
    }
}

/// The token that a request bears, if it bears one and nothing else: a secret.
pub(super) fn token(parts: &Parts) -> Option<&str> {
    let mut fields = parts.headers.get_all(header::AUTHORIZATION).iter();
    match (fields.next(), fields.next()) {
        (Some(field), None) => token_of(field),
        _ => None,
    }
}

/// The token that a field bears.
pub(super) fn token_of(field: &HeaderValue) -> Option<&str> {
    bearer::text_of_field(field.to_str().ok()?).ok()
}

impl<'a> Attributes<'a> for ClientRequest<'a> {
    fn headers(&self) -> impl Iterator<Item = (&'a str, Option<&'a str>)> {
        texts(&self.parts.headers)
    }

    fn method(&self) -> &'a str {
        self.parts.method.as_str()
    }

    /// Returns `None`: no proxy before the gateway adds extensions.
    fn extension(&self, _name: &str) -> Option<&'a str> {
        None
    }

    fn metadata(&self, _namespace: &str, _path: &[String]) -> Option<&'a str> {
        None
    }

    fn principal(&self) -> Option<&'a str> {
        None
    }

    fn caller(&self) -> Option<Caller<'a>> {
        self.caller
    }

    fn upstream(&self) -> Option<&'a str> {
        Some(self.server)
    }

    fn header(&self, name: &str) -> Found<'a> {
        self.singles
            .get(name)
            .unwrap_or_else(|| single(self.headers(), name))
    }

    fn host(&self) -> &'a str {
        ""
    }

    fn path(&self) -> &'a str {
        // A query is refused before.
        plain(self.parts.uri.path())
    }
}
