//! A client's answer to a request of the server.

use callgate_core::json::{Kind, Tape};

use super::envelope::Envelope;
use super::{Id, MAX_MESSAGE_DEPTH, invalid};
use crate::error::{MessageError, Reason};
use crate::keys::look_alike;

const MEMBERS: [&str; 6] = ["jsonrpc", "id", "method", "params", "result", "error"];

/// A response that no reader takes for a call. Before 2026-07-28, servers ask clients for samples, input and roots, and
/// clients answer with such a message.
#[derive(Clone, Copy, Debug)]
pub struct Answer<'m> {
    /// The id of the server's request.
    pub id: Id<'m>,
}

impl<'m> Answer<'m> {
    /// Reads a whole body as one response, as strictly as [`super::Message::parse`] reads requests: with an id, either
    /// a result or an error, and no member of a request.
    ///
    /// ```
    /// use callgate_core::json::Tape;
    /// use callgate_mcp::Answer;
    ///
    /// let mut tape = Tape::new();
    /// assert!(Answer::parse(&mut tape, br#"{"jsonrpc":"2.0","id":1,"result":{"action":"accept"}}"#).is_ok());
    /// assert!(Answer::parse(&mut tape, br#"{"jsonrpc":"2.0","id":1,"result":{},"method":"tools/call"}"#).is_err());
    /// ```
    pub fn parse(tape: &'m mut Tape, body: &'m [u8]) -> Result<Self, MessageError<'m>> {
        let refused = |message: &'static str| MessageError::new(Reason::Response, message);
        invalid::check_bytes(body)?;
        let root = tape
            .parse(body, MAX_MESSAGE_DEPTH)
            .map_err(|error| invalid::from_json_error(&error))?;
        if root.kind() != Kind::Object {
            return Err(refused("the body is no response; expected an object"));
        }
        let (mut version, mut id, mut given) = (None, None, 0);
        for (key, value) in root.members() {
            match key {
                "jsonrpc" => version = value.as_str(),
                "id" => id = Some(Envelope::id(value)?),
                "result" | "error" if value.kind() == Kind::Object => given += 1,
                key if MEMBERS.contains(&key) || look_alike(key, &MEMBERS).is_some() => {
                    return Err(refused(
                        "the response has a member of a request, or a `result` or `error` that is no object; send a \
                         response alone",
                    ));
                }
                // A reader finds no call in a member that is not part of one.
                _ => {}
            }
        }
        match (version, id, given) {
            (Some("2.0"), Some(id), 1) => Ok(Self { id }),
            _ => Err(refused(
                "a response has `jsonrpc`, an `id`, and either `result` or `error`",
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn responses_are_told_from_everything_else() {
        let accepted = |body: &str| Answer::parse(&mut Tape::new(), body.as_bytes()).is_ok();
        for body in [
            r#"{"jsonrpc":"2.0","id":1,"result":{}}"#,
            r#"{"jsonrpc":"2.0","id":"a","error":{"code":-1,"message":"no"}}"#,
            r#"{"jsonrpc":"2.0","id":1,"result":{"method":"tools/call"},"x":1}"#,
        ] {
            assert!(accepted(body), "{body}");
        }
        for body in [
            "",
            "[]",
            "{",
            r#"{"jsonrpc":"2.0","id":1}"#,
            r#"{"jsonrpc":"2.0","result":{}}"#,
            r#"{"jsonrpc":"2.0","id":null,"result":{}}"#,
            r#"{"jsonrpc":"1.0","id":1,"result":{}}"#,
            r#"{"jsonrpc":"2.0","id":1,"result":{},"error":{}}"#,
            r#"{"jsonrpc":"2.0","id":1,"result":[]}"#,
            r#"{"jsonrpc":"2.0","id":1,"result":{},"method":"tools/call"}"#,
            r#"{"jsonrpc":"2.0","id":1,"result":{},"Method":"tools/call"}"#,
            r#"{"jsonrpc":"2.0","id":1,"result":{},"params":{}}"#,
            r#"{"jsonrpc":"2.0","id":1,"id":2,"result":{}}"#,
            r#"[{"jsonrpc":"2.0","id":1,"result":{}}]"#,
        ] {
            assert!(!accepted(body), "{body}");
        }
    }
}
