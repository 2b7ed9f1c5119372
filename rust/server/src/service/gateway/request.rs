//! A client's request, as its policy sees it.

use callgate_core::Caller;
use callgate_core::grant::Token;
use http::request::Parts;
use http::{HeaderMap, header};

use super::super::http::texts;
use crate::identity::bearer;
use crate::proxy::Attributes;

/// A request but for its body.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asking<'a> {
    pub(super) parts: &'a Parts,
    /// Who calls, where that was made out by more than the fields.
    pub(super) caller: Option<Caller<'a>>,
}

impl<'a> Asking<'a> {
    /// One whose fields say who calls.
    pub(super) const fn of(parts: &'a Parts) -> Self {
        Self { parts, caller: None }
    }

    /// Its fields.
    pub(super) fn fields(self) -> &'a HeaderMap {
        &self.parts.headers
    }

    /// The token that it bears, if it bears one and nothing else.
    pub(super) fn token(self) -> Option<Token<'a>> {
        self.token_text().map(Token::new)
    }

    /// The same as it was sent: a secret.
    pub(super) fn token_text(self) -> Option<&'a str> {
        let mut fields = self.fields().get_all(header::AUTHORIZATION).iter();
        match (fields.next(), fields.next()) {
            (Some(field), None) => bearer::text_of_field(field.to_str().ok()?).ok(),
            _ => None,
        }
    }
}

impl<'a> Attributes<'a> for Asking<'a> {
    fn headers(&self) -> impl Iterator<Item = (&'a str, Option<&'a str>)> {
        texts(&self.parts.headers)
    }

    fn method(&self) -> &'a str {
        self.parts.method.as_str()
    }

    /// Nobody has added anything on the way.
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

    fn host(&self) -> &'a str {
        ""
    }

    fn path(&self) -> &'a str {
        self.parts
            .uri
            .path_and_query()
            .map_or("", |target| target.as_str())
    }
}
