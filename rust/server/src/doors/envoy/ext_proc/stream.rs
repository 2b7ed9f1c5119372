//! The answers of one exchange, as a stream.
//!
//! Like `CheckStream` it has no task and no queue: the next message is read when the answers to the previous one
//! are sent.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use callgate_proto::pb::envoy::service::ext_proc::v3::processing_request::Request;
use callgate_proto::pb::envoy::service::ext_proc::v3::{ProcessingRequest, ProcessingResponse};
use tokio::sync::watch;
use tokio::time::Sleep;
use tokio_stream::Stream;
use tonic::{Code, Status, Streaming};

use super::exchange::Exchange;
use crate::apart::poll_apart;
use crate::deadline::{self, Deadline};
use crate::doors::grpc::decision::our_code;
use crate::doors::turn::Turn;
use crate::gate::Gate;
use crate::phase::Phase;

type Timer = Pin<Box<Sleep>>;

/// The answers to one request and its reply.
pub(crate) struct Answers {
    exchange: Exchange,
    messages: Streaming<ProcessingRequest>,
    gate: Arc<Gate>,
    /// The timer until which the request must have arrived; used only until it has.
    patience: Timer,
    deadline: Option<Timer>,
    stopping: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    turn: Turn,
    /// A message that makes a large body, until this thread may work on it.
    large: Option<ProcessingRequest>,
    is_over: bool,
}

impl Answers {
    pub(super) fn new(
        exchange: Exchange,
        messages: Streaming<ProcessingRequest>,
        gate: Arc<Gate>,
        patience: Duration,
        deadline: Option<Deadline>,
        mut phase: watch::Receiver<Phase>,
    ) -> Self {
        let stopping = async move {
            // A server that is gone has stopped.
            let _ = phase.wait_for(|phase| *phase >= Phase::Draining).await;
        };
        Self {
            exchange,
            messages,
            gate,
            patience: Box::pin(tokio::time::sleep(patience)),
            deadline: deadline.map(|deadline| Box::pin(tokio::time::sleep_until(deadline.at().into()))),
            stopping: Some(Box::pin(stopping)),
            turn: Turn::default(),
            large: None,
            is_over: false,
        }
    }

    /// Ready if there is no reason to wait for a next message: with the error of the stream, or with `Ok` if the rest
    /// passes without being seen.
    fn poll_enough(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Status>> {
        if self.exchange.is_unjudged() && self.patience.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(Status::deadline_exceeded(
                "the request took too long to arrive",
            )));
        }
        if self
            .deadline
            .as_mut()
            .is_some_and(|deadline| deadline.as_mut().poll(cx).is_ready())
        {
            return Poll::Ready(Err(deadline::over()));
        }
        if self
            .stopping
            .as_mut()
            .is_some_and(|stopping| stopping.as_mut().poll(cx).is_ready())
        {
            self.stopping = None;
        }
        if self.stopping.is_some() {
            return Poll::Pending;
        }
        match self.exchange.can_be_left() {
            None => Poll::Pending,
            Some(true) => Poll::Ready(Ok(())),
            Some(false) => Poll::Ready(Err(Status::unavailable("the server is stopping; ask again"))),
        }
    }

    fn end(&mut self, result: Result<(), Status>) -> Poll<Option<Result<ProcessingResponse, Status>>> {
        self.is_over = true;
        self.gate
            .metrics
            .grpc(result.as_ref().err().map_or(Code::Ok, Status::code));
        Poll::Ready(result.err().map(Err))
    }
}

impl Stream for Answers {
    type Item = Result<ProcessingResponse, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.is_over {
            return Poll::Ready(None);
        }
        loop {
            if let Some(answer) = self.exchange.next_answer() {
                return Poll::Ready(Some(Ok(answer)));
            }
            if self.exchange.is_over() {
                return self.end(Ok(()));
            }
            if self.exchange.is_waiting() {
                match self.exchange.poll_answered(cx) {
                    Poll::Ready(Ok(())) => continue,
                    Poll::Ready(Err(status)) => return self.end(Err(status)),
                    Poll::Pending => {
                        return match self.poll_enough(cx) {
                            Poll::Ready(enough) => self.end(enough),
                            Poll::Pending => Poll::Pending,
                        };
                    }
                }
            }
            if self.turn.poll_go_on(cx).is_pending() {
                return Poll::Pending;
            }
            let next = match self.large.take() {
                Some(message) => Poll::Ready(Some(Ok(message))),
                None => Pin::new(&mut self.messages).poll_next(cx),
            };
            match next {
                Poll::Ready(Some(Ok(message))) => {
                    let bytes = self.exchange.held_bytes() + body_bytes(&message);
                    if self.exchange.works_on(&message) && poll_apart(cx, bytes).is_pending() {
                        self.large = Some(message);
                        return Poll::Pending;
                    }
                    self.turn.spend(body_bytes(&message));
                    if let Err(status) = self.exchange.take(message) {
                        return self.end(Err(status));
                    }
                }
                Poll::Ready(Some(Err(status))) => {
                    let status = Status::new(our_code(status.code()), status.message());
                    return self.end(Err(status));
                }
                Poll::Ready(None) => return self.end(Ok(())),
                Poll::Pending => {
                    return match self.poll_enough(cx) {
                        Poll::Ready(enough) => self.end(enough),
                        Poll::Pending => Poll::Pending,
                    };
                }
            }
        }
    }
}

impl Drop for Answers {
    fn drop(&mut self) {
        if !self.is_over {
            self.gate.metrics.grpc(Code::Cancelled);
        }
    }
}

fn body_bytes(message: &ProcessingRequest) -> usize {
    match &message.request {
        Some(Request::RequestBody(piece) | Request::ResponseBody(piece)) => piece.body.len(),
        _ => 0,
    }
}
