//! Messages that are accepted.

mod refused;

use super::*;

/// Parses a body and hands the result to `look`.
fn with<R>(body: &str, look: impl FnOnce(Result<Message<'_>, MessageError<'_>>) -> R) -> R {
    look(Message::parse(&mut Tape::new(), body.as_bytes()))
}

/// The reason and the id of a refused body.
fn refused(body: &str) -> (Reason, Option<String>) {
    with(body, |message| {
        let refusal = message.map(|_| ()).expect_err(body);
        assert!(
            !refusal.message.is_empty() && !refusal.message.ends_with('.'),
            "{refusal}"
        );
        (refusal.reason, refusal.id.map(|id| id.json().to_owned()))
    })
}

fn reason(body: &str) -> Reason {
    refused(body).0
}

/// A call whose `params` are these.
fn call(params: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{params}}}"#)
}

#[test]
fn a_call_in_any_order_and_spelling() {
    for body in [
        r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"t","arguments":{ "a" : 1.0 }}}"#,
        r#" {"params":{"arguments":{ "a" : 1.0 },"_meta":{},"name":"t"},"method":"tools/call","id":7,"jsonrpc":"2.0"} "#,
        r#"{"\u006asonrpc":"2\u002e0","i\u0064":7,"method":"tools\/call","params":{"nam\u0065":"\u0074","argument\u0073":{ "a" : 1.0 }}}"#,
    ] {
        with(body, |message| {
            let Ok(Message::Call(call)) = message else {
                panic!("{body}: {message:?}")
            };
            assert_eq!((call.id.json(), call.tool), ("7", "t"));
            assert_eq!(call.args_json(), br#"{ "a" : 1.0 }"#);
            assert_eq!(call.protocol_version, None);
        });
    }
}

#[test]
fn a_member_that_may_change_the_call_is_named() {
    for (params, expected) in [
        (
            r#"{"name":"t","arguments":{"to":1},"_meta":{"x":1},"task":{"ttl":1}}"#,
            None,
        ),
        (r#"{"name":"t","to":"x","_meta":{},"force":true}"#, Some("to")),
        (r#"{"inputResponses":{},"name":"t"}"#, Some("inputResponses")),
        (r#"{"name":"t","Task":{}}"#, Some("Task")),
    ] {
        with(&call(params), |message| {
            let Ok(Message::Call(call)) = message else {
                panic!("{params}: {message:?}")
            };
            assert_eq!(call.unseen_member, expected, "{params}");
        });
    }
}

#[test]
fn arguments_may_be_absent_and_nothing_else() {
    with(&call(r#"{"name":"t"}"#), |message| {
        let Ok(Message::Call(call)) = message else {
            panic!("{message:?}")
        };
        assert!(call.args.is_none() && call.args_json().is_empty());
    });
    for arguments in ["null", "[]", "\"{}\"", "1", "false"] {
        let body = call(&format!(r#"{{"name":"t","arguments":{arguments}}}"#));
        assert_eq!(
            refused(&body),
            (Reason::Arguments, Some("1".to_owned())),
            "{arguments}"
        );
    }
}

#[test]
fn what_later_revisions_add_to_params_passes() {
    let params = r#"{"_meta":{"progressToken":1,"io.modelcontextprotocol/protocolVersion":"2026-07-28"},"name":"t",
        "task":{"ttl":1},"inputResponses":{"x":{"action":"accept"}},"requestState":"opaque"}"#;
    with(&call(params), |message| {
        let Ok(Message::Call(call)) = message else {
            panic!("{message:?}")
        };
        assert_eq!(call.protocol_version, Some("2026-07-28"));
    });
    let params = r#"{"name":"t","_meta":{"io.modelcontextprotocol/protocolVersion":20260728}}"#;
    assert_eq!(reason(&call(params)), Reason::Params);
}

#[test]
fn ids_are_strings_and_integers() {
    let body = |id: &str| format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"ping"}}"#);
    for id in ["0", "-1", "9007199254740993", "\"\"", r#""a\"\u0041""#] {
        with(&body(id), |message| {
            assert_eq!(message.expect(id).id().map(Id::json), Some(id));
        });
    }
    for id in ["null", "1.0", "1e0", "1E2", "0.5", "true", "{}", "[1]"] {
        assert_eq!(refused(&body(id)), (Reason::Id, None), "{id}");
    }
}

#[test]
fn other_messages_keep_their_method_and_name() {
    for (body, method, name, is_request) in [
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#,
            "tools/list",
            None,
            true,
        ),
        (
            r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#,
            "notifications/initialized",
            None,
            false,
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"prompts/get","params":{"name":"p","uri":"u"}}"#,
            "prompts/get",
            Some("p"),
            true,
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"name":"p","uri":"u"}}"#,
            "resources/read",
            Some("u"),
            true,
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"tasks/get","params":{"name":"p","taskId":"x"}}"#,
            "tasks/get",
            Some("x"),
            true,
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"vendor/x","params":{"uri":"u"}}"#,
            "vendor/x",
            Some("u"),
            true,
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"prompts/get","params":{"name":1}}"#,
            "prompts/get",
            None,
            true,
        ),
    ] {
        with(body, |message| {
            let Ok(Message::Other(other)) = message else {
                panic!("{body}: {message:?}")
            };
            assert_eq!(
                (other.method, other.name, other.id.is_some()),
                (method, name, is_request),
                "{body}"
            );
        });
    }
}
