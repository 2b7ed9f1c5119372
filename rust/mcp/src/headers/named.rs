//! A message known by its header fields alone, without a body.

use callgate_core::json::{Tape, Value};

use super::value::Form;
use super::{Headers, METHOD, NAME, PROTOCOL_VERSION};
use crate::error::{MessageError, Reason};
use crate::message::{Id, Message, TOOLS_CALL, method_fault, tool_fault};

/// The first protocol version whose servers must refuse a body that differs from its fields.
pub const FIRST_MIRRORING_VERSION: &str = "2026-07-28";

/// A message described by its header fields alone: without id and arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageTarget<'h> {
    /// A call of the tool of this name.
    Call(&'h str),
    /// Any other request or notification.
    Other {
        /// The method.
        method: &'h str,
        /// The name of its object, if a field gives one: a prompt's name, a resource's URI, a task's id.
        name: Option<&'h str>,
    },
}

impl<'h> MessageTarget<'h> {
    /// The method.
    pub const fn method(self) -> &'h str {
        match self {
            Self::Call(_) => TOOLS_CALL,
            Self::Other { method, .. } => method,
        }
    }

    /// The name of the tool, prompt, resource or task, if it is known.
    pub const fn name(self) -> Option<&'h str> {
        match self {
            Self::Call(tool) => Some(tool),
            Self::Other { name, .. } => name,
        }
    }

    /// Checks what a proxy has read of a body (and the id, if the proxy knows it) against the message in the body.
    pub fn check<'m>(self, message: &Message<'m>, id: Option<Id<'_>>) -> Result<(), MessageError<'m>> {
        let same_name = self.name().is_none_or(|name| message.name() == Some(name));
        let same_id = id.is_none_or(|id| message.id().is_some_and(|other| is_same(id, other)));
        if self.method() == message.method() && same_name && same_id {
            return Ok(());
        }
        let reason = "the proxy has read another message than the body holds; let it read the whole body, and refuse \
                      duplicate keys";
        Err(MessageError::new(Reason::HeaderMismatch, reason).with_id(message.id()))
    }
}

/// Returns whether two ids are equal after their JSON escapes are resolved.
fn is_same(one: Id<'_>, other: Id<'_>) -> bool {
    let (mut one_tape, mut other_tape) = (Tape::new(), Tape::new());
    let text = |value: Value<'_>| value.as_str().map(str::to_owned);
    let one_text = one_tape.parse(one.json().as_bytes(), 1).ok().and_then(text);
    let other_text = other_tape.parse(other.json().as_bytes(), 1).ok().and_then(text);
    one == other || one_text.is_some() && one_text == other_text
}

impl Headers<'_> {
    /// The message that the fields describe, for proxies that pass on no body.
    ///
    /// There is no body to compare the fields with. They are therefore accepted only for [`FIRST_MIRRORING_VERSION`]
    /// and later, whose servers must compare them. Two kinds of names are refused unless they are base64: a name with a
    /// comma, which may be two fields that a proxy has joined, and a name that is almost base64, which a server may
    /// decode to another name.
    pub fn without_body(&self) -> Result<MessageTarget<'_>, MessageError<'static>> {
        let version = self.protocol_version.ok_or_else(|| missing(PROTOCOL_VERSION))?;
        if !mirrors(version) {
            let message = format!(
                "without a body the header fields alone say what is called, and they are checked from \
                 {FIRST_MIRRORING_VERSION} on; send `{PROTOCOL_VERSION}: {FIRST_MIRRORING_VERSION}` or have the proxy \
                 forward the body"
            );
            return Err(MessageError::new(Reason::HeaderVersion, message));
        }
        let method = self.method.ok_or_else(|| missing(METHOD))?;
        if let Some(message) = method_fault(method) {
            return Err(MessageError::new(Reason::Method, message));
        }
        if method != TOOLS_CALL {
            let name = self.name();
            return Ok(MessageTarget::Other { method, name });
        }
        let name = self.name.as_ref().ok_or_else(|| missing(NAME))?;
        if let Some(message) = tool_fault(&name.text) {
            return Err(MessageError::new(Reason::Tool, message));
        }
        if name.form == Form::Lookalike {
            let message = format!(
                "the field `{NAME}` is text that some servers take for base64; send the name as `=?base64?...?=`"
            );
            return Err(MessageError::new(Reason::HeaderValue, message));
        }
        if name.form == Form::Plain && name.text.contains(',') {
            let message = format!(
                "the field `{NAME}` holds a comma and may be two fields in one; send the name as `=?base64?...?=`"
            );
            return Err(MessageError::new(Reason::HeaderTwice, message));
        }
        Ok(MessageTarget::Call(&name.text))
    }
}

fn missing(field: &str) -> MessageError<'static> {
    let message = format!(
        "the field `{field}` is missing; without a body it is needed: send it, or have the proxy forward the body"
    );
    MessageError::new(Reason::HeaderMissing, message)
}

/// Returns whether a version is a date, and not before the first version that mirrors. Dates of this form sort as text.
fn mirrors(version: &str) -> bool {
    let is_date = version.len() == FIRST_MIRRORING_VERSION.len()
        && version
            .bytes()
            .zip(FIRST_MIRRORING_VERSION.bytes())
            .all(|(byte, model)| {
                if model == b'-' {
                    byte == b'-'
                } else {
                    byte.is_ascii_digit()
                }
            });
    is_date && version >= FIRST_MIRRORING_VERSION
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_read_of_a_body_is_held_against_it() {
        let body = br#"{"jsonrpc":"2.0","id":"a\u0062","method":"tools/call","params":{"name":"open"}}"#;
        let mut tape = Tape::new();
        let message = Message::parse(&mut tape, body).expect("a call");
        let id = |text| Id::from_json(text);
        assert!(MessageTarget::Call("open").check(&message, None).is_ok());
        assert!(MessageTarget::Call("open").check(&message, id("\"ab\"")).is_ok());
        assert!(MessageTarget::Call("open").check(&message, id("\"a\"")).is_err());
        assert!(MessageTarget::Call("open").check(&message, id("7")).is_err());
        assert!(MessageTarget::Call("Open").check(&message, None).is_err());
        let other = MessageTarget::Other {
            method: "ping",
            name: None,
        };
        assert!(other.check(&message, None).is_err());

        let fields = [("mcp-method", &b"tools/call"[..]), ("mcp-name", b"open")];
        let headers = Headers::read(fields).expect("fields");
        assert!(headers.check_named(MessageTarget::Call("open"), None).is_ok());
        let refusal = headers
            .check_named(MessageTarget::Call("shut"), id("7"))
            .expect_err("another tool");
        assert_eq!((refusal.reason, refusal.id), (Reason::HeaderMismatch, id("7")));
        assert!(headers.check_named(other, None).is_err());
    }

    #[test]
    fn ids_are_strings_and_integers() {
        for (text, is_id) in [
            ("7", true),
            ("-7", true),
            ("\"a\"", true),
            ("1.0", false),
            ("null", false),
            ("", false),
            ("7 8", false),
        ] {
            assert_eq!(Id::from_json(text).is_some(), is_id, "{text}");
        }
    }

    #[test]
    fn versions_are_dates() {
        for version in ["2026-07-28", "2026-12-01", "2031-01-01"] {
            assert!(mirrors(version), "{version}");
        }
        for version in [
            "",
            "2025-11-25",
            "2026-07-27",
            "DRAFT-2026-v1",
            "9",
            "2026-07-28x",
            "2026/07/28",
            "zzzz-zz-zz",
        ] {
            assert!(!mirrors(version), "{version}");
        }
    }
}
