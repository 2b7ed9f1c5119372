//! Connections over HTTP/1.1 that are kept, and that end.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream as Client;

use tokio::net::UnixStream;
use tokio::task::JoinHandle;

use super::*;
use crate::threads::Threads;

const PATIENCE: Duration = Duration::from_secs(20);
const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n";
const LAST_REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";

/// A served connection, from its client's side. The runtime has one thread, so nothing is served but while a test waits.
struct Rig {
    client: Client,
    threads: Threads,
    phase: watch::Sender<Phase>,
    serving: JoinHandle<()>,
}

impl Rig {
    fn new(limits: Limits) -> Self {
        let (client, server) = Client::pair().unwrap();
        client.set_nonblocking(true).unwrap();
        server.set_nonblocking(true).unwrap();
        let server = UnixStream::from_std(server).unwrap();
        let (phase, stopping) = watch::channel(Phase::Serving);
        let answer = async |_| Ok(Response::new(Body::empty()));
        let threads = Threads::start(1).unwrap();
        let seat = threads.seat().unwrap();
        let serving = tokio::spawn(hold(
            Arc::new(Manners::new(&limits)),
            server,
            move |request| Box::pin(answer(request)) as CountedAnswer,
            (seat, stopping),
            Watch::default(),
        ));
        Self {
            client,
            threads,
            phase,
            serving,
        }
    }

    fn send(&mut self, bytes: &[u8]) {
        self.client.write_all(bytes).unwrap();
    }

    /// The next answer's header; what came where the connection ends before.
    async fn answer(&mut self) -> String {
        self.read_while(|read| !read.ends_with(b"\r\n\r\n")).await
    }

    /// The type and the contents of the next frame of HTTP/2.
    async fn frame(&mut self) -> (u8, Vec<u8>) {
        let head = self.read(9).await;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        (head[3], self.read(length as usize).await)
    }

    async fn read(&mut self, count: usize) -> Vec<u8> {
        let mut read = Vec::new();
        let reading = async {
            let mut byte = [0];
            while read.len() < count {
                match self.client.read(&mut byte) {
                    Ok(0) => panic!("it ends within a frame"),
                    Ok(_) => read.extend(byte),
                    Err(_) => tokio::time::sleep(Duration::from_millis(1)).await,
                }
            }
        };
        tokio::time::timeout(PATIENCE, reading).await.expect("in time");
        read
    }

    /// All that comes until the connection ends.
    async fn rest(&mut self) -> String {
        self.read_while(|_| true).await
    }

    async fn read_while(&mut self, more: impl Fn(&[u8]) -> bool) -> String {
        let (mut read, mut byte) = (Vec::new(), [0]);
        let reading = async {
            while more(&read) {
                match self.client.read(&mut byte) {
                    Ok(0) => break,
                    Ok(_) => read.extend(byte),
                    Err(_) => tokio::time::sleep(Duration::from_millis(1)).await,
                }
            }
        };
        tokio::time::timeout(PATIENCE, reading).await.expect("in time");
        String::from_utf8(read).unwrap()
    }
}

type CountedAnswer = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

#[tokio::test]
async fn a_request_that_has_come_is_answered_though_the_server_stops() {
    for is_new in [true, false] {
        let mut rig = Rig::new(Limits::default());
        if !is_new {
            rig.send(REQUEST);
            assert!(rig.answer().await.starts_with("HTTP/1.1 200"));
        }
        // What the system holds by now nobody has read when the end is known.
        rig.send(REQUEST);
        rig.phase.send_replace(Phase::Draining);
        let answer = rig.rest().await;
        assert!(answer.starts_with("HTTP/1.1 200"), "new: {is_new}: {answer}");
        assert!(answer.contains("\r\nconnection: close\r\n"), "{answer}");
        rig.serving.await.unwrap();
    }
}

#[tokio::test]
async fn an_idle_connection_ends_when_the_server_stops() {
    let mut rig = Rig::new(Limits::default());
    rig.send(REQUEST);
    rig.answer().await;
    rig.phase.send_replace(Phase::Draining);
    assert_eq!(rig.rest().await, "");
    rig.serving.await.unwrap();
}

#[tokio::test]
async fn clients_are_told_how_long_connections_are_kept() {
    let mut rig = Rig::new(Limits::default());
    rig.send(REQUEST);
    let answer = rig.answer().await;
    assert!(answer.contains("\r\nconnection: keep-alive\r\n"), "{answer}");
    assert!(answer.contains("\r\nkeep-alive: timeout=95\r\n"), "{answer}");
    rig.send(LAST_REQUEST);
    let last = rig.rest().await;
    assert!(!last.contains("keep-alive"), "{last}");
}

#[tokio::test]
async fn an_idle_connection_is_closed_in_its_time() {
    let mut rig = Rig::new(Limits {
        idle_timeout_ms: 50,
        ..Limits::default()
    });
    rig.send(REQUEST);
    let answer = rig.answer().await;
    assert!(!answer.contains("keep-alive"), "too short to be told: {answer}");
    assert_eq!(rig.rest().await, "");
}

#[tokio::test]
async fn a_header_that_has_begun_has_less_time_than_an_idle_connection() {
    for is_new in [true, false] {
        let mut rig = Rig::new(Limits {
            header_timeout_ms: 50,
            ..Limits::default()
        });
        if !is_new {
            rig.send(REQUEST);
            rig.answer().await;
        }
        rig.send(b"GET /some/path HTTP/1.1\r\nx-slow: ");
        rig.rest().await;
        rig.serving.await.unwrap();
    }
}

#[test]
fn less_is_announced_than_is_kept() {
    for (idle_timeout_ms, announced) in [
        (100_000, 95),
        (20_000, 15),
        (4_000, 3),
        (1_400, 1),
        (1_000, 0),
        (100, 0),
    ] {
        assert_eq!(announced_s(idle_timeout_ms), announced, "{idle_timeout_ms}");
    }
}

/// The header of a frame without contents (RFC 9113 section 4.1).
fn frame(kind: u8, flags: u8) -> [u8; 9] {
    [0, 0, 0, kind, flags, 0, 0, 0, 0]
}

#[tokio::test]
async fn a_client_over_http2_is_told_to_connect_anew_and_answered_meanwhile() {
    const SETTINGS: u8 = 4;
    const GOAWAY: u8 = 7;
    let mut rig = Rig::new(Limits::default());
    rig.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    rig.send(&frame(SETTINGS, 0));
    // Its settings, and the acknowledgement of the client's.
    let greeting = rig.frame().await;
    assert_eq!(greeting.0, SETTINGS);
    rig.send(&frame(SETTINGS, 1));
    rig.threads.ask_to_leave();
    while rig.frame().await.0 != GOAWAY {}
    // A ping follows the first GOAWAY; the connection ends when the client has answered it.
    let ping = loop {
        let (kind, contents) = rig.frame().await;
        if kind == 6 {
            break contents;
        }
    };
    rig.send(&[&[0, 0, 8, 6, 1, 0, 0, 0, 0][..], &ping].concat());
    while rig.frame().await.0 != GOAWAY {}
    rig.rest().await;
    rig.serving.await.unwrap();
}

#[tokio::test]
async fn a_client_over_http1_is_not_told_to_leave() {
    let mut rig = Rig::new(Limits::default());
    for _ in 0..2 {
        rig.send(REQUEST);
        assert!(rig.answer().await.starts_with("HTTP/1.1 200"));
        rig.threads.ask_to_leave();
    }
}
