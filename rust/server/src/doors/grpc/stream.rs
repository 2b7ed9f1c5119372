//! `CheckStream`: calls decided as they arrive.
//!
//! The answers are a stream that reads the next call when the next answer is wanted. So there is no task and no queue:
//! a client that does not take its answers is not read any further, answers that are ready together are sent together,
//! and they keep the order of the calls.

use std::pin::Pin;
use std::task::{Context, Poll};

use callgate_proto::decision::v1 as pb;
use tokio::sync::watch;
use tokio::time::Sleep;
use tokio_stream::Stream;
use tonic::{Code, Status, Streaming};

use crate::deadline::{self, Deadline};
use crate::doors::grpc::decision::{Decisions, our_code};
use crate::doors::turn::Turn;
use crate::identity::Asker;
use crate::ingress::Ingress;
use crate::limits::STREAM_WINDOW_BYTES;
use crate::phase::Phase;

type Stopping = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The answers to the calls of one stream.
pub(crate) struct Answers {
    decisions: Decisions,
    asker: Option<Asker>,
    /// The ingress of the stream, the same for all its calls.
    ingress: Ingress,
    calls: Streaming<pb::CheckStreamRequest>,
    deadline: Option<(Deadline, Pin<Box<Sleep>>)>,
    life: Life,
    turn: Turn,
}

/// The stage of a stream.
enum Life {
    /// The stream continues until the client or the server ends it.
    Open(Stopping),
    /// The server stops. At most this number of bytes of calls can have arrived before that; they are still decided.
    Closing(usize),
    /// The stream has ended.
    Over,
}

impl Answers {
    pub(crate) fn new(
        decisions: Decisions,
        (asker, ingress): (Option<Asker>, Ingress),
        calls: Streaming<pb::CheckStreamRequest>,
        deadline: Option<Deadline>,
        mut phase: watch::Receiver<Phase>,
    ) -> Self {
        let stopping = Box::pin(async move {
            // A server that is gone has stopped.
            let _ = phase.wait_for(|phase| *phase >= Phase::Draining).await;
        });
        let sleep = |deadline: Deadline| Box::pin(tokio::time::sleep_until(deadline.at().into()));
        Self {
            decisions,
            asker,
            ingress,
            calls,
            deadline: deadline.map(|deadline| (deadline, sleep(deadline))),
            life: Life::Open(stopping),
            turn: Turn::default(),
        }
    }

    fn answer(&mut self, message: &pb::CheckStreamRequest) -> Result<pb::CheckStreamResponse, Status> {
        let decision = if let Some(call) = &message.call {
            self.turn.spend(call.args_json.len());
            self.decisions.decide(self.asker.as_ref(), self.ingress, call)?
        } else {
            self.turn.spend(0);
            self.decisions.refuse(
                self.ingress,
                "the message holds no `call`; expected one beside its `id`",
            )
        };
        Ok(pb::CheckStreamResponse {
            id: message.id,
            decision: Some(decision),
        })
    }

    /// Returns true if all calls that can have arrived before the server began to stop are decided after this one.
    fn is_closed_after(&mut self, message: &pb::CheckStreamRequest) -> bool {
        let Life::Closing(left_bytes) = &mut self.life else {
            return false;
        };
        let length = prost::Message::encoded_len(message) + PREFIX_BYTES;
        *left_bytes = left_bytes.saturating_sub(length);
        *left_bytes == 0
    }

    fn notice_stopping(&mut self) {
        if matches!(self.life, Life::Open(_)) && self.decisions.is_stopping() {
            // No more bytes than the window allows can have arrived by now.
            self.life = Life::Closing(STREAM_WINDOW_BYTES as usize);
        }
    }

    /// Returns true if the server stops; otherwise the task is woken when it does.
    fn poll_stopping(&mut self, cx: &mut Context<'_>) -> bool {
        match &mut self.life {
            Life::Open(stopping) => stopping.as_mut().poll(cx).is_ready(),
            Life::Closing(_) => true,
            Life::Over => false,
        }
    }

    /// Returns true if the deadline of the stream has passed; otherwise the task is woken when it does.
    fn poll_deadline(&mut self, cx: &mut Context<'_>) -> bool {
        self.deadline
            .as_mut()
            .is_some_and(|(_, sleep)| sleep.as_mut().poll(cx).is_ready())
    }

    fn end(&mut self, status: Option<Status>) -> Poll<Option<Result<pb::CheckStreamResponse, Status>>> {
        self.life = Life::Over;
        self.decisions
            .count_stream(status.as_ref().map_or(Code::Ok, Status::code));
        Poll::Ready(status.map(Err))
    }
}

impl Stream for Answers {
    type Item = Result<pb::CheckStreamResponse, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if matches!(self.life, Life::Over) {
            return Poll::Ready(None);
        }
        if self.turn.poll_go_on(cx).is_pending() {
            // Looked at in between, because a client that never pauses never lets the reading below run dry.
            self.notice_stopping();
            return Poll::Pending;
        }
        match Pin::new(&mut self.calls).poll_next(cx) {
            Poll::Ready(Some(Ok(message))) => {
                // Looked at for each call: the timer may be late, and a late call must take nothing.
                if self
                    .deadline
                    .as_ref()
                    .is_some_and(|(deadline, _)| deadline.is_over())
                {
                    return self.end(Some(deadline::over()));
                }
                if self.is_closed_after(&message) {
                    return self.end(Some(stopped()));
                }
                match self.answer(&message) {
                    Ok(answer) => Poll::Ready(Some(Ok(answer))),
                    Err(status) => self.end(Some(status)),
                }
            }
            Poll::Ready(Some(Err(status))) => {
                let status = Status::new(our_code(status.code()), status.message());
                self.end(Some(status))
            }
            Poll::Ready(None) => self.end(None),
            Poll::Pending => {
                if self.poll_stopping(cx) {
                    self.end(Some(stopped()))
                } else if self.poll_deadline(cx) {
                    self.end(Some(deadline::over()))
                } else {
                    Poll::Pending
                }
            }
        }
    }
}

impl Drop for Answers {
    fn drop(&mut self) {
        if !matches!(self.life, Life::Over) {
            self.decisions.count_stream(Code::Cancelled);
        }
    }
}

/// Bytes in front of each message.
const PREFIX_BYTES: usize = 5;

/// The status that makes clients ask again elsewhere, or after a restart.
fn stopped() -> Status {
    Status::unavailable("the server is stopping; calls without an answer were not decided, ask them again")
}
