//! Replies that every client takes for one.

use callgate_core::json::{Kind, Tape, Value};
use callgate_mcp::list::MAX_ANSWER_DEPTH;

use crate::id::RequestId;

/// Returns true if every client accepts this as the reply to `id`. After one that some reject, those go on waiting.
pub(super) fn is_response(message: &[u8], id: &RequestId) -> bool {
    let mut tape = Tape::new();
    let Ok(root) = tape.parse(message, MAX_ANSWER_DEPTH) else {
        return false;
    };
    // Strict clients know no further member.
    root.kind() == Kind::Object
        && root.members().count() == 3
        && root.get("jsonrpc").and_then(Value::as_str) == Some("2.0")
        && root
            .get("id")
            .and_then(|id| RequestId::of_json(id.raw()))
            .as_ref()
            == Some(id)
        && (root.get("result").is_some_and(is_result) || root.get("error").is_some_and(is_error))
}

fn is_result(result: Value<'_>) -> bool {
    result.kind() == Kind::Object && result.get("_meta").is_none_or(|meta| meta.kind() == Kind::Object)
}

fn is_error(error: Value<'_>) -> bool {
    let code = error.get("code").and_then(Value::as_number);
    // The range that integers of every client have.
    code.is_some_and(|code| code.parse::<i32>().is_ok())
        && error.get("message").and_then(Value::as_str).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_nobody_rejects_is_a_response() {
        let one = RequestId::Number("1".to_owned());
        for (message, expected) in [
            (r#"{"jsonrpc":"2.0","id":1,"result":{}}"#, true),
            (
                r#" {"result":{"tools":[],"_meta":{}},"\u0069d":1,"jsonrpc":"2.0"} "#,
                true,
            ),
            (
                r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32603,"message":"","data":null}}"#,
                true,
            ),
            (r#"{"id":1,"result":{}}"#, false),
            (r#"{"jsonrpc":"1.0","id":1,"result":{}}"#, false),
            (r#"{"jsonrpc":2.0,"id":1,"result":{}}"#, false),
            (r#"{"jsonrpc":"2.0","id":2,"result":{}}"#, false),
            (r#"{"jsonrpc":"2.0","id":"1","result":{}}"#, false),
            (r#"{"jsonrpc":"2.0","id":1.0,"result":{}}"#, false),
            (r#"{"jsonrpc":"2.0","id":1,"id":1,"result":{}}"#, false),
            (r#"{"jsonrpc":"2.0","id":1,"result":{},"result":{}}"#, false),
            (r#"{"jsonrpc":"2.0","id":1,"result":{},"error":null}"#, false),
            (r#"{"jsonrpc":"2.0","id":1,"result":{},"method":"x"}"#, false),
            (r#"{"jsonrpc":"2.0","id":1,"result":{},"x":1}"#, false),
            (r#"{"jsonrpc":"2.0","id":1,"result":[]}"#, false),
            (r#"{"jsonrpc":"2.0","id":1,"result":null}"#, false),
            (r#"{"jsonrpc":"2.0","id":1,"result":{"_meta":1}}"#, false),
            (r#"{"jsonrpc":"2.0","id":1,"params":{}}"#, false),
            (r#"{"jsonrpc":"2.0","id":1,"error":{}}"#, false),
            (r#"{"jsonrpc":"2.0","id":1,"error":"no"}"#, false),
            (
                r#"{"jsonrpc":"2.0","id":1,"error":{"code":"x","message":""}}"#,
                false,
            ),
            (
                r#"{"jsonrpc":"2.0","id":1,"error":{"code":1.5,"message":""}}"#,
                false,
            ),
            (
                r#"{"jsonrpc":"2.0","id":1,"error":{"code":12345678901,"message":""}}"#,
                false,
            ),
            (
                r#"{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":1}}"#,
                false,
            ),
            (r#"[{"jsonrpc":"2.0","id":1,"result":{}}]"#, false),
            (r#"{"jsonrpc":"2.0","id":1,"result":{}} {}"#, false),
            ("", false),
        ] {
            assert_eq!(is_response(message.as_bytes(), &one), expected, "{message}");
        }
    }
}
