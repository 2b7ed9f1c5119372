//! JSON documents, checked as strictly as calls.

use super::cursor::Cursor;
use super::{Content, DocumentError, MAX_DEPTH, Member, Node, Read};
use crate::json::{JsonError, JsonErrorKind, Kind, Tape, Value};

/// Reads a JSON document; `None` if it is empty.
pub(super) fn read(bytes: &[u8]) -> Read<Option<Node>> {
    let mut cursor = Cursor::new(bytes);
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Ok(None);
    }
    let mut tape = Tape::new();
    match tape.parse(bytes, MAX_DEPTH) {
        Ok(root) => Ok(Some(node(root, &mut cursor))),
        Err(error) => Err(DocumentError::at(cursor.position(error.offset), message(&error))),
    }
}

/// Recursion is safe because the tape has limited the depth.
fn node(value: Value<'_>, cursor: &mut Cursor<'_>) -> Node {
    let at = cursor.position(value.span().start);
    let content = match value.kind() {
        Kind::Null => Content::Null,
        Kind::Bool => Content::Bool(value.as_bool().unwrap_or_default()),
        Kind::Number => Content::Number(value.as_number().unwrap_or_default().to_owned()),
        Kind::String => Content::String(value.as_str().unwrap_or_default().to_owned()),
        Kind::Array => Content::List(value.elements().map(|element| node(element, cursor)).collect()),
        Kind::Object => Content::Object(
            value
                .members()
                .map(|(key, value)| Member {
                    key: key.to_owned(),
                    key_at: cursor.position(value.key_offset().unwrap_or_default()),
                    value: node(value, cursor),
                })
                .collect(),
        ),
    };
    Node { at, content }
}

fn message(error: &JsonError) -> String {
    match &error.kind {
        JsonErrorKind::Syntax(expected) => format!("not JSON: expected {expected}"),
        other => other.to_string(),
    }
}
