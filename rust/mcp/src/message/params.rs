//! The members of `params` that name the object of a message.

use callgate_core::json::Value;

use super::TOOLS_CALL;
use super::invalid::{object, string, wrong_type};
use crate::error::{MessageError, Reason};
use crate::keys::look_alike;
use crate::trace::TraceContext;

/// Members that some method is judged by. A message with one of them in another case is refused. `cursor` tells the
/// pages of a list apart: a server that accepts it in another case would return the last page where callgate sees the
/// first.
const MEMBERS: [&str; 6] = ["name", "arguments", "uri", "taskId", "_meta", "cursor"];

/// Members of a tool call that say how it is made, and not what it does. Any other one may change the call.
const ABOUT_THE_REQUEST: [&str; 2] = ["_meta", "task"];

/// The key of the protocol version in `_meta` since 2026-07-28.
const PROTOCOL_VERSION: &str = "io.modelcontextprotocol/protocolVersion";

/// The judged members of a message's `params`.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Params<'m> {
    name: Option<Value<'m>>,
    arguments: Option<Value<'m>>,
    uri: Option<Value<'m>>,
    task_id: Option<Value<'m>>,
    /// The first member that is neither a tool's name nor its arguments, and may change a call.
    pub(super) unseen: Option<&'m str>,
    pub(super) protocol_version: Option<&'m str>,
    pub(super) trace: Option<TraceContext<'m>>,
}

impl<'m> Params<'m> {
    /// Reads `params`, an object.
    pub(super) fn read(params: Value<'m>) -> Result<Self, MessageError<'static>> {
        let mut read = Self::default();
        for (key, value) in params.members() {
            if !matches!(key, "name" | "arguments") && !ABOUT_THE_REQUEST.contains(&key) {
                read.unseen.get_or_insert(key);
            }
            match key {
                "name" => read.name = Some(value),
                "arguments" => read.arguments = Some(value),
                "uri" => read.uri = Some(value),
                "taskId" => read.task_id = Some(value),
                "_meta" => {
                    read.protocol_version = protocol_version(value)?;
                    read.trace = TraceContext::of_meta(value);
                }
                key => {
                    if let Some(known) = look_alike(key, &MEMBERS) {
                        let message = format!(
                            "a key of `params` differs from `{known}` by case alone; write it as `{known}`, once"
                        );
                        return Err(MessageError::new(Reason::KeyCase, message));
                    }
                }
            }
        }
        Ok(read)
    }

    /// The value that `Mcp-Name` mirrors for a method other than a tool call; `None` if it is not a string.
    pub(super) fn name_for(&self, method: &str) -> Option<&'m str> {
        let value = match method {
            "prompts/get" => self.name,
            "resources/read" | "resources/subscribe" | "resources/unsubscribe" => self.uri,
            // The extension `io.modelcontextprotocol/tasks` mirrors the task's id.
            _ if method.starts_with("tasks/") => self.task_id,
            _ => self.name.or(self.uri),
        };
        value.and_then(Value::as_str)
    }

    /// The name of the called tool.
    pub(super) fn tool(&self) -> Result<&'m str, MessageError<'static>> {
        let Some(name) = self.name else {
            let message =
                format!("`params.name` is missing; expected the name of the tool that `{TOOLS_CALL}` calls");
            return Err(MessageError::new(Reason::Tool, message));
        };
        let name = string(Reason::Tool, "params.name", name)?;
        match tool_fault(name) {
            Some(message) => Err(MessageError::new(Reason::Tool, message)),
            None => Ok(name),
        }
    }

    /// The arguments, an object; a call may have none.
    pub(super) fn args(&self) -> Result<Option<Value<'m>>, MessageError<'static>> {
        self.arguments
            .map(|arguments| object(Reason::Arguments, "params.arguments", arguments))
            .transpose()
    }
}

/// The fault of a text that is not a tool's name, if it has one.
pub(crate) fn tool_fault(name: &str) -> Option<&'static str> {
    if name.is_empty() {
        return Some("the tool name is empty; name the tool to be called");
    }
    name.contains('\0')
        .then_some("the tool name holds NUL; names are text without NUL")
}

/// The version in `_meta`. Refuses one that is not a string, because headers are checked against it.
fn protocol_version(meta: Value<'_>) -> Result<Option<&str>, MessageError<'static>> {
    let Some(version) = meta.get(PROTOCOL_VERSION) else {
        return Ok(None);
    };
    version.as_str().map(Some).ok_or_else(|| {
        wrong_type(
            Reason::Params,
            "params._meta[\"io.modelcontextprotocol/protocolVersion\"]",
            "a string",
            version,
        )
    })
}
