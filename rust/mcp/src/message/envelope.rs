//! The members of a message itself: `jsonrpc`, `id`, `method`, `params`.

use callgate_core::json::{Kind, Value};

use super::invalid::{self, string, wrong_type};
use super::{Id, TOOLS_CALL};
use crate::error::{MessageError, Reason};
use crate::keys::{look_alike, same_but_for_case};
use crate::quoted::Quoted;

/// The members of requests, and of responses.
const MEMBERS: [&str; 6] = ["jsonrpc", "id", "method", "params", "result", "error"];

/// The prefix of a notification's method; no request's method has it.
const NOTIFICATION: &str = "notifications/";

/// The members of one message.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Envelope<'m> {
    pub(super) id: Option<Id<'m>>,
    method: Option<Value<'m>>,
    /// An object, if present.
    pub(super) params: Option<Value<'m>>,
}

impl<'m> Envelope<'m> {
    /// Reads the root of a body. Refusals carry the id as soon as it is read and valid.
    pub(super) fn read(root: Value<'m>) -> Result<Self, MessageError<'m>> {
        match root.kind() {
            Kind::Object => {}
            Kind::Array => {
                let message = "the body is a batch; send each JSON-RPC message by itself";
                return Err(MessageError::new(Reason::Batch, message));
            }
            other => {
                let message = format!(
                    "the body is a JSON {}; expected one JSON-RPC message, an object",
                    other.as_str()
                );
                return Err(MessageError::new(Reason::NotAnObject, message));
            }
        }
        let (mut version, mut id, mut method, mut params) = (None, None, None, None);
        // It is enough to name the first of each kind.
        let (mut answers, mut foreign, mut alike) = (false, None, None);
        for (key, value) in root.members() {
            match key {
                "jsonrpc" => version = Some(value),
                "id" => id = Some(value),
                "method" => method = Some(value),
                "params" => params = Some(value),
                "result" | "error" => answers = true,
                key => {
                    foreign = foreign.or(Some(key));
                    alike = alike.or_else(|| look_alike(key, &MEMBERS));
                }
            }
        }
        if let Some(known) = alike {
            let message = format!("a key differs from `{known}` by case alone; write it as `{known}`, once");
            return Err(MessageError::new(Reason::KeyCase, message));
        }
        if answers {
            let message =
                "the body is a response or has a member of one; expected a request or a notification alone";
            return Err(MessageError::new(Reason::Response, message));
        }
        let id = id.map(Self::id).transpose()?;
        let judged = (|| {
            if let Some(key) = foreign {
                let message = format!(
                    "unknown member {}; a JSON-RPC request has `jsonrpc`, `id`, `method` and `params`",
                    Quoted(key)
                );
                return Err(MessageError::new(Reason::UnknownKey, message));
            }
            if version.and_then(Value::as_str) != Some("2.0") {
                let message = "`jsonrpc` is missing or not `\"2.0\"`; MCP messages are JSON-RPC 2.0";
                return Err(MessageError::new(Reason::JsonRpc, message));
            }
            params
                .map(|params| invalid::object(Reason::Params, "params", params))
                .transpose()
        })();
        let params = judged.map_err(|refusal| refusal.with_id(id))?;
        Ok(Self { id, method, params })
    }

    pub(super) fn id(value: Value<'m>) -> Result<Id<'m>, MessageError<'static>> {
        let expected = "a string or an integer";
        match value.kind() {
            Kind::String => Ok(Id(value.raw())),
            // `1.0` and `1e0` are integers to some readers and doubles to others, which would answer under another id.
            Kind::Number
                if value
                    .raw()
                    .bytes()
                    .all(|byte| byte == b'-' || byte.is_ascii_digit()) =>
            {
                Ok(Id(value.raw()))
            }
            Kind::Number => {
                let message =
                    format!("`id` has the wrong type: expected {expected} without fraction or exponent");
                Err(MessageError::new(Reason::Id, message))
            }
            _ => Err(wrong_type(Reason::Id, "id", expected, value)),
        }
    }

    /// The method, checked against the message's shape: request or notification.
    pub(super) fn method(&self) -> Result<&'m str, MessageError<'static>> {
        let Some(method) = self.method else {
            let message = "`method` is missing; expected a string such as `tools/call`";
            return Err(MessageError::new(Reason::Method, message));
        };
        let method = string(Reason::Method, "method", method)?;
        if let Some(message) = method_fault(method) {
            return Err(MessageError::new(Reason::Method, message));
        }
        if self.id.is_some() && method.starts_with(NOTIFICATION) {
            let message = format!(
                "{} is a notification and has an `id`; send it without one",
                Quoted(method)
            );
            return Err(MessageError::new(Reason::Id, message));
        }
        Ok(method)
    }
}

/// The fault of a text that is not a method the rules can match, if it has one.
pub(crate) fn method_fault(method: &str) -> Option<&'static str> {
    if method == TOOLS_CALL {
        return None;
    }
    if method.is_empty() {
        return Some("the method is empty; expected a name such as `tools/call`");
    }
    // A server that trims or folds its input would run a tool that was never judged.
    let trimmed = method.trim_matches(|character: char| character.is_whitespace() || character.is_control());
    if same_but_for_case(trimmed, TOOLS_CALL) {
        return Some("the method is nearly `tools/call`; write it exactly so");
    }
    method
        .chars()
        .any(char::is_control)
        .then_some("the method holds a control character; names of methods are plain text")
}
