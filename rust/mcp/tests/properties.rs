//! Properties for any bytes: no panic, and an accepted message means the same to `serde_json`.

#![expect(
    clippy::expect_used,
    reason = "a test helper that cannot go on fails its test"
)]

use callgate_core::json::Tape;
use callgate_mcp::{Headers, Message, MessageError, list, reply};
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::Value;

/// Parts of hostile messages, so that many generated ones are almost valid.
const PIECES: [&str; 30] = [
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\"jsonrpc\":\"2.0\"",
    "\"id\":1",
    "\"id\":null",
    "\"method\":\"tools/call\"",
    "\"method\":\"ping\"",
    "\"params\":",
    "\"params\":{",
    "\"name\":\"t\"",
    "\"Name\":\"u\"",
    "\"arguments\":{",
    "\"arguments\":{}",
    "\"a\":1",
    "\"result\":{}",
    "\"_meta\":{}",
    "null",
    "1.5",
    "\"\\u0000\"",
    "\\",
    "\"",
    " ",
    "\u{feff}",
    "\"method\":\"tools/\\u0063all\"",
    "\"\\ud800\"",
    "\"tools\":[{\"name\":\"t\"}]",
];

fn json_text() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        any::<bool>().prop_map(|value| value.to_string()),
        any::<i64>().prop_map(|value| value.to_string()),
        any::<String>().prop_map(|text| Value::String(text).to_string()),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(|elements| format!("[ {} ]", elements.join(" , "))),
            vec((key(), inner), 0..4).prop_map(|members| object(&members)),
        ]
    })
}

fn key() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => prop::sample::select(vec!["name", "arguments", "uri", "_meta", "Name", "taskId", "a", "b", "c", "d"])
            .prop_map(str::to_owned),
        1 => any::<String>(),
    ]
}

fn object(members: &[(String, String)]) -> String {
    let members: Vec<String> = members
        .iter()
        .map(|(key, value)| format!("{}:{value}", Value::String(key.clone())))
        .collect();
    format!("{{{}}}", members.join(","))
}

/// A message of plausible members, each sometimes replaced by another value.
fn message() -> impl Strategy<Value = String> {
    let id = prop_oneof![
        4 => any::<i64>().prop_map(|id| id.to_string()),
        2 => any::<String>().prop_map(|id| Value::String(id).to_string()),
        1 => json_text(),
    ];
    let method = prop_oneof![
        6 => Just("\"tools/call\"".to_owned()),
        2 => prop::sample::select(vec!["ping", "resources/read", "Tools/call", "tasks/get"])
            .prop_map(|method| format!("\"{method}\"")),
        1 => json_text(),
    ];
    let args = prop_oneof![
        4 => vec((key(), json_text()), 0..4).prop_map(|members| object(&members)),
        1 => json_text(),
    ];
    let name = prop_oneof![
        4 => any::<String>().prop_map(|name| Value::String(name).to_string()),
        1 => json_text(),
    ];
    let params = (name, args, vec((key(), json_text()), 0..2)).prop_map(|(name, args, more)| {
        let mut members = vec![("name".to_owned(), name), ("arguments".to_owned(), args)];
        members.extend(more);
        object(&members)
    });
    let member = |name: &'static str, value: BoxedStrategy<String>| {
        prop::option::weighted(0.95, value.prop_map(move |value| (name.to_owned(), value)))
    };
    let extra = prop::option::weighted(0.1, (key(), json_text()));
    (
        member("jsonrpc", Just("\"2.0\"".to_owned()).boxed()),
        member("id", id.boxed()),
        member("method", method.boxed()),
        member("params", params.boxed()),
        extra,
    )
        .prop_map(|(jsonrpc, id, method, params, extra)| {
            [jsonrpc, id, method, params, extra]
                .into_iter()
                .flatten()
                .collect::<Vec<_>>()
        })
        .prop_shuffle()
        .prop_map(|members| object(&members))
}

/// Checks an accepted message against `serde_json`.
fn same(message: &Message<'_>, body: &[u8]) {
    let read: Value = serde_json::from_slice(body).expect("what is accepted is JSON");
    assert_eq!(read["jsonrpc"], "2.0");
    assert_eq!(read["method"], message.method());
    let id = message
        .id()
        .map(|id| serde_json::from_str::<Value>(id.json()).expect("JSON"));
    assert_eq!(read.get("id"), id.as_ref());
    assert!(id.is_none_or(|id| id.is_string() || id.is_number()));
    for key in ["result", "error"] {
        assert!(read.get(key).is_none());
    }
    if let Message::Call(call) = message {
        assert_eq!(read["params"]["name"], call.tool);
        let args = read["params"].get("arguments");
        match call.args_json() {
            b"" => assert_eq!(args, None),
            bytes => assert_eq!(serde_json::from_slice::<Value>(bytes).ok().as_ref(), args),
        }
        assert!(args.is_none_or(Value::is_object));
    } else {
        assert_ne!(message.method(), "tools/call");
    }
}

/// Checks that the reply to a refusal is readable for a client.
fn readable(refusal: &MessageError<'_>) {
    let reply: Value = serde_json::from_str(&reply::refused(refusal)).expect("JSON");
    assert_eq!(reply["error"]["message"], refusal.message.as_ref());
    assert!(
        !refusal.message.chars().any(char::is_control),
        "{}",
        refusal.message
    );
}

fn judge(body: &[u8]) -> bool {
    let mut tape = Tape::new();
    match Message::parse(&mut tape, body) {
        Ok(message) => {
            same(&message, body);
            true
        }
        Err(refusal) => {
            readable(&refusal);
            false
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn any_bytes(body in vec(any::<u8>(), 0..64)) {
        judge(&body);
    }

    #[test]
    fn pieces_of_messages(pieces in vec(prop::sample::select(PIECES.to_vec()), 0..24)) {
        judge(pieces.concat().as_bytes());
    }

    #[test]
    fn messages(text in message(), at: prop::sample::Index, byte: u8) {
        judge(text.as_bytes());
        let mut changed = text.into_bytes();
        let at = at.index(changed.len());
        changed[at] = byte;
        judge(&changed);
        judge(&changed[..at]);
    }

    #[test]
    fn a_call_is_taken_as_it_is(id: i64, tool in "[^\u{0}]{1,12}", args in vec((key(), json_text()), 0..4)) {
        let mut keys: Vec<_> = args.iter().map(|(key, _)| key).collect();
        keys.sort();
        keys.dedup();
        let args_text = object(&args);
        let name = Value::String(tool.clone());
        let body = format!(r#"{{"jsonrpc":"2.0","method":"tools/call","params":{{"arguments":{args_text},"name":{name}}},"id":{id}}}"#);
        let mut tape = Tape::new();
        match Message::parse(&mut tape, body.as_bytes()) {
            Ok(Message::Call(call)) => {
                prop_assert_eq!((call.tool, call.args_json()), (tool.as_str(), args_text.as_bytes()));
                prop_assert_eq!(call.id.json(), id.to_string());
            }
            Ok(other) => prop_assert!(false, "{:?}", other),
            Err(refusal) => prop_assert_eq!(refusal.reason, callgate_mcp::Reason::DuplicateKey, "{}", body),
        }
        if keys.len() < args.len() {
            prop_assert!(!judge(body.as_bytes()));
        }
    }

    #[test]
    fn any_header_fields(fields in vec((
        prop::sample::select(vec!["mcp-name", "Mcp-Method", "mcp_name", "mcp-protocol-version", "mcp-param-x", "x", ""]),
        prop_oneof![
            vec(any::<u8>(), 0..24),
            any::<String>().prop_map(|text| format!("=?base64?{text}?=").into_bytes()),
            prop::sample::select(vec!["tools/call", "2026-07-28", "t", "=?base64?dA==?="]).prop_map(Into::into),
        ],
    ), 0..5)) {
        match Headers::read(fields.iter().map(|(name, value)| (*name, value.as_slice()))) {
            Ok(headers) => {
                if let Err(refusal) = headers.without_body() {
                    readable(&refusal);
                }
            }
            Err(refusal) => readable(&refusal),
        }
    }

    #[test]
    fn lists_lose_what_is_hidden_and_nothing_else(
        tools in vec((any::<String>(), json_text(), any::<bool>()), 0..6),
        cursor in json_text(),
        pad in "[ \t\r\n]{0,3}",
    ) {
        let elements: Vec<String> = tools
            .iter()
            .enumerate()
            .map(|(index, (name, schema, hide))| {
                let name = Value::String(format!("{}{index}{name}", if *hide { "h" } else { "s" }));
                format!(r#"{{"inputSchema":{schema},{pad}"name":{name}}}"#)
            })
            .collect();
        let answer = |elements: Vec<String>| {
            let list = elements.join(&format!("{pad},{pad}"));
            format!(r#"{{"jsonrpc":"2.0","id":1,"result":{{"tools":[{pad}{list}{pad}],"nextCursor":{cursor}}}}}"#)
        };
        let all = answer(elements.clone());
        let Ok(ours) = list::filter(&mut Tape::new(), all.as_bytes(), |tool| tool.starts_with('s')) else {
            return Ok(()); // A key that stands twice in a made-up schema.
        };
        let shown = elements.into_iter().zip(&tools).filter(|(_, tool)| !tool.2).map(|(element, _)| element);
        let expected: Value = serde_json::from_str(&answer(shown.collect())).expect("JSON");
        prop_assert_eq!(serde_json::from_slice::<Value>(&ours).expect("JSON"), expected);
    }
}
