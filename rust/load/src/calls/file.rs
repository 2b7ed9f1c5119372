//! Calls from a file: JSON lines.

use bytes::Bytes;
use callgate_core::json::{JsonError, Kind, Tape, Value, line_column};
use callgate_core::request::MAX_ARGS_DEPTH;
use callgate_proto::decision::v1::CheckRequest;

use crate::error::LoadError;

const FIELDS: [&str; 7] = [
    "grant",
    "grant_token",
    "tool",
    "args",
    "server",
    "session",
    "labels",
];

/// A fault of a call, with its byte offset in the line.
struct CallError {
    offset: usize,
    message: String,
}

/// Reads one call per line; skips empty lines.
pub(super) fn parse(name: &str, bytes: &[u8]) -> Result<Vec<CheckRequest>, LoadError> {
    let mut tape = Tape::new();
    let mut calls = Vec::new();
    for (number, line) in (1..).zip(bytes.split(|byte| *byte == b'\n')) {
        if line.trim_ascii().is_empty() {
            continue;
        }
        // Each line is parsed alone, so offsets and columns are those of the line.
        calls.push(call(&mut tape, line).map_err(|fault| LoadError::Calls {
            file: name.to_owned(),
            line: number,
            column: line_column(line, fault.offset).1,
            message: fault.message,
        })?);
    }
    if calls.is_empty() {
        return Err(LoadError::Calls {
            file: name.to_owned(),
            line: 1,
            column: 1,
            message: "expected at least one call, one JSON object a line, got none".to_owned(),
        });
    }
    Ok(calls)
}

fn call(tape: &mut Tape, line: &[u8]) -> Result<CheckRequest, CallError> {
    // The call's object adds one level to the depth of its arguments.
    let root = tape
        .parse(line, MAX_ARGS_DEPTH + 1)
        .map_err(|JsonError { offset, kind }| CallError {
            offset,
            message: kind.to_string(),
        })?;
    if root.kind() != Kind::Object {
        return Err(expected(root, "a call", "a JSON object"));
    }
    let mut call = CheckRequest::default();
    for (name, value) in root.members() {
        match name {
            "grant" => call.grant = text(name, value)?,
            "grant_token" => call.grant_token = text(name, value)?,
            "tool" => call.tool = text(name, value)?,
            "server" => call.server = text(name, value)?,
            "session" => call.session = text(name, value)?,
            "args" if value.kind() == Kind::Object => {
                let args = line.get(value.span()).unwrap_or_default();
                call.args_json = Bytes::copy_from_slice(args);
            }
            "args" => return Err(expected(value, name, "a JSON object")),
            "labels" if value.kind() == Kind::Object => {
                for (label, value) in value.members() {
                    call.labels.insert(label.to_owned(), text("labels", value)?);
                }
            }
            "labels" => return Err(expected(value, name, "an object of strings")),
            unknown => {
                return Err(CallError {
                    offset: value.key_offset().unwrap_or(0),
                    message: format!(
                        "unknown field `{unknown}`, expected one of `{}`",
                        FIELDS.join("`, `")
                    ),
                });
            }
        }
    }
    let message = match (call.grant.as_str(), call.grant_token.as_str(), call.tool.as_str()) {
        (_, _, "") => "a call needs a `tool`",
        ("", "", _) => "a call needs a `grant` or a `grant_token`",
        (grant, token, _) if !grant.is_empty() && !token.is_empty() => {
            "a call has a `grant` or a `grant_token`, not both"
        }
        _ => return Ok(call),
    };
    Err(CallError {
        offset: root.span().start,
        message: message.to_owned(),
    })
}

fn text(name: &str, value: Value<'_>) -> Result<String, CallError> {
    match value.as_str() {
        Some(text) => Ok(text.to_owned()),
        None => Err(expected(value, name, "a string")),
    }
}

fn expected(value: Value<'_>, name: &str, what: &str) -> CallError {
    CallError {
        offset: value.span().start,
        message: format!("`{name}`: expected {what}, got {}", value.kind().as_str()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Calls;
    use super::*;

    const CALLS: &str = r#"{"grant": "g1", "tool": "create_charge", "args": {"amount": 1e2, "x": [1]}}

 {"tool": "t", "grant_token": "secret", "server": "payments", "session": "s", "labels": {"team": "red"}} 
"#;

    #[test]
    fn every_field_is_read() {
        let calls = parse("calls.jsonl", CALLS.as_bytes()).unwrap();
        assert_eq!(calls.len(), 2);
        assert_eq!(
            (calls[0].grant.as_str(), calls[0].tool.as_str()),
            ("g1", "create_charge")
        );
        // Byte for byte: a server might read a number in another form as another number.
        assert_eq!(calls[0].args_json, br#"{"amount": 1e2, "x": [1]}"#.as_slice());
        assert_eq!(calls[1].grant_token, "secret");
        assert_eq!(
            (calls[1].server.as_str(), calls[1].session.as_str()),
            ("payments", "s")
        );
        assert_eq!(calls[1].labels["team"], "red");
        assert!(calls[1].args_json.is_empty());
    }

    #[test]
    fn what_is_written_is_read_again() {
        let calls = Calls::parse("a", CALLS.as_bytes()).unwrap();
        let mut lines = Vec::new();
        calls.write(&mut lines).unwrap();
        assert_eq!(Calls::parse("b", &lines).unwrap().requests(), calls.requests());
    }

    #[test]
    fn faults_say_where() {
        let good = r#"{"grant": "g", "tool": "t"}"#;
        for (line, column, message) in [
            ("{", 2, "expected"),
            ("[1]", 1, "`a call`: expected a JSON object, got "),
            (
                r#"{"grant": 1, "tool": "t"}"#,
                11,
                "`grant`: expected a string, got number",
            ),
            (
                r#"{"grnat": "g"}"#,
                2,
                "unknown field `grnat`, expected one of `grant`",
            ),
            (r#"{"grant": "g"}"#, 1, "a call needs a `tool`"),
            (r#"{"tool": "t"}"#, 1, "a call needs a `grant` or"),
            (
                r#"{"tool": "t", "grant": "g", "grant_token": "s3cret"}"#,
                1,
                "not both",
            ),
            (
                r#"{"tool": "t", "grant": "g", "args": []}"#,
                37,
                "`args`: expected a JSON object",
            ),
            (
                r#"{"tool": "t", "grant": "g", "labels": {"a": 1}}"#,
                45,
                "`labels`: expected a string",
            ),
            (r#"{"tool": "t", "tool": "u"}"#, 15, "appears twice"),
        ] {
            let file = format!("{good}\n\n{line}\n{good}");
            let error = parse("calls.jsonl", file.as_bytes()).unwrap_err().to_string();
            assert!(error.starts_with(&format!("calls.jsonl:3:{column}: ")), "{error}");
            assert!(error.contains(message), "{error}");
            assert!(!error.contains("s3cret"), "{error}");
        }
        let error = parse("calls.jsonl", b"\n\n").unwrap_err().to_string();
        assert!(error.contains("at least one call"), "{error}");
    }
}
