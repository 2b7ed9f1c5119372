//! Messages that are refused, and their refusals.

use super::*;

#[test]
fn bodies_that_are_no_message() {
    for (body, expected) in [
        ("", Reason::EmptyBody),
        (" \r\n\t", Reason::EmptyBody),
        ("\u{feff}{}", Reason::ByteOrderMark),
        ("{", Reason::InvalidJson),
        ("{} {}", Reason::InvalidJson),
        ("{}\0", Reason::InvalidJson),
        ("{}//", Reason::InvalidJson),
        ("null", Reason::NotAnObject),
        ("\"tools/call\"", Reason::NotAnObject),
        ("[]", Reason::Batch),
        (r#"[{"jsonrpc":"2.0","id":1,"method":"ping"}]"#, Reason::Batch),
        (r#"{"jsonrpc":"2.0","id":1,"result":{}}"#, Reason::Response),
        (
            r#"{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":""}}"#,
            Reason::Response,
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"ping","result":{}}"#,
            Reason::Response,
        ),
    ] {
        assert_eq!(refused(body), (expected, None), "{body}");
    }
    assert_eq!(
        Message::parse(&mut Tape::new(), b"{\"jsonrpc\":\"\xff\"}")
            .map(|_| ())
            .map_err(|refusal| refusal.reason),
        Err(Reason::InvalidUtf8)
    );
}

#[test]
fn envelopes_that_are_none() {
    for (body, expected, id) in [
        (r#"{"id":1,"method":"ping"}"#, Reason::JsonRpc, Some("1")),
        (
            r#"{"jsonrpc":"1.0","id":1,"method":"ping"}"#,
            Reason::JsonRpc,
            Some("1"),
        ),
        (
            r#"{"jsonrpc":2.0,"id":1,"method":"ping"}"#,
            Reason::JsonRpc,
            Some("1"),
        ),
        (r#"{"jsonrpc":"2.0","id":1}"#, Reason::Method, Some("1")),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":["tools/call"]}"#,
            Reason::Method,
            Some("1"),
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":""}"#,
            Reason::Method,
            Some("1"),
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"Tools/Call"}"#,
            Reason::Method,
            Some("1"),
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":" tools/call\n"}"#,
            Reason::Method,
            Some("1"),
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call\u0000"}"#,
            Reason::Method,
            Some("1"),
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"tool\u017f/call"}"#,
            Reason::Method,
            Some("1"),
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"pi\u0000ng"}"#,
            Reason::Method,
            Some("1"),
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"ping","params":[]}"#,
            Reason::Params,
            Some("1"),
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"ping","params":null}"#,
            Reason::Params,
            Some("1"),
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"ping","session":"x"}"#,
            Reason::UnknownKey,
            Some("1"),
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"notifications/cancelled"}"#,
            Reason::Id,
            Some("1"),
        ),
        (
            r#"{"jsonrpc":"2.0","id":"a","method":"ping","Method":"tools/call"}"#,
            Reason::KeyCase,
            None,
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"ping","Result":{}}"#,
            Reason::KeyCase,
            None,
        ),
        (
            r#"{"jsonrpc":"2.0","method":"tools/call","params":{"name":"t"}}"#,
            Reason::NoId,
            None,
        ),
    ] {
        assert_eq!(refused(body), (expected, id.map(str::to_owned)), "{body}");
    }
}

#[test]
fn params_name_one_tool() {
    for (params, expected) in [
        ("{}", Reason::Tool),
        (r#"{"name":null}"#, Reason::Tool),
        (r#"{"name":["t"]}"#, Reason::Tool),
        (r#"{"name":""}"#, Reason::Tool),
        (r#"{"name":"t\u0000"}"#, Reason::Tool),
        (r#"{"name":"t","Name":"drop"}"#, Reason::KeyCase),
        (r#"{"NAME":"drop","name":"t"}"#, Reason::KeyCase),
        (r#"{"name":"t","Arguments":{}}"#, Reason::KeyCase),
        (r#"{"name":"t","argument\u017f":{}}"#, Reason::KeyCase),
        (r#"{"name":"t","_META":{}}"#, Reason::KeyCase),
        (r#"{"name":"t","name":"drop"}"#, Reason::DuplicateKey),
        (r#"{"name":"t","\u006eame":"drop"}"#, Reason::DuplicateKey),
        (r#"{"name":"t","arguments":{"a":1,"a":2}}"#, Reason::DuplicateKey),
    ] {
        assert_eq!(reason(&call(params)), expected, "{params}");
    }
    // Keys inside the arguments belong to the tool, in any case.
    with(
        &call(r#"{"name":"t","arguments":{"Name":1,"name":2,"Method":3}}"#),
        |message| {
            assert!(message.is_ok());
        },
    );
}

#[test]
fn arguments_have_their_own_depth() {
    let nested = |levels: usize| {
        let (open, close) = ("{\"a\":".repeat(levels - 1), "}".repeat(levels - 1));
        call(&format!(r#"{{"name":"t","arguments":{open}{{}}{close}}}"#))
    };
    with(&nested(MAX_ARGS_DEPTH), |message| assert!(message.is_ok()));
    assert_eq!(reason(&nested(MAX_ARGS_DEPTH + 1)), Reason::Depth);
    assert_eq!(reason(&"[".repeat(100_000)), Reason::Depth);
}

#[test]
fn a_refusal_says_what_to_do_and_hides_values() {
    for (body, message) in [
        (
            call(r#"{"name":"t","arguments":"secret"}"#),
            "`params.arguments` has the wrong type: expected an object, got string",
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"ping","a\nb":1}"#.to_owned(),
            "unknown member `a\\nb`; a JSON-RPC request has `jsonrpc`, `id`, `method` and `params`",
        ),
        (
            r#"{"jsonrpc":"2.0","id":1.5,"method":"ping"}"#.to_owned(),
            "`id` has the wrong type: expected a string or an integer without fraction or exponent",
        ),
        (
            r#"{"jsonrpc":"2.0","id":1"#.to_owned(),
            "the body is not one well-formed JSON-RPC message: expected `,` or `}` (byte 23)",
        ),
    ] {
        with(&body, |parsed| {
            assert_eq!(parsed.expect_err(&body).to_string(), message);
        });
    }
}
