//! `POST /v1/check`.

use std::io::Write as _;
use std::net::Shutdown;

use bytes::Bytes;
use callgate_server::{Limits, ServerConfig};
use http_body_util::Full;
use serde_json::{Value, json};

use super::support::{Rig, START_US, answer, request};

#[test]
fn an_allow_has_the_fields_of_the_contract() {
    let rig = Rig::new();
    let answer = rig.post(r#"{"grant":"g","tool":"spend","args":{"amount":0.1},"reserve":true}"#);
    assert_eq!(
        (answer.status, answer.field("content-type")),
        (200, Some("application/json"))
    );
    let mut document = answer.json();
    let fields = document.as_object_mut().unwrap();
    let reservation = fields.remove("reservation").unwrap();
    assert!(
        reservation.as_str().is_some_and(|id| id.len() == 32),
        "{reservation}"
    );
    let version = fields.remove("policy_version").unwrap();
    assert!(
        version.as_str().is_some_and(|version| version.len() == 12),
        "{version}"
    );
    assert!(
        fields["limits"][0]
            .as_object_mut()
            .unwrap()
            .remove("reset_after_ms")
            .is_some()
    );
    assert_eq!(
        document,
        json!({
            "outcome": "allow", "rule": "", "message": "", "policy": "test", "decided_at_us": START_US,
            "limits": [{"counter": "spend", "max": number("10.5"), "remaining": number("10.4")}],
        })
    );
    assert!(
        answer
            .field("ratelimit")
            .is_some_and(|field| field.starts_with("\"spend\";r=10;t=")),
        "{answer:?}"
    );
    assert_eq!(answer.field("ratelimit-policy"), Some("\"spend\";q=10;w=3600"));
    assert_eq!(answer.field("retry-after"), None);
}

/// A number by its text.
fn number(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[test]
fn outcomes_have_their_statuses() {
    let rig = Rig::new();
    let ask = |tool: &str| rig.post(&format!(r#"{{"grant":"g","tool":"{tool}"}}"#));
    let denied = ask("forbidden");
    assert_eq!(
        (denied.status, denied.text("message").as_str()),
        (403, "ask the data team")
    );
    let unlisted = ask("other");
    assert_eq!(
        (unlisted.status, unlisted.text("rule").as_str()),
        (403, "(default deny)")
    );
    assert_eq!(unlisted.field("ratelimit"), None);

    ask("capped");
    rig.clock.advance_us(500_000);
    ask("capped");
    let limited = ask("capped");
    assert_eq!((limited.status, limited.field("retry-after")), (429, Some("60")));
    assert_eq!(limited.json()["retry_after_ms"], 59_500);
    assert_eq!(limited.field("ratelimit"), Some("\"calls\";r=0;t=60"));
    assert_eq!(limited.field("ratelimit-policy"), Some("\"calls\";q=2;w=60"));

    let pending = ask("asks");
    assert_eq!((pending.status, pending.text("fingerprint").len()), (403, 64));

    let watched = ask("watched");
    assert_eq!(watched.status, 200);
    assert_eq!(
        watched.json()["shadow"],
        json!({"outcome": "deny", "rule": "/tools/watched/action"})
    );
}

#[test]
fn labels_session_and_server_reach_the_policy() {
    let rig = Rig::new();
    assert_eq!(
        rig.post(r#"{"grant":"g","tool":"labelled","labels":{"team":"ops"}}"#)
            .status,
        200
    );
    assert_eq!(
        rig.post(r#"{"grant":"g","tool":"labelled","labels":{"team":"dev"}}"#)
            .status,
        403
    );
    assert_eq!(
        rig.post(r#"{"grant":"g","tool":"in_session","session":"s1"}"#)
            .status,
        200
    );
    assert_eq!(
        rig.post(r#"{"grant":"g","tool":"open","server":"any"}"#).status,
        200
    );
}

#[test]
fn faulty_calls_are_decisions() {
    let rig = Rig::new();
    let call = |args: &str| format!(r#"{{"grant":"g","tool":"open","args":{args}}}"#).into_bytes();
    let deep = format!("{}1{}", "[".repeat(64), "]".repeat(64));
    let mut bodies = vec![
        call("NaN"),
        call("{\"a\":NaN}"),
        call("[]"),
        call("null"),
        call("\"text\""),
        call(r#"{"a":1,"a":2}"#),
        call(r#"{"a":"\ud800"}"#),
        call(r#"{"a":1,}"#),
        call(&format!("{{\"a\":{deep}}}")),
        br#"{"tool":"open"}"#.to_vec(),
        br#"{"grant":"g"}"#.to_vec(),
        br#"{"grant":"","tool":"open"}"#.to_vec(),
        br#"{"grant":"g","tool":"a\u0000b"}"#.to_vec(),
        br#"{"grant":7,"tool":"open"}"#.to_vec(),
        br#"{"grant":"g","tool":"open","reserve":"yes"}"#.to_vec(),
        br#"{"grant":"g","tool":"open","labels":{"a":1}}"#.to_vec(),
        br#"{"grant":"g","tool":"open","grant":"h"}"#.to_vec(),
        br#"{"grant":"g","tool":"open","now_ms":1}"#.to_vec(),
        br#"{"grant":"g","tool":"\ud800"}"#.to_vec(),
    ];
    bodies.push(
        [
            b"{\"grant\":\"g\",\"tool\":\"open\",\"args\":{\"a\":\"".as_slice(),
            b"\xff\"}}",
        ]
        .concat(),
    );
    for body in bodies {
        let answer = rig.post_bytes(&body);
        let shown = String::from_utf8_lossy(&body);
        assert_eq!(answer.status, 403, "{shown}");
        assert_eq!(answer.text("rule"), "(invalid request)", "{shown}");
        assert_eq!(answer.text("outcome"), "deny");
        assert!(!answer.text("message").is_empty());
    }
    let unknown = rig.post(r#"{"grant":"g","tool":"open","arg":{}}"#);
    assert_eq!(
        unknown.text("message"),
        "unknown field `arg`; did you mean `args`?"
    );
}

#[test]
fn arguments_reach_the_engine_to_the_digit() {
    let rig = Rig::new();
    let ask = |n: &str| {
        rig.post(&format!(r#"{{"grant":"g","tool":"small","args":{{"n":{n}}}}}"#))
            .status
    };
    assert_eq!(ask("10.000000000000000000000000000001"), 403);
    assert_eq!(ask("10.000000000000000000000000000000"), 200);
    assert_eq!(ask("1e400"), 403, "an evaluation error denies");
}

#[test]
fn what_is_no_object_is_no_request() {
    let rig = Rig::new();
    for body in [
        "",
        " ",
        "[]",
        "null",
        "\"x\"",
        "{",
        "{\"grant\":\"g\",\"tool\":\"open\"",
        "{\"grant\":g}",
        "{} {}",
        "{'grant':1}",
    ] {
        let answer = rig.post(body);
        assert_eq!(answer.status, 400, "{body}: {}", answer.body);
        assert!(
            answer
                .text("error")
                .starts_with("the body is not one JSON object: expected "),
            "{}",
            answer.body
        );
    }
}

#[test]
fn other_paths_methods_and_types() {
    let rig = Rig::new();
    let host = "Host: localhost";
    for target in ["POST /", "GET /v1", "POST /v1/check/", "POST /v1/CHECK"] {
        let answer = rig.send(target, &[host], b"{}");
        assert_eq!(
            (answer.status, answer.text("error").as_str()),
            (
                404,
                "no such path; expected `/v1/check`, `/v1/peek` or `/v1/approvals/ID`"
            )
        );
    }
    for target in ["GET /v1/check", "PUT /v1/check", "OPTIONS /v1/check"] {
        let answer = rig.send(target, &[host], b"");
        assert_eq!(
            (answer.status, answer.field("allow")),
            (405, Some("POST")),
            "{target}"
        );
    }
    let encoded = rig.send("POST /v1/check", &[host, "Content-Encoding: gzip"], b"{}");
    assert_eq!(encoded.status, 415);
    let form = "Content-Type: application/x-www-form-urlencoded";
    let posted = rig.send("POST /v1/check", &[host, form], br#"{"grant":"g","tool":"open"}"#);
    assert_eq!(posted.status, 200, "what `curl -d` says of a body");
    let plain = rig.send(
        "POST /v1/check?from=test",
        &[host],
        br#"{"grant":"g","tool":"open"}"#,
    );
    assert_eq!(
        plain.status, 200,
        "no content type, and a query that nobody reads"
    );
}

#[test]
fn large_bodies_are_refused_however_they_are_announced() {
    let rig = Rig::limited(Limits {
        body_limit_bytes: 1_000,
        ..Limits::default()
    });
    // Announced: refused without any of it.
    let mut stream = rig.connect();
    let fields = ["Host: localhost", "Content-Length: 5242880"];
    stream
        .write_all(&request("POST /v1/check", &fields, b""))
        .unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let announced = answer(stream);
    assert_eq!(
        (announced.status, announced.text("error").as_str()),
        (413, "the body is too large; expected at most 1000 bytes")
    );
    // In chunks: refused when it has become too large.
    let mut stream = rig.connect();
    let fields = ["Host: localhost", "Transfer-Encoding: chunked"];
    let chunk = format!("3e9\r\n{}\r\n", " ".repeat(1_001));
    stream
        .write_all(&request("POST /v1/check", &fields, chunk.as_bytes()))
        .unwrap();
    assert_eq!(answer(stream).status, 413);

    let call = r#"{"grant":"g","tool":"open"}"#;
    let full = format!("{call}{}", " ".repeat(1_000 - call.len()));
    assert_eq!(rig.post(&full).status, 200, "the limit itself is within it");
}

#[test]
fn hosts_and_origins_are_checked() {
    let rig = Rig::configured(ServerConfig {
        allowed_hosts: vec!["callgate.test".to_owned()],
        ..ServerConfig::default()
    });
    let call = br#"{"grant":"g","tool":"open"}"#;
    for host in [
        "Host: localhost:1",
        "Host: 127.0.0.1",
        "Host: [::1]:80",
        "Host: callgate.test",
    ] {
        assert_eq!(rig.send("POST /v1/check", &[host], call).status, 200, "{host}");
    }
    for fields in [
        &["Host: evil.example"][..],
        &["Host: localhost.evil.example"],
        &["Host: localhost", "Origin: http://evil.example"],
        &["Host: localhost", "Origin: null"],
        &["X-None: 1"],
    ] {
        let answer = rig.send("POST /v1/check", fields, call);
        assert_eq!(answer.status, 403, "{fields:?}");
        assert!(answer.text("error").contains("expected"), "{fields:?}");
    }
    let same_site = rig.send(
        "POST /v1/check",
        &["Host: localhost", "Origin: http://localhost:3000"],
        call,
    );
    assert_eq!(same_site.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn http2_with_prior_knowledge() {
    let rig = Rig::new();
    let post = |host: &str| {
        ::http::Request::post(format!("http://{host}/v1/check"))
            .body(Full::from(Bytes::from_static(br#"{"grant":"g","tool":"open"}"#)))
            .unwrap()
    };
    let response = rig.send_http2(post("localhost")).await;
    assert_eq!(response.status(), 200);
    let document: Value = serde_json::from_slice(response.body()).unwrap();
    assert_eq!(document["outcome"], "allow");
    assert_eq!(rig.send_http2(post("evil.example")).await.status(), 403);
}
