//! Servers that close connections when they like.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel};

use http::Method;
use http_body_util::BodyExt as _;
use tokio::time::timeout;

use super::*;
use crate::upstream::connector;

const PATIENCE: Duration = Duration::from_secs(20);
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// The behaviour of a server on its first, second and later connections.
type Part = fn(&mut Line);

/// A connection as its server sees it.
struct Line {
    stream: BufReader<TcpStream>,
    told: Sender<&'static str>,
    asked: Arc<Mutex<Receiver<()>>>,
}

impl Line {
    /// Reads a request with its body of five bytes; whether there is one.
    fn request(&mut self) -> bool {
        let mut line = String::new();
        while line != "\r\n" {
            line.clear();
            if self.stream.read_line(&mut line).unwrap_or_default() == 0 {
                self.tell("end");
                return false;
            }
        }
        let is_whole = self.stream.read_exact(&mut [0; 5]).is_ok();
        self.tell("request");
        is_whole
    }

    fn answer(&mut self) {
        self.say(ANSWER);
    }

    fn say(&mut self, bytes: &[u8]) {
        // A client that has gone is the test's affair.
        let _ = self.stream.get_mut().write_all(bytes);
    }

    /// Waits until the test wants it to go on.
    fn wait(&self) {
        let _ = self.asked.lock().unwrap().recv_timeout(PATIENCE);
    }

    fn close(&mut self) {
        let _ = self.stream.get_mut().shutdown(Shutdown::Both);
        self.tell("closed");
    }

    fn tell(&self, event: &'static str) {
        let _ = self.told.send(event);
    }
}

fn properly(line: &mut Line) {
    while line.request() {
        line.answer();
    }
}

/// A server whose connections play these parts in turn, the last one for ever; what it tells of them, and what lets it go on.
fn server(parts: &'static [Part]) -> (Uri, Receiver<&'static str>, Sender<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/mcp", listener.local_addr().unwrap());
    let (told, events) = channel();
    let (go_on, asked) = channel();
    let asked = Arc::new(Mutex::new(asked));
    std::thread::spawn(move || {
        for (number, stream) in listener.incoming().enumerate() {
            let part = *parts.get(number).unwrap_or_else(|| parts.last().unwrap());
            let told = told.clone();
            if told.send("connection").is_err() {
                return;
            }
            let mut line = Line {
                stream: BufReader::new(stream.unwrap()),
                told,
                asked: Arc::clone(&asked),
            };
            std::thread::spawn(move || part(&mut line));
        }
    });
    (url.parse().unwrap(), events, go_on)
}

struct Rig {
    pool: Pool,
    usage: Usage,
    url: Uri,
    events: Receiver<&'static str>,
    go_on: Sender<()>,
}

impl Rig {
    fn new(parts: &'static [Part]) -> Self {
        Self::keeping(parts, 8, Duration::from_secs(4))
    }

    fn keeping(parts: &'static [Part], max_idle: usize, idle_time: Duration) -> Self {
        let (url, events, go_on) = server(parts);
        let connector = connector(None, false, false, PATIENCE).unwrap();
        Self {
            pool: Pool::new(connector, &url, max_idle, idle_time).unwrap(),
            usage: Usage::default(),
            url,
            events,
            go_on,
        }
    }

    async fn send(&self) -> Result<Response<PooledBody>, SendError> {
        let request = || {
            let mut request = Request::new(Full::from("hello"));
            *request.method_mut() = Method::POST;
            *request.uri_mut() = self.url.clone();
            request
        };
        let sent = timeout(PATIENCE, self.pool.send(request, &self.usage));
        sent.await.expect("in time")
    }

    /// A call that is answered, with its body.
    async fn call(&self) {
        let body = self.send().await.expect("a reply").into_body();
        assert_eq!(body.collect().await.unwrap().to_bytes(), "ok");
    }

    /// Lets the server go on, and waits until it tells this, without a look at any connection meanwhile.
    fn wait(&self, event: &str) {
        self.go_on.send(()).unwrap();
        while self.events.recv_timeout(PATIENCE).expect("in time") != event {}
    }

    /// The number of times that the server has reported this event.
    fn count(&self, event: &str) -> usize {
        self.events.try_iter().filter(|told| *told == event).count()
    }

    /// Returns true if a connection would be used again at this time from now.
    fn keeps(&self, after: Duration) -> bool {
        self.pool.idle.take(Instant::now() + after).is_some()
    }
}

#[tokio::test]
async fn calls_one_after_the_other_use_one_connection() {
    let rig = Rig::new(&[properly]);
    for _ in 0..50 {
        rig.call().await;
    }
    assert_eq!(rig.count("connection"), 1);
    assert_eq!(rig.usage.sent_by_connection(), [("new", 1), ("reused", 49)]);
    assert_eq!(rig.usage.retries(), 0);
}

#[tokio::test]
async fn a_connection_that_was_closed_unseen_is_not_written_to() {
    let rig = Rig::new(&[
        |line| {
            line.request();
            line.answer();
            line.request();
            line.answer();
            line.wait();
            line.close();
        },
        properly,
    ]);
    rig.call().await;
    rig.call().await;
    // Nothing looks at the connection meanwhile: this is the only thread that could.
    rig.wait("closed");
    rig.call().await;
    assert_eq!((rig.count("connection"), rig.usage.retries()), (1, 1));
    assert_eq!(rig.usage.sent_by_connection(), [("new", 2), ("reused", 1)]);
}

#[tokio::test]
async fn what_a_server_says_before_it_closes_is_no_answer() {
    let rig = Rig::new(&[
        |line| {
            line.request();
            line.answer();
            line.wait();
            line.say(b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            line.tell("late");
            line.request();
        },
        properly,
    ]);
    rig.call().await;
    rig.wait("late");
    rig.call().await;
    assert_eq!((rig.count("connection"), rig.usage.retries()), (1, 1));
}

#[tokio::test]
async fn what_a_server_may_have_read_is_sent_once() {
    let rig = Rig::new(&[
        |line| {
            line.request();
            line.answer();
            // The second one is read as a whole, and the connection closed.
            line.request();
            line.close();
        },
        properly,
    ]);
    rig.call().await;
    assert!(matches!(rig.send().await, Err(SendError::Broken(_))));
    assert_eq!((rig.count("request"), rig.usage.retries()), (2, 0));
    rig.call().await;
}

#[tokio::test]
async fn the_server_s_time_is_kept() {
    let rig = Rig::new(&[
        |line| {
            line.request();
            line.say(b"HTTP/1.1 200 OK\r\nkeep-alive: timeout=2\r\ncontent-length: 2\r\n\r\nok");
            line.request();
            line.say(b"HTTP/1.1 200 OK\r\nkeep-alive: timeout=0\r\ncontent-length: 2\r\n\r\nok");
            line.request();
        },
        properly,
    ]);
    rig.call().await;
    assert!(!rig.keeps(Duration::from_millis(1_001)), "less a second");
    rig.call().await;
    assert_eq!(rig.usage.sent_by_connection(), [("new", 2), ("reused", 0)]);
    assert!(
        !rig.keeps(Duration::from_secs(4)),
        "the time of the configuration"
    );
    rig.call().await;
    assert!(rig.keeps(Duration::from_millis(3_900)));
}

#[tokio::test]
async fn a_connection_is_closed_when_its_time_is_over() {
    let rig = Rig::keeping(&[properly], 8, Duration::from_millis(50));
    rig.call().await;
    let closed = tokio::task::spawn_blocking(move || {
        rig.wait("end");
        rig
    });
    let rig = closed.await.unwrap();
    rig.call().await;
    assert_eq!(rig.usage.sent_by_connection(), [("new", 2), ("reused", 0)]);
}

#[tokio::test]
async fn no_more_are_kept_than_may_be() {
    for (max_idle, kept) in [(0, 0), (1, 1), (3, 3)] {
        let rig = Rig::keeping(&[properly], max_idle, PATIENCE);
        let replies = [rig.send().await, rig.send().await, rig.send().await];
        for reply in replies {
            reply.unwrap().into_body().collect().await.unwrap();
        }
        let found = std::iter::from_fn(|| rig.pool.idle.take(Instant::now())).count();
        assert_eq!(found, kept);
    }
}

#[tokio::test]
async fn a_reply_that_is_dropped_takes_its_connection_along() {
    let rig = Rig::new(&[
        |line| {
            line.request();
            line.say(b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nok");
            line.request();
        },
        properly,
    ]);
    drop(rig.send().await.unwrap());
    rig.call().await;
    assert_eq!(rig.usage.sent_by_connection(), [("new", 2), ("reused", 0)]);
}

#[test]
fn what_is_withdrawn_is_never_written() {
    let writes = Writes::default();
    assert!(!writes.withdraw(), "no request has begun");
    for is_reused in [false, true] {
        writes.begin(is_reused);
        assert!(writes.withdraw());
        assert!(!writes.withdraw());
    }
}

#[test]
fn the_host_is_named_as_browsers_do() {
    for (url, expected) in [
        ("http://a/mcp", "a"),
        ("http://a:80/mcp", "a"),
        ("https://a:443/", "a"),
        ("https://a:80/", "a:80"),
        ("http://[::1]:8000/", "[::1]:8000"),
    ] {
        let url: Uri = url.parse().unwrap();
        let named = host(url.scheme().unwrap(), url.authority().unwrap()).unwrap();
        assert_eq!(named, expected, "{url}");
    }
}
