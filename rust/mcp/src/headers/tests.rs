//! Header fields, alone and beside a body.

use callgate_core::json::Tape;

use super::*;

fn headers<'h>(fields: &[(&'h str, &'h str)]) -> Result<Headers<'h>, Reason> {
    Headers::read(fields.iter().map(|&(name, value)| (name, value.as_bytes())))
        .map_err(|refusal| refusal.reason)
}

/// Checks fields against a body.
fn check(fields: &[(&str, &str)], body: &str) -> Result<(), Reason> {
    let mut tape = Tape::new();
    let message = Message::parse(&mut tape, body.as_bytes()).expect(body);
    headers(fields)?.check(&message).map_err(|refusal| {
        assert_eq!(refusal.id, message.id());
        refusal.reason
    })
}

const CALL: &str = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"caf\u00e9","_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}"#;
const LIST: &str = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;
const READ: &str = r#"{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"file:///a"}}"#;

#[test]
fn fields_that_agree() {
    let name = "=?base64?Y2Fmw6k=?=";
    for (fields, body) in [
        (&[][..], CALL),
        (
            &[
                ("Mcp-Method", "tools/call"),
                ("Mcp-Name", name),
                ("MCP-Protocol-Version", "2026-07-28"),
            ],
            CALL,
        ),
        (
            &[("MCP-METHOD", " tools/call "), ("accept", "x"), ("mcp", "y")],
            CALL,
        ),
        (
            &[
                ("mcp-method", "tools/list"),
                ("mcp-protocol-version", "2025-06-18"),
            ],
            LIST,
        ),
        (
            &[("mcp-method", "resources/read"), ("mcp-name", "file:///a")],
            READ,
        ),
    ] {
        assert_eq!(check(fields, body), Ok(()), "{fields:?}");
    }
}

#[test]
fn fields_that_differ() {
    for (fields, body) in [
        (&[("mcp-method", "tools/list")][..], CALL),
        (&[("mcp-method", "Tools/Call")], CALL),
        (&[("mcp-method", "")], CALL),
        (&[("mcp-method", "tools/call, tools/list")], CALL),
        (&[("mcp-name", "cafe")], CALL),
        (&[("mcp-name", "")], CALL),
        (&[("mcp-protocol-version", "2025-11-25")], CALL),
        (&[("mcp-name", "drop_table")], LIST),
        (&[("mcp-name", "")], LIST),
        (&[("mcp-name", "file:///b")], READ),
    ] {
        assert_eq!(check(fields, body), Err(Reason::HeaderMismatch), "{fields:?}");
    }
}

#[test]
fn fields_stand_once_under_their_own_name() {
    for field in ["mcp-method", "Mcp-Name", "MCP-Protocol-Version", "mcp-session-id"] {
        let twice = headers(&[(field, "a"), ("x", "y"), (field, "a")]);
        assert_eq!(twice.map(|_| ()), Err(Reason::HeaderTwice), "{field}");
    }
    for field in ["mcp_method", "Mcp_Name", "MCP.Protocol-Version", "mcp-session_id"] {
        let alias = headers(&[(field, "a")]);
        assert_eq!(alias.map(|_| ()), Err(Reason::HeaderAlias), "{field}");
    }
    // Fields of another project.
    assert!(
        headers(&[
            ("mcp-names", "a"),
            ("mcp-names", "b"),
            ("mcpname", "c"),
            ("x-mcp-name", "d")
        ])
        .is_ok()
    );
}

#[test]
fn sessions_of_older_versions() {
    let session = |fields| headers(fields).map(|headers| headers.session().map(str::to_owned));
    assert_eq!(session(&[("Mcp-Session-Id", "s1")]), Ok(Some("s1".to_owned())));
    assert_eq!(session(&[("Mcp-Session-Id", "")]), Ok(None));
    assert_eq!(session(&[]), Ok(None));
}

#[test]
fn a_call_without_a_body() {
    let named = |fields: &[(&str, &str)]| {
        headers(fields).and_then(|headers| match headers.without_body() {
            Ok(MessageTarget::Call(tool)) => Ok(format!("call {tool}")),
            Ok(MessageTarget::Other { method, name }) => Ok(format!("{method} {}", name.unwrap_or("-"))),
            Err(refusal) => Err(refusal.reason),
        })
    };
    let version = ("mcp-protocol-version", "2026-07-28");
    let call = ("mcp-method", "tools/call");
    for (fields, expected) in [
        (&[version, call, ("mcp-name", "drop")][..], Ok("call drop")),
        (&[version, call, ("mcp-name", "=?base64?YSxi?=")], Ok("call a,b")),
        (&[version, ("mcp-method", "tools/list")], Ok("tools/list -")),
        (
            &[version, ("mcp-method", "prompts/get"), ("mcp-name", "p, q")],
            Ok("prompts/get p, q"),
        ),
        (&[version, call], Err(Reason::HeaderMissing)),
        (&[version, ("mcp-name", "drop")], Err(Reason::HeaderMissing)),
        (&[call, ("mcp-name", "drop")], Err(Reason::HeaderMissing)),
        (
            &[("mcp-protocol-version", "2025-11-25"), call, ("mcp-name", "drop")],
            Err(Reason::HeaderVersion),
        ),
        (&[version, call, ("mcp-name", "")], Err(Reason::Tool)),
        (
            &[version, call, ("mcp-name", "=?base64?YQA=?=")],
            Err(Reason::Tool),
        ),
        (
            &[version, call, ("mcp-name", "read, drop")],
            Err(Reason::HeaderTwice),
        ),
        (
            &[version, ("mcp-method", "TOOLS/CALL"), ("mcp-name", "drop")],
            Err(Reason::Method),
        ),
        (&[version, ("mcp-method", "")], Err(Reason::Method)),
    ] {
        assert_eq!(named(fields), expected.map(str::to_owned), "{fields:?}");
    }
}
