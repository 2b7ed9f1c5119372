//! The header fields that mirror a message: `Mcp-Method`, `Mcp-Name`, `MCP-Protocol-Version`, `Mcp-Param-*`.
//!
//! Since MCP 2026-07-28, clients repeat parts of the body in header fields, so that proxies need not read the body
//! (transport page, "Request Metadata"). A field and the body must agree; otherwise the proxy in front and the server
//! behind it would see different calls. An absent field is not checked here: the body holds everything, and the server
//! reports what it misses.
//!
//! [`Headers::without_body`] serves proxies that pass on no body and returns the message that the fields describe. This
//! relies on the server's own check of the fields, so fields of protocol versions without such a check are not
//! accepted.

mod named;
mod params;
#[cfg(test)]
mod tests;
mod value;

use std::borrow::Cow;

use callgate_core::bindings::FIELD_PREFIX;

use crate::error::{MessageError, Reason};
use crate::message::{Id, Message};
use crate::quoted::Quoted;

pub use named::{FIRST_MIRRORING_VERSION, MessageTarget};
pub use params::param_fields;
pub use value::{field_value, lenient_base64};

/// The fields that may occur once, in lower case as in HTTP/2.
const METHOD: &str = "mcp-method";
const NAME: &str = "mcp-name";
const PROTOCOL_VERSION: &str = "mcp-protocol-version";
const SESSION_ID: &str = "mcp-session-id";
const SINGLE: [&str; 4] = [METHOD, NAME, PROTOCOL_VERSION, SESSION_ID];

/// The header fields of one request that describe its message.
#[derive(Clone, Debug, Default)]
pub struct Headers<'h> {
    method: Option<&'h str>,
    name: Option<value::Decoded<'h>>,
    protocol_version: Option<&'h str>,
    session: Option<&'h str>,
    /// The fields that begin with `Mcp-Param-` or an alias of it, undecoded.
    params: Vec<(&'h str, &'h [u8])>,
}

impl<'h> Headers<'h> {
    /// Picks the fields out of all header fields of a request: names in any case, values undecoded.
    ///
    /// Refuses a field that occurs twice, and a name with `_` or `.` in place of `-`: CGI-like servers take `mcp_name`
    /// for `Mcp-Name`. An empty field counts as present.
    pub fn read(
        fields: impl IntoIterator<Item = (&'h str, &'h [u8])>,
    ) -> Result<Self, MessageError<'static>> {
        let mut headers = Self::default();
        for (name, value) in fields {
            if name.len() < 4 || !is_same(name.get(..3).unwrap_or_default(), "mcp") {
                continue;
            }
            if let Some(single) = SINGLE.into_iter().find(|single| is_same(name, single)) {
                if !name.eq_ignore_ascii_case(single) {
                    let message = format!(
                        "some servers take the field {} for `{single}`; send `{single}`, once",
                        Quoted(name)
                    );
                    return Err(MessageError::new(Reason::HeaderAlias, message));
                }
                headers.take(single, value)?;
            } else if name
                .split_at_checked(FIELD_PREFIX.len())
                .is_some_and(|(prefix, _)| is_same(prefix, FIELD_PREFIX))
            {
                headers.params.push((name, value));
            }
        }
        Ok(headers)
    }

    fn take(&mut self, field: &'static str, value: &'h [u8]) -> Result<(), MessageError<'static>> {
        let is_first = match field {
            METHOD => self.method.replace(value::visible(field, value)?).is_none(),
            NAME => self.name.replace(value::decode(field, value)?).is_none(),
            PROTOCOL_VERSION => self
                .protocol_version
                .replace(value::visible(field, value)?)
                .is_none(),
            _ => self.session.replace(value::visible(field, value)?).is_none(),
        };
        if is_first {
            return Ok(());
        }
        let message = format!("the field `{field}` stands more than once; send it once");
        Err(MessageError::new(Reason::HeaderTwice, message))
    }

    /// `Mcp-Method`.
    pub fn method(&self) -> Option<&'h str> {
        self.method
    }

    /// `Mcp-Name`, decoded if it is base64.
    pub fn name(&self) -> Option<&str> {
        self.name.as_ref().map(|name| name.text.as_ref())
    }

    /// `MCP-Protocol-Version`.
    pub fn protocol_version(&self) -> Option<&'h str> {
        self.protocol_version
    }

    /// `Mcp-Session-Id`, which protocol versions before 2026-07-28 use: the session of a call. `None` if it is empty.
    pub fn session(&self) -> Option<&'h str> {
        self.session.filter(|session| !session.is_empty())
    }

    /// Checks the present fields against the message. [`Self::check_params`] does the same for `Mcp-Param-*`.
    pub fn check<'m>(&self, message: &Message<'m>) -> Result<(), MessageError<'m>> {
        agree(METHOD, self.method, Some(message.method()))
            .and_then(|()| agree(NAME, self.name(), message.name()))
            .and_then(|()| match message.protocol_version() {
                None => Ok(()),
                version => agree(PROTOCOL_VERSION, self.protocol_version, version),
            })
            .map_err(|refusal| refusal.with_id(message.id()))
    }

    /// Checks the present fields against a method and name, for proxies that have read the body and pass on no more of
    /// it.
    pub fn check_named<'m>(
        &self,
        named: MessageTarget<'_>,
        id: Option<Id<'m>>,
    ) -> Result<(), MessageError<'m>> {
        agree(METHOD, self.method, Some(named.method()))
            .and_then(|()| match named.name() {
                // A member that the proxy has not read cannot be compared.
                None => Ok(()),
                name => agree(NAME, self.name(), name),
            })
            .map_err(|refusal| refusal.with_id(id))
    }
}

/// Checks that a field, if present, equals the body's value.
fn agree(field: &str, sent: Option<&str>, said: Option<&str>) -> Result<(), MessageError<'static>> {
    let Some(sent) = sent else { return Ok(()) };
    if said == Some(sent) {
        return Ok(());
    }
    let said: Cow<'_, str> = match said {
        Some(said) => format!("the body {}", Quoted(said)).into(),
        None => "the body says nothing of it".into(),
    };
    let message = format!(
        "the field `{field}` says {}, {said}; send in both what is called",
        Quoted(sent)
    );
    Err(MessageError::new(Reason::HeaderMismatch, message))
}

/// Returns whether a header name equals `known` (in lower case), with `_` and `.` taken for `-`.
fn is_same(name: &str, known: &str) -> bool {
    let normal = name.bytes().map(|byte| match byte {
        b'_' | b'.' => b'-',
        other => other.to_ascii_lowercase(),
    });
    normal.eq(known.bytes())
}
