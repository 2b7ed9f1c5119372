//! Asking the server for its tools, where it refuses a call for the fields that mirror its arguments.
//!
//! The client over pipes knows of no fields. It may have its list from before this process was started, or the server has
//! another one by now.

use bytes::Bytes;
use callgate_core::json::{Tape, Value, ValueWriter};
use callgate_mcp::Message;
use callgate_mcp::list::MAX_ANSWER_DEPTH;
use callgate_mcp::message::MAX_MESSAGE_DEPTH;
use tokio::io::AsyncWrite;

use super::bridge::Bridge;
use super::fields;
use super::tools::LIST_LIMIT_BYTES;
use crate::id::RequestId;

/// Pages that are asked for until the tool is found.
const MOST_PAGES: usize = 64;

/// The members of `_meta` that describe the client, in every request since MCP 2026-07-28. All others belong to one call.
const OF_EVERY_REQUEST: [&str; 3] = [
    "io.modelcontextprotocol/protocolVersion",
    "io.modelcontextprotocol/clientInfo",
    "io.modelcontextprotocol/clientCapabilities",
];

/// The id of these requests, in no session and under no other request's number.
const ID: &str = "callgate-list";

impl<O: AsyncWrite + Unpin> Bridge<O> {
    /// Asks for the server's list, as the client of this call would, until it has named the tool.
    pub(super) async fn relist(&self, call: &[u8], tool: &str) {
        let id = RequestId::Text(ID.to_owned());
        let mut cursor = None;
        for _ in 0..MOST_PAGES {
            let Some(line) = request(call, cursor.as_deref()) else {
                return;
            };
            let mut tape = Tape::new();
            let Ok(message) = Message::parse(&mut tape, line.as_bytes()) else {
                return;
            };
            let fields = fields::of_message(&self.session(), Some(&message), None);
            let line = Bytes::from(line.clone());
            let Some(told) = self.ask(fields, line, Some(&id), LIST_LIMIT_BYTES).await else {
                return;
            };
            let learned = self.tools().learn(&told.message);
            cursor = learned.and_then(|learned| learned.next_cursor);
            if cursor.is_none() || names(&told.message, tool) {
                return;
            }
        }
    }
}

/// A request for a page of the list, with what this call says of its client.
fn request(call: &[u8], cursor: Option<&str>) -> Option<String> {
    let mut tape = Tape::new();
    let call = tape.parse(call, MAX_MESSAGE_DEPTH).ok()?;
    let meta = call.get("params")?.get("_meta")?;
    let mut line = String::new();
    ValueWriter::new(&mut line).object(|request| {
        request.field("jsonrpc").text("2.0");
        request.field("id").text(ID);
        request.field("method").text("tools/list");
        request.field("params").object(|params| {
            if let Some(cursor) = cursor {
                params.field("cursor").text(cursor);
            }
            params.field("_meta").object(|sent| {
                for key in OF_EVERY_REQUEST {
                    if let Some(value) = meta.get(key) {
                        sent.field(key).json(value.raw());
                    }
                }
            });
        });
    });
    Some(line)
}

fn names(reply: &[u8], tool: &str) -> bool {
    let mut tape = Tape::new();
    let listed = tape.parse(reply, MAX_ANSWER_DEPTH).ok();
    let tools = listed.and_then(|reply| reply.get("result")?.get("tools"));
    tools
        .into_iter()
        .flat_map(Value::elements)
        .any(|listed| listed.get("name").and_then(Value::as_str) == Some(tool))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_asked_for_as_the_client_would() {
        let call = br#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"t","_meta":{
            "progressToken":7,"io.modelcontextprotocol/clientInfo":{"name":"c"},
            "io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}"#;
        let meta = r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{"name":"c"}}"#;
        let expected = |cursor: &str| {
            format!(
                r#"{{"jsonrpc":"2.0","id":"callgate-list","method":"tools/list","params":{{{cursor}{meta}}}}}"#
            )
        };
        assert_eq!(request(call, None), Some(expected("")));
        assert_eq!(request(call, Some("a\"")), Some(expected(r#""cursor":"a\"","#)));
        assert_eq!(
            request(
                br#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{}}"#,
                None
            ),
            None
        );
    }
}
