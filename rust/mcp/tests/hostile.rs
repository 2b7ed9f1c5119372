//! Runs every case of `tests/cases/hostile` through the reader. Its README describes the format.

#![expect(
    clippy::expect_used,
    reason = "a test helper that cannot go on fails its test"
)]

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use callgate_core::bindings::Bindings;
use callgate_core::json::Tape;
use callgate_mcp::{Headers, Message, MessageError, MessageTarget, Methods, Reason, reply};
use serde_json::{Value, json};

fn cases_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/cases/hostile")
}

/// The bytes of a text or of its pieces.
fn bytes(value: &Value) -> Vec<u8> {
    let piece = |piece: &Value| match piece {
        Value::String(text) => text.clone().into_bytes(),
        piece if piece.get("hex").is_some() => {
            let digits = piece["hex"].as_str().expect("digits");
            (0..digits.len())
                .step_by(2)
                .map(|at| u8::from_str_radix(&digits[at..at + 2], 16).expect("hexadecimal digits"))
                .collect()
        }
        piece => {
            let times = usize::try_from(piece["times"].as_u64().expect("a number")).expect("small");
            piece["repeat"]
                .as_str()
                .expect("a text")
                .repeat(times)
                .into_bytes()
        }
    };
    match value {
        Value::Array(pieces) => pieces.iter().flat_map(piece).collect(),
        one => piece(one),
    }
}

/// The mirrored arguments of a tool, from the catalogue.
fn bindings(tool: &str) -> Bindings {
    let text = std::fs::read(cases_dir().join("catalogue/tools.json")).expect("readable");
    let catalogue: Value = serde_json::from_slice(&text).expect("JSON");
    Bindings::of_schema(&catalogue["servers"]["srv"]["tools"][tool]["input_schema"])
}

/// The outcome of a request in the words of the cases.
fn outcome(headers: &[(String, Vec<u8>)], body: Option<&[u8]>) -> Value {
    let fields = headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_slice()));
    let headers = match Headers::read(fields) {
        Ok(headers) => headers,
        Err(refusal) => return refused(&refusal),
    };
    let Some(body) = body else {
        return match headers.without_body() {
            Ok(MessageTarget::Call(tool)) => json!({"call": {"tool": tool}}),
            Ok(MessageTarget::Other { method, name }) => {
                json!({"other": {"method": method, "name": name, "passes": Methods::default().passes(method)}})
            }
            Err(refusal) => refused(&refusal),
        };
    };
    let mut tape = Tape::new();
    let message = match Message::parse(&mut tape, body) {
        Ok(message) => message,
        Err(refusal) => return refused(&refusal),
    };
    if let Err(refusal) = headers.check(&message) {
        return refused(&refusal);
    }
    match message {
        Message::Call(call) => {
            if headers.has_params()
                && let Err(refusal) = headers.check_params(&bindings(call.tool), &call)
            {
                return refused(&refusal);
            }
            let args = str::from_utf8(call.args_json()).expect("checked");
            let mut said = json!({"id": call.id.json(), "tool": call.tool, "args": args});
            if let Some(session) = headers.session() {
                said["session"] = json!(session);
            }
            json!({"call": said})
        }
        Message::Other(other) => json!({"other": {
            "id": other.id.map(|id| id.json().to_owned()),
            "method": other.method,
            "name": other.name,
            "passes": Methods::default().passes(other.method),
        }}),
    }
}

/// A refusal, checked against its reply.
fn refused(refusal: &MessageError<'_>) -> Value {
    let text = reply::refused(refusal);
    let reply: Value = serde_json::from_str(&text).expect("a reply is JSON");
    assert_eq!(reply["error"]["code"], refusal.reason.code(), "{text}");
    let id = refusal.id.map(|id| id.json().to_owned());
    let written = format!(r#""id":{},"#, id.as_deref().unwrap_or("null"));
    assert!(text.contains(&written), "{text}");
    json!({"refused": refusal.reason.as_str(), "id": id})
}

/// `found` reduced to the expected fields.
fn as_expected(expected: &Value, found: &Value) -> Value {
    match (expected, found) {
        (Value::Object(expected), Value::Object(found)) => expected
            .iter()
            .map(|(key, value)| {
                let found = found.get(key).unwrap_or(&Value::Null);
                (key.clone(), as_expected(value, found))
            })
            .collect(),
        _ => found.clone(),
    }
}

/// The cases of one file.
fn cases(file: &Path) -> Vec<Value> {
    let text = std::fs::read(file).expect("readable");
    let cases: Value = serde_json::from_slice(&text).expect("JSON");
    cases.as_array().expect("a list").clone()
}

#[test]
fn every_hostile_case() {
    let mut count = 0;
    let mut reasons = HashSet::new();
    let mut files = 0;
    for entry in std::fs::read_dir(cases_dir()).expect("a folder") {
        let file = entry.expect("an entry").path();
        // The cases of HTTP are for the tests of the server.
        if file.extension().is_none_or(|extension| extension != "json") || file.ends_with("http.json") {
            continue;
        }
        files += 1;
        let mut names = HashSet::new();
        for case in cases(&file) {
            let name = case["name"].as_str().expect("a name").to_owned();
            let headers: Vec<(String, Vec<u8>)> = case["headers"]
                .as_array()
                .into_iter()
                .flatten()
                .map(|field| (field[0].as_str().expect("a name").to_owned(), bytes(&field[1])))
                .collect();
            let body = case.get("body").map(bytes);
            let expected = &case["expect"];
            let found = outcome(&headers, body.as_deref());
            assert_eq!(
                &as_expected(expected, &found),
                expected,
                "{}: {name}: {found}",
                file.display()
            );
            reasons.extend(expected["refused"].as_str().map(str::to_owned));
            count += 1;
            assert!(
                names.insert(name.clone()),
                "{}: {name} stands twice",
                file.display()
            );
        }
    }
    assert!(count >= 150, "{count} cases in {files} files");
    let missing: Vec<_> = Reason::ALL
        .iter()
        .filter(|reason| !reasons.contains(reason.as_str()))
        .collect();
    assert!(missing.is_empty(), "no case for {missing:?}");
}
