//! Requests that are answered before their body has arrived.

use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;

use bytes::Bytes;
use callgate_server::Limits;
use h2::client;

use super::support::{Rig, answer, request};

const LIMIT_BYTES: usize = 1_000;

/// More than the buffers of two sockets hold, so that the body of a client that writes first has to be read.
const LARGE_BYTES: usize = 32 * 1024 * 1024;

/// The largest number of bytes of one body that the server discards (`docs/operations.md`).
const THROWN_AWAY_BYTES: usize = 64 * 1024 * 1024;

/// The paths to which bodies are sent, and the statuses of a body over the limit there.
const DOORS: [(&str, &[u16]); 6] = [
    ("/v1/check", &[413]),
    ("/v1/forward-auth", &[413]),
    ("/v1/auth-request", &[413]),
    ("/v1/ext-authz/mcp/srv", &[413]),
    ("/mcp/none", &[404, 413]),
    ("/nowhere", &[404]),
];

fn rig() -> Rig {
    Rig::limited(Limits {
        body_limit_bytes: LIMIT_BYTES,
        ..Limits::default()
    })
}

/// Writes all of a body before it reads anything.
fn written(stream: &mut TcpStream, path: &str, fields: &[&str], body: &[u8]) -> io::Result<()> {
    let fields = [&["Host: localhost"], fields].concat();
    stream.write_all(&request(&format!("POST {path}"), &fields, body))
}

#[test]
fn clients_that_write_first_read_the_answer() {
    let rig = rig();
    for (path, expected) in DOORS {
        let mut stream = rig.connect();
        written(&mut stream, path, &[], &vec![b' '; LARGE_BYTES])
            .unwrap_or_else(|error| panic!("{path}: {error}"));
        let status = answer(stream).status;
        assert!(expected.contains(&status), "{path}: {status}");
    }
}

#[test]
fn what_is_refused_in_the_middle_is_read_on() {
    let rig = rig();
    let mut stream = rig.connect();
    let chunk = format!("100000\r\n{}\r\n", " ".repeat(0x10_0000));
    let body = format!("{}0\r\n\r\n", chunk.repeat(LARGE_BYTES / 0x10_0000));
    written(
        &mut stream,
        "/v1/check",
        &["Transfer-Encoding: chunked"],
        body.as_bytes(),
    )
    .unwrap();
    assert_eq!(answer(stream).status, 413);
}

#[test]
fn grpc_over_http1_is_read_on() {
    let rig = rig();
    let mut stream = rig.connect();
    let path = "/callgate.decision.v1.DecisionService/Check";
    written(
        &mut stream,
        path,
        &["Content-Type: application/grpc"],
        &vec![0; LARGE_BYTES],
    )
    .unwrap();
    assert_eq!(answer(stream).field("grpc-status"), Some("12"));
}

#[test]
fn nobody_is_read_for_ever() {
    let rig = rig();
    let mut stream = rig.connect();
    let error = written(
        &mut stream,
        "/v1/check",
        &[],
        &vec![b' '; THROWN_AWAY_BYTES + LARGE_BYTES],
    );
    assert!(error.is_err(), "read to its end");
}

#[test]
fn a_client_that_waits_for_leave_gets_none() {
    let rig = rig();
    let mut stream = rig.connect();
    let fields = ["Expect: 100-continue", "Content-Length: 5242880"];
    written(&mut stream, "/v1/check", &fields, b"").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    assert!(text.starts_with("HTTP/1.1 413"), "{text}");
}

#[test]
fn the_connection_goes_on_after_what_was_thrown_away() {
    let rig = rig();
    let mut stream = rig.connect();
    let ignored = vec![b' '; 256 * 1024];
    let head = format!(
        "POST /nowhere HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n",
        ignored.len()
    );
    stream.write_all(&[head.as_bytes(), &ignored].concat()).unwrap();
    let call = br#"{"grant":"g","tool":"open"}"#;
    written(&mut stream, "/v1/check", &[], call).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    assert!(text.starts_with("HTTP/1.1 404"), "{text}");
    assert!(text.contains("HTTP/1.1 200"), "{text}");
}

#[tokio::test]
async fn streams_of_http2_are_not_reset() {
    let rig = rig();
    for (path, expected) in DOORS {
        let stream = tokio::net::TcpStream::connect(rig.server.address().unwrap())
            .await
            .unwrap();
        let (sender, connection) = client::handshake(stream).await.unwrap();
        tokio::spawn(connection);
        let mut sender = sender.ready().await.unwrap();
        let request = ::http::Request::post(format!("http://localhost{path}"))
            .body(())
            .unwrap();
        let (response, mut body) = sender.send_request(request, false).unwrap();
        let mut left = LARGE_BYTES;
        while left > 0 {
            body.reserve_capacity(left);
            let room = std::future::poll_fn(|cx| body.poll_capacity(cx))
                .await
                .unwrap()
                .unwrap();
            let size = room.min(left);
            left -= size;
            body.send_data(Bytes::from(vec![b' '; size]), left == 0).unwrap();
        }
        let status = response.await.unwrap().status().as_u16();
        assert!(expected.contains(&status), "{path}: {status}");
    }
}
