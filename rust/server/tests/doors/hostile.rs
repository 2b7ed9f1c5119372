//! Malformed requests, over gRPC and on the connection itself.

use bytes::Bytes;
use callgate_proto::decision::v1::CheckRequest;
use callgate_server::Limits;
use http_body_util::Full;
use std::io::Read as _;
use std::io::Write as _;

use super::support::{Rig, answer, framed, request};

const CHECK: &str = "/callgate.decision.v1.DecisionService/Check";

async fn grpc_status(rig: &Rig, request: ::http::Request<Full<Bytes>>) -> Option<String> {
    let response = rig.send_http2(request).await;
    assert_eq!(response.status(), 200);
    response
        .headers()
        .get("grpc-status")
        .map(|status| status.to_str().unwrap().to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn bytes_that_are_no_message_are_an_invalid_argument() {
    let rig = Rig::new();
    for message in [&[0xff, 0xff][..], b"\x0a\x05ab", b"\x0a\x01\xff"] {
        assert_eq!(
            grpc_status(&rig, framed(CHECK, message)).await.as_deref(),
            Some("3"),
            "{message:?}"
        );
    }
    assert_eq!(
        grpc_status(&rig, framed(CHECK, b"")).await,
        None,
        "an empty message is one: a decision"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn unknown_methods_are_unimplemented() {
    let rig = Rig::new();
    for path in [
        "/callgate.decision.v1.DecisionService/Nothing",
        "/callgate.decision.v2.DecisionService/Check",
        "/",
    ] {
        assert_eq!(
            grpc_status(&rig, framed(path, b"")).await.as_deref(),
            Some("12"),
            "{path}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn grpc_comes_from_no_web_page() {
    let rig = Rig::new();
    let mut from_page = framed(CHECK, b"");
    from_page
        .headers_mut()
        .insert("origin", "http://evil.example".parse().unwrap());
    assert_eq!(grpc_status(&rig, from_page).await.as_deref(), Some("7"));

    let over_http1 = rig.send(
        &format!("POST {CHECK}"),
        &["Host: localhost", "Content-Type: application/grpc"],
        b"",
    );
    assert_eq!(over_http1.field("grpc-status"), Some("12"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn long_headers_are_refused() {
    let rig = Rig::new();
    let long = format!("X-Long: {}", "x".repeat(128 * 1024));
    let mut stream = rig.connect();
    // The answer may come, and the connection close, before all of it is sent.
    let _ = stream.write_all(&request("POST /v1/check", &["Host: localhost", &long], b"{}"));
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes);
    assert!(
        bytes.is_empty() || bytes.starts_with(b"HTTP/1.1 431"),
        "{}",
        String::from_utf8_lossy(&bytes)
    );

    // The server goes on.
    assert_eq!(rig.post(r#"{"grant":"g","tool":"open"}"#).status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn more_connections_than_the_cap_wait() {
    let rig = Rig::limited(Limits {
        max_connections: 1,
        ..Limits::default()
    });
    let mut first = rig.connect();
    let call = br#"{"grant":"g","tool":"open"}"#;
    let kept = format!(
        "POST /v1/check HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n",
        call.len()
    );
    first.write_all(&[kept.as_bytes(), call].concat()).unwrap();
    let mut begin = [0; 15];
    first.read_exact(&mut begin).unwrap();
    assert_eq!(&begin, b"HTTP/1.1 200 OK");

    let mut second = rig.connect();
    second
        .write_all(&request("POST /v1/check", &["Host: localhost"], call))
        .unwrap();
    rig.wait_for_event("connection_cap_reached");
    drop(first);
    assert_eq!(answer(second).status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn one_connection_serves_many_streams() {
    let rig = Rig::new();
    let client = rig.grpc();
    let calls = (0..200).map(|number| {
        let mut client = client.clone();
        let request = CheckRequest {
            grant: format!("g{number}"),
            tool: "open".to_owned(),
            ..CheckRequest::default()
        };
        tokio::spawn(async move { client.check(request).await.unwrap().into_inner().rule })
    });
    for call in calls.collect::<Vec<_>>() {
        assert_eq!(call.await.unwrap(), "");
    }
}
