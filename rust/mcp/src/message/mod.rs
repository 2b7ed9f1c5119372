//! One JSON-RPC 2.0 message as MCP defines it.
//!
//! An accepted message means the same to every JSON reader. Refused is any message that two readers could understand
//! differently, or that clients never send. A message has the members `jsonrpc`, `id`, `method` and `params` and no
//! others: JSON-RPC defines no others, servers with strict schemas refuse them, and no rule could judge them. The
//! members of `params` are up to the method (`_meta` and whatever later revisions add). Only those that name the called
//! object must be spelled exactly.

mod answer;
mod envelope;
mod invalid;
mod params;
mod parts;
#[cfg(test)]
mod tests;

use std::fmt;

use callgate_core::json::{Tape, Value};
use callgate_core::request::MAX_ARGS_DEPTH;

use crate::error::{MessageError, Reason};
use crate::trace::TraceContext;
pub use answer::Answer;
use envelope::Envelope;
pub(crate) use envelope::method_fault;
use params::Params;
pub(crate) use params::tool_fault;
pub use parts::Parts;

/// The method that calls a tool.
pub const TOOLS_CALL: &str = "tools/call";

/// The deepest nesting of a message: its arguments with [`MAX_ARGS_DEPTH`] levels, inside `params`, inside the message.
pub const MAX_MESSAGE_DEPTH: usize = MAX_ARGS_DEPTH + 2;

/// A message that can be judged.
#[derive(Clone, Copy, Debug)]
pub enum Message<'m> {
    /// A `tools/call`, judged by the policy.
    Call(ToolCall<'m>),
    /// Any other request or notification, judged by [`crate::Methods`].
    Other(Other<'m>),
}

/// A request's id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Id<'m>(&'m str);

impl<'m> Id<'m> {
    /// The id's JSON text in the message: a string or an integer.
    pub const fn json(self) -> &'m str {
        self.0
    }

    /// An id from its JSON text, a string or an integer, that was read elsewhere.
    pub fn from_json(text: &'m str) -> Option<Self> {
        let mut tape = Tape::new();
        let value = tape.parse(text.as_bytes(), 1).ok()?;
        Envelope::id(value).ok()?;
        Some(Self(text))
    }
}

impl fmt::Display for Id<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// A call of a tool.
#[derive(Clone, Copy, Debug)]
pub struct ToolCall<'m> {
    /// The request's id.
    pub id: Id<'m>,
    /// The tool's name, not empty, without NUL.
    pub tool: &'m str,
    /// The arguments: an object, or `None` if the call has none.
    pub args: Option<Value<'m>>,
    /// The first member of `params` beside them that may change the call: any but `_meta` and `task`.
    pub unseen_member: Option<&'m str>,
    /// The protocol version in `_meta` (2026-07-28 and later).
    pub protocol_version: Option<&'m str>,
    /// The trace context in `_meta`.
    pub trace: Option<TraceContext<'m>>,
}

impl<'m> ToolCall<'m> {
    /// The JSON text of the arguments in the message, empty if the call has none, for
    /// [`callgate_core::Request::args_json`].
    pub fn args_json(&self) -> &'m [u8] {
        self.args.map_or(b"", |args| args.raw().as_bytes())
    }
}

/// A request or notification other than a tool call.
#[derive(Clone, Copy, Debug)]
pub struct Other<'m> {
    /// A request's id; `None` for a notification.
    pub id: Option<Id<'m>>,
    /// The method, not empty, without control characters.
    pub method: &'m str,
    /// The name of its object, which `Mcp-Name` mirrors: a prompt's name, a resource's URI, a task's id.
    pub name: Option<&'m str>,
    /// The protocol version in `_meta` (2026-07-28 and later).
    pub protocol_version: Option<&'m str>,
    /// The trace context in `_meta`.
    pub trace: Option<TraceContext<'m>>,
}

impl<'m> Message<'m> {
    /// Reads a whole body as one message. `tape` is a buffer that can be used again for the next body.
    ///
    /// Takes time linear in the length of `body` (see [`Tape::parse`]) and copies nothing.
    ///
    /// ```
    /// use callgate_core::json::Tape;
    /// use callgate_mcp::Message;
    ///
    /// let body = br#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"drop","arguments":{"a":1}}}"#;
    /// let mut tape = Tape::new();
    /// let Ok(Message::Call(call)) = Message::parse(&mut tape, body) else { panic!("a call") };
    /// assert_eq!((call.id.json(), call.tool, call.args_json()), ("1", "drop", br#"{"a":1}"#.as_slice()));
    /// ```
    pub fn parse(tape: &'m mut Tape, body: &'m [u8]) -> Result<Self, MessageError<'m>> {
        invalid::check_bytes(body)?;
        let root = tape
            .parse(body, MAX_MESSAGE_DEPTH)
            .map_err(|error| invalid::from_json_error(&error))?;
        let envelope = Envelope::read(root)?;
        envelope.message().map_err(|refusal| refusal.with_id(envelope.id))
    }

    /// The request's id; `None` for a notification.
    pub fn id(&self) -> Option<Id<'m>> {
        match self {
            Self::Call(call) => Some(call.id),
            Self::Other(other) => other.id,
        }
    }

    /// The method.
    pub fn method(&self) -> &'m str {
        match self {
            Self::Call(_) => TOOLS_CALL,
            Self::Other(other) => other.method,
        }
    }

    /// The name of its object, which `Mcp-Name` mirrors: a tool's or prompt's name, a resource's URI, a task's id.
    pub fn name(&self) -> Option<&'m str> {
        match self {
            Self::Call(call) => Some(call.tool),
            Self::Other(other) => other.name,
        }
    }

    /// The protocol version in `_meta` (2026-07-28 and later).
    pub fn protocol_version(&self) -> Option<&'m str> {
        match self {
            Self::Call(call) => call.protocol_version,
            Self::Other(other) => other.protocol_version,
        }
    }

    /// The trace context in `_meta`.
    pub fn trace(&self) -> Option<TraceContext<'m>> {
        match self {
            Self::Call(call) => call.trace,
            Self::Other(other) => other.trace,
        }
    }
}

impl<'m> Envelope<'m> {
    /// The message, once its envelope is valid.
    fn message(&self) -> Result<Message<'m>, MessageError<'m>> {
        let method = self.method()?;
        let params = self.params.map(Params::read).transpose()?.unwrap_or_default();
        if method != TOOLS_CALL {
            return Ok(Message::Other(Other {
                id: self.id,
                method,
                name: params.name_for(method),
                protocol_version: params.protocol_version,
                trace: params.trace,
            }));
        }
        let id = self.id.ok_or_else(|| {
            let message =
                "a `tools/call` without an `id` cannot be answered; send it as a request, with an `id`";
            MessageError::new(Reason::NoId, message)
        })?;
        Ok(Message::Call(ToolCall {
            id,
            tool: params.tool()?,
            args: params.args()?,
            unseen_member: params.unseen,
            protocol_version: params.protocol_version,
            trace: params.trace,
        }))
    }
}
