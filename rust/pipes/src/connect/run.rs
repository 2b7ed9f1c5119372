//! One client, one server, and this process between them.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use callgate_core::json::Tape;
use callgate_gateway::upstream::{Upstream, UpstreamConfig, UpstreamError};
use callgate_mcp::{Message, reply as mcp};
use tokio::io::{AsyncBufRead, AsyncWrite, BufReader};
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::bridge::{About, Bridge, Running};
use super::exchange::Exchange;
use super::fields;
use crate::client;
use crate::failed::failed;
use crate::glance::Glance;
use crate::id::RequestId;
use crate::lines::{Line, Lines, text};
use crate::signals::{SIGNAL_BASE, Signals};

/// The number of bytes that are read from the client at once.
const PIECE_BYTES: usize = 64 * 1024;

/// The time to wait for replies after the client's input has ended.
const ANSWERING: Duration = Duration::from_secs(30);

pub(super) const INITIALIZE: &str = "initialize";
const INITIALIZED: &str = "notifications/initialized";
const CANCELLED: &str = "notifications/cancelled";

/// The code of an error about a line: JSON-RPC's for what cannot be read.
const UNREADABLE: i64 = -32_700;

/// The server to connect a client to.
#[derive(Clone, Debug)]
pub struct ConnectSettings {
    /// The server.
    pub upstream: UpstreamConfig,
    /// The longest line of the client that is read.
    pub line_limit_bytes: usize,
}

/// An error at the start of a connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The server's address or its header fields are invalid.
    #[error(transparent)]
    Upstream(#[from] UpstreamError),
    /// The operating system refuses something.
    #[error("cannot watch for signals: {0}")]
    System(#[from] io::Error),
}

/// Leads the client at standard input and output to the server, until the input ends; gives the exit code.
pub async fn connect(settings: ConnectSettings) -> Result<i32, ConnectError> {
    let input = BufReader::with_capacity(PIECE_BYTES, tokio::io::stdin());
    lead(settings, input, tokio::io::stdout(), client::gone()).await
}

/// Connects a client like [`connect`], with this input and output.
pub(super) async fn lead<R, O>(
    settings: ConnectSettings,
    input: R,
    output: O,
    mut gone: oneshot::Receiver<()>,
) -> Result<i32, ConnectError>
where
    R: AsyncBufRead + Unpin,
    O: AsyncWrite + Send + Unpin + 'static,
{
    let mut signals = Signals::listen()?;
    let mut client = Client {
        bridge: Bridge::new(Upstream::new(settings.upstream, Arc::default())?, output),
        tasks: JoinSet::new(),
        waiting: None,
    };
    let mut lines = Lines::new(input, settings.line_limit_bytes);
    let code = loop {
        tokio::select! {
            signal = signals.next() => break SIGNAL_BASE + signal.as_raw(),
            Ok(()) = &mut gone => break 0,
            // Later messages must not overtake one that the server has not begun to answer.
            () = begun(&mut client.waiting) => {}
            line = lines.next(), if client.waiting.is_none() => {
                // An input that cannot be read has ended.
                let Ok(Some(line)) = line else {
                    break tokio::select! {
                        () = client.finish() => 0,
                        signal = signals.next() => SIGNAL_BASE + signal.as_raw(),
                        Ok(()) = &mut gone => 0,
                    };
                };
                if client.line(line).await.is_err() {
                    break 0;
                }
            }
            Some(done) = client.tasks.join_next() => {
                if matches!(done, Ok(Err(_))) {
                    // The client takes no more.
                    break 0;
                }
            }
        }
    };
    client.end().await;
    Ok(code)
}

struct Client<O> {
    bridge: Arc<Bridge<O>>,
    tasks: JoinSet<io::Result<()>>,
    waiting: Option<oneshot::Receiver<()>>,
}

impl<O: AsyncWrite + Send + Unpin + 'static> Client<O> {
    async fn line(&mut self, line: Line) -> io::Result<()> {
        let line = match line {
            Line::Whole(line) => line,
            Line::Cut(line) => {
                let message = "the input ended within the line; end each message with a newline";
                return self.unreadable(&Glance::of(&line), message).await;
            }
            Line::TooLong(glance) => {
                return self.unreadable(&glance, "the line is too long; send less").await;
            }
        };
        let line = text(&line);
        if line.trim_ascii().is_empty() {
            return Ok(());
        }
        if Glance::of(line).is_reply() {
            let exchange = Exchange::new(&self.bridge, line, None);
            self.start(exchange, true, false);
            return Ok(());
        }
        let mut tape = Tape::new();
        let message = match Message::parse(&mut tape, line) {
            Ok(message) => message,
            // The gateway would say the same.
            Err(refusal) => return self.bridge.output.say(mcp::refused(&refusal).as_bytes()).await,
        };
        if let Some(id) = message.id()
            && RequestId::of_json(id.json()).is_none()
        {
            // Its reply could not be told from others.
            let message = "the `id` is longer than 4096 bytes, or an integer that some readers take for another one; send another `id`";
            let reply = mcp::failed_request(Some(id), UNREADABLE, message);
            return self.bridge.output.say(reply.as_bytes()).await;
        }
        let method = message.method();
        if method == CANCELLED && self.close(line) {
            return Ok(());
        }
        let exchange = Exchange::new(&self.bridge, line, Some(&message));
        if let Some(id) = &exchange.id
            && self.bridge.running().contains_key(id)
        {
            let message = "another request with this `id` has not been answered yet; give each request an id of its own";
            return self
                .bridge
                .output
                .say(failed(Some(id), UNREADABLE, message).as_bytes())
                .await;
        }
        let is_initialize = exchange.about == About::Initialize;
        self.remember(method, &exchange.line);
        let goes_first = exchange.id.is_none() || is_initialize;
        let closes = message.protocol_version().is_some_and(fields::mirrors);
        self.start(exchange, goes_first, closes);
        if method == INITIALIZED && !self.bridge.session().is_listening {
            self.bridge.listen();
        }
        Ok(())
    }

    /// Keeps what begins a session, to be said again where the server ends it.
    fn remember(&self, method: &str, line: &Bytes) {
        let mut session = self.bridge.session();
        match method {
            INITIALIZE => session.opening.initialize = Some(line.clone()),
            INITIALIZED => session.opening.initialized = Some(line.clone()),
            _ => {}
        }
    }

    /// Starts an exchange; where it `goes_first`, the next line waits until the server has begun to answer this one.
    fn start(&mut self, mut exchange: Exchange, goes_first: bool, closes: bool) {
        if goes_first {
            let (begun, waiting) = oneshot::channel();
            exchange.begun = Some(begun);
            self.waiting = Some(waiting);
        }
        let id = exchange.id.clone();
        // Held until it is in the table, which the exchange takes it out of.
        let bridge = Arc::clone(&self.bridge);
        let mut running = bridge.running();
        let abort = self.tasks.spawn(exchange.run(Arc::clone(&self.bridge)));
        if let Some(id) = id {
            running.insert(id, Running { abort, closes });
        }
    }

    /// Cancels a request that is cancelled by closing; whether it is one.
    fn close(&self, line: &[u8]) -> bool {
        let mut tape = Tape::new();
        let id = tape
            .parse(line, callgate_mcp::message::MAX_MESSAGE_DEPTH)
            .ok()
            .and_then(|message| RequestId::of_json(message.get("params")?.get("requestId")?.raw()));
        let Some(id) = id else { return false };
        let mut running = self.bridge.running();
        if !running.get(&id).is_some_and(|running| running.closes) {
            return false;
        }
        if let Some(cancelled) = running.remove(&id) {
            cancelled.abort.abort();
        }
        true
    }

    async fn unreadable(&self, glance: &Glance, message: &str) -> io::Result<()> {
        let reply = failed(glance.known_id(), UNREADABLE, message);
        self.bridge.output.say(reply.as_bytes()).await
    }

    /// Waits for the replies that are still to come.
    async fn finish(&mut self) {
        let all = async { while self.tasks.join_next().await.is_some() {} };
        // Replies that have not come by then are given up.
        let _ = timeout(ANSWERING, all).await;
    }

    /// Ends the session.
    async fn end(mut self) {
        self.tasks.shutdown().await;
        if let Some(listener) = self.bridge.listener().take() {
            listener.abort();
        }
        let session = self.bridge.session().clone();
        self.bridge.end(&session).await;
    }
}

async fn begun(waiting: &mut Option<oneshot::Receiver<()>>) {
    let Some(receiver) = waiting else {
        return std::future::pending().await;
    };
    // Told or dropped, it is over.
    let _ = receiver.await;
    *waiting = None;
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, duplex};
    use tokio::net::TcpListener;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(20);

    #[tokio::test(flavor = "multi_thread")]
    async fn a_request_whose_reply_could_not_be_known_again_is_answered_and_not_sent() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("bound");
        let long_id = format!("\"{}\"", "i".repeat(5_000));
        let ids = ["9007199254740993", "-12345678901234567890", &long_id];
        let line = |id| {
            format!(
                "{{\"jsonrpc\":\"2.0\",\"id\":{id},\"method\":\"tools/call\",\"params\":{{\"name\":\"t\"}}}}\n"
            )
        };
        let lines = ids.map(line).concat();
        let settings = ConnectSettings {
            upstream: UpstreamConfig::at(format!("http://{address}/mcp")),
            line_limit_bytes: 10_000,
        };
        let (output, mut answers) = duplex(64 * 1024);
        let (_staying, gone) = oneshot::channel();
        let led = timeout(PATIENCE, lead(settings, lines.as_bytes(), output, gone)).await;
        assert_eq!(led.expect("in time").expect("led"), 0);
        let mut said = String::new();
        answers.read_to_string(&mut said).await.expect("readable");
        assert_eq!(said.lines().count(), ids.len(), "{said}");
        for (line, id) in said.lines().zip(ids) {
            let begins = format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"error\":{{\"code\":-32700,");
            assert!(line.starts_with(&begins), "{line}");
        }
        let reached = timeout(Duration::from_millis(50), listener.accept()).await;
        assert!(reached.is_err(), "nothing was sent");
    }
}
