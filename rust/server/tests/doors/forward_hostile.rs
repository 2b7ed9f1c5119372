//! The hostile requests through forward authorization, in every form that can carry them.

use callgate_server::{IdentitySource, ProxyConfig, ServerConfig, ServerSource};
use serde_json::Value;

use super::corpus::{Case, cases, catalogue};
use super::support::{Answer, Rig, answer, state};
use std::io::Write as _;

const OPEN: &str = r#"{"version": "1", "name": "open", "default": "allow"}"#;

/// Makes a server whose policy would allow every call.
fn rig() -> Rig {
    let config = ServerConfig {
        proxies: ProxyConfig {
            identity: vec![IdentitySource::Header("x-agent".to_owned())],
            server: vec![ServerSource::Path],
            ..ProxyConfig::default()
        },
        ..ServerConfig::default()
    };
    Rig::with(state(OPEN.as_bytes(), catalogue()), config)
}

/// Sends bytes unchanged: no client library would send some of them.
fn ask(rig: &Rig, target: &str, further: &[&str], case: &Case, body: &[u8]) -> Answer {
    let mut bytes =
        format!("{target} HTTP/1.1\r\nConnection: close\r\nHost: localhost\r\nX-Agent: a\r\n").into_bytes();
    for field in further {
        bytes.extend_from_slice(format!("{field}\r\n").as_bytes());
    }
    for (name, value) in &case.headers {
        bytes.extend_from_slice(&[name.as_bytes(), b": ", value, b"\r\n"].concat());
    }
    bytes.extend_from_slice(format!("Content-Length: {}\r\n\r\n", body.len()).as_bytes());
    bytes.extend_from_slice(body);
    let mut stream = rig.connect();
    stream.write_all(&bytes).unwrap();
    answer(stream)
}

fn hold(case: &Case, answer: &Answer) {
    let name = &case.name;
    if case.passes() {
        assert_eq!(answer.status, 200, "{name}: {answer:?}");
        assert_eq!(answer.field("x-callgate-outcome"), Some("allow"), "{name}");
        return;
    }
    assert_eq!(answer.status, 403, "{name}: {answer:?}");
    let rule = if case.is_refused() {
        "(invalid request)"
    } else {
        "(default deny)"
    };
    assert_eq!(answer.field("x-callgate-rule"), Some(rule), "{name}");
}

#[test]
fn the_request_itself_is_judged_as_it_came() {
    let (rig, mut held) = (rig(), 0);
    for case in cases().iter().filter(|case| case.can_be_sent()) {
        let body = case.body.as_deref().unwrap_or_default();
        let answer = ask(&rig, "POST /v1/ext-authz/mcp/aws", &[], case, body);
        hold(case, &answer);
        // If a body was read, the client's answer has the client's own id.
        if case.is_refused() && !body.is_empty() {
            let id = case.expect["id"].as_str().unwrap_or("null");
            let id: Value = serde_json::from_str(id).unwrap();
            assert_eq!(answer.json()["id"], id, "{}", case.name);
        }
        held += 1;
    }
    assert!(held >= 150, "{held}");
}

#[test]
fn a_described_request_is_judged_by_the_body_that_comes_along() {
    let (rig, mut held) = (rig(), 0);
    let described = ["X-Forwarded-Method: POST", "X-Forwarded-Uri: /mcp/aws"];
    for case in cases().iter().filter(|case| case.can_be_sent()) {
        let body = case.body.as_deref().unwrap_or_default();
        hold(case, &ask(&rig, "GET /v1/forward-auth", &described, case, body));
        held += 1;
    }
    assert!(held >= 150, "{held}");
}

#[test]
fn a_request_whose_body_nobody_forwards_is_judged_by_its_fields() {
    let (rig, mut held) = (rig(), 0);
    let described = ["X-Original-Method: POST", "X-Original-URI: /mcp/aws"];
    for case in cases().iter().filter(|case| case.can_be_sent()) {
        let answer = ask(&rig, "GET /v1/auth-request", &described, case, b"");
        if case.body.is_none() {
            hold(case, &answer);
        } else {
            // Without the fields that name the call, nothing passes; with them the server has to compare the body with
            // them.
            let is_named = ["mcp-method", "mcp-protocol-version"].iter().all(|name| {
                let mut names = case.headers.iter().map(|(name, _)| name);
                names.any(|sent| sent.eq_ignore_ascii_case(name))
            });
            assert!(answer.status == 403 || is_named, "{}: {answer:?}", case.name);
        }
        held += 1;
    }
    assert!(held >= 150, "{held}");
}
