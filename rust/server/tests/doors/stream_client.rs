//! A client of `CheckStream` that tests control: it may stop in the middle of a message, or read no answers.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use callgate_proto::decision::v1::{CheckRequest, CheckStreamRequest, CheckStreamResponse};
use h2::client::{Builder, SendRequest};
use h2::{RecvStream, SendStream};
use prost::Message as _;
use tokio::net::TcpStream;

use super::support::{Rig, frame, post};

pub(crate) const CHECK_STREAM: &str = "/callgate.decision.v1.DecisionService/CheckStream";

/// The time after which a test stops waiting for an event.
const PATIENCE: Duration = Duration::from_secs(60);

/// The bytes of one call in a stream.
pub(crate) fn call(id: u64, tool: &str) -> Vec<u8> {
    let call = CheckRequest {
        grant: "g".to_owned(),
        tool: tool.to_owned(),
        ..CheckRequest::default()
    };
    message(&CheckStreamRequest { id, call: Some(call) })
}

pub(crate) fn message(message: &CheckStreamRequest) -> Vec<u8> {
    frame(&message.encode_to_vec())
}

/// One HTTP/2 connection, whose answers may fill `window_bytes` before they are taken.
pub(crate) async fn connect(rig: &Rig, window_bytes: u32) -> SendRequest<Bytes> {
    let socket = TcpStream::connect(rig.server.address().unwrap()).await.unwrap();
    let (client, connection) = Builder::new()
        .initial_window_size(window_bytes)
        .handshake(socket)
        .await
        .unwrap();
    tokio::spawn(connection);
    client
}

/// One stream.
pub(crate) struct Stream {
    sender: SendStream<Bytes>,
    receiver: RecvStream,
    received: BytesMut,
}

impl Stream {
    pub(crate) async fn open(rig: &Rig) -> Self {
        Self::with(connect(rig, 1 << 20).await, &[]).await
    }

    pub(crate) async fn with(client: SendRequest<Bytes>, fields: &[(&str, &str)]) -> Self {
        let mut request = post(CHECK_STREAM);
        for field in fields {
            request = request.header(field.0, field.1);
        }
        let mut client = client.ready().await.unwrap();
        let (response, sender) = client.send_request(request.body(()).unwrap(), false).unwrap();
        let response = within(response).await.unwrap();
        assert_eq!(response.status(), 200);
        assert!(!response.headers().contains_key("grpc-status"), "{response:?}");
        Self {
            sender,
            receiver: response.into_body(),
            received: BytesMut::new(),
        }
    }

    /// Queues bytes; they are sent as the server's window allows.
    pub(crate) fn send(&mut self, bytes: impl Into<Bytes>) {
        self.sender.send_data(bytes.into(), false).unwrap();
    }

    /// Queues bytes; returns false if the server has closed the stream.
    pub(crate) fn try_send(&mut self, bytes: impl Into<Bytes>) -> bool {
        self.sender.send_data(bytes.into(), false).is_ok()
    }

    pub(crate) fn end(&mut self) {
        self.sender.send_data(Bytes::new(), true).unwrap();
    }

    /// Sends as much of `bytes` as the server accepts until it has accepted nothing for a while; returns the number of
    /// bytes.
    pub(crate) async fn fill(&mut self, bytes: &Bytes) -> usize {
        const QUIET: Duration = Duration::from_millis(500);
        let mut sent = 0;
        while sent < bytes.len() {
            self.sender.reserve_capacity(16 * 1024);
            let capacity = std::future::poll_fn(|cx| self.sender.poll_capacity(cx));
            let Ok(capacity) = tokio::time::timeout(QUIET, capacity).await else {
                break;
            };
            let end = bytes.len().min(sent + capacity.unwrap().unwrap());
            self.sender.send_data(bytes.slice(sent..end), false).unwrap();
            sent = end;
        }
        sent
    }

    /// Returns the next answer, or the status at the end.
    pub(crate) async fn next(&mut self) -> Result<CheckStreamResponse, (u16, String)> {
        loop {
            if let Some(answer) = self.take() {
                return Ok(answer);
            }
            match within(self.receiver.data()).await {
                Some(bytes) => {
                    let bytes = bytes.unwrap();
                    self.receiver
                        .flow_control()
                        .release_capacity(bytes.len())
                        .unwrap();
                    self.received.extend_from_slice(&bytes);
                }
                None => return Err(self.status().await),
            }
        }
    }

    /// Returns the rules of the remaining answers, each with its id, and the status at the end.
    pub(crate) async fn rest(&mut self) -> (Vec<(u64, String)>, u16) {
        let mut rules = Vec::new();
        loop {
            match self.next().await {
                Ok(answer) => rules.push((answer.id, answer.decision.unwrap().rule)),
                Err((status, _)) => return (rules, status),
            }
        }
    }

    fn take(&mut self) -> Option<CheckStreamResponse> {
        let prefix: [u8; 5] = self.received.get(..5)?.try_into().unwrap();
        let [0, length @ ..] = prefix else {
            panic!("compressed: {prefix:?}")
        };
        let length = u32::from_be_bytes(length) as usize;
        if self.received.len() < 5 + length {
            return None;
        }
        let message = self.received.split_to(5 + length).split_off(5);
        Some(CheckStreamResponse::decode(message).unwrap())
    }

    async fn status(&mut self) -> (u16, String) {
        assert!(self.received.is_empty(), "half an answer: {:?}", self.received);
        let trailers = within(self.receiver.trailers()).await.unwrap().unwrap();
        let text = |name| {
            trailers
                .get(name)
                .map(|value| value.to_str().unwrap().to_owned())
                .unwrap_or_default()
        };
        (text("grpc-status").parse().unwrap(), text("grpc-message"))
    }
}

async fn within<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(PATIENCE, future)
        .await
        .expect("it never came")
}
