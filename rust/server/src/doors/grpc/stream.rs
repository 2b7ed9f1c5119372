//! `CheckStream`: calls decided as they arrive.
//!
//! The answers are a stream that reads the next call when the next answer is wanted. So there is no task and no queue:
//! a client that does not take its answers is not read any further, answers that are ready together are sent together,
//! and they keep the order of the calls. Behind a call that waits for a person's approval, a bounded number of calls is
//! decided meanwhile.

use std::collections::VecDeque;
use std::future::ready;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use callgate_proto::decision::v1 as pb;
use tokio::sync::watch;
use tokio::time::Sleep;
use tokio_stream::Stream;
use tonic::{Code, Status, Streaming};

use crate::apart::poll_apart;
use crate::bodies::{ConnectionShare, HeldBytes};
use crate::deadline::{self, Deadline};
use crate::doors::grpc::decision::{Begun, Decisions, our_code};
use crate::doors::grpc::written::{WrittenAnswer, WrittenDecision};
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
    /// Of this connection, for the calls that wait.
    share: Arc<ConnectionShare>,
    deadline: Option<(Deadline, Pin<Box<Sleep>>)>,
    life: Life,
    turn: Turn,
    /// A large call, until this thread may work on it.
    large: Option<pb::CheckStreamRequest>,
    /// Answers in the order of their calls, from the first that waits for a person's approval on.
    held: VecDeque<HeldAnswer>,
    /// The client sends no more calls.
    has_ended: bool,
}

/// An answer behind one that waits, or that one itself.
enum HeldAnswer {
    Ready(WrittenAnswer),
    Waiting(u64, PendingDecision),
}

type PendingDecision = Pin<Box<dyn Future<Output = Result<WrittenDecision, Status>> + Send>>;

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
        (calls, share): (Streaming<pb::CheckStreamRequest>, Arc<ConnectionShare>),
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
            share,
            deadline: deadline.map(|deadline| (deadline, sleep(deadline))),
            life: Life::Open(stopping),
            turn: Turn::default(),
            large: None,
            held: VecDeque::new(),
            has_ended: false,
        }
    }

    fn answer(&mut self, message: pb::CheckStreamRequest) -> Result<HeldAnswer, Status> {
        let id = message.id;
        let Some(call) = message.call else {
            self.turn.spend(0);
            let refusal = "the message holds no `call`; expected one beside its `id`";
            return Ok(decided(id, self.decisions.refuse(self.ingress, refusal)));
        };
        self.turn.spend(call.args_json.len());
        let begun = self.decisions.begin((self.asker.as_ref(), self.ingress), &call)?;
        Ok(match begun {
            Begun::Answered(answer) => decided(id, answer),
            Begun::Waiting(waiting, configuration) => {
                let held = match HeldBytes::of(&self.share, prost::Message::encoded_len(&call)) {
                    Ok(held) => held,
                    Err(full) => {
                        // The calls before it are answered; none behind it is read.
                        self.has_ended = true;
                        return Ok(HeldAnswer::Waiting(id, Box::pin(ready(Err(full)))));
                    }
                };
                let deadline = self.deadline.as_ref().map(|(deadline, _)| *deadline);
                let until = self.decisions.wait_until(deadline);
                let begun = (call, waiting, configuration);
                let asker = self.asker.clone();
                let finish = self.decisions.finish(asker, self.ingress, begun, until);
                HeldAnswer::Waiting(
                    id,
                    Box::pin(async move {
                        let _held = held;
                        finish.await
                    }),
                )
            }
        })
    }

    /// Ready with the next answer in order; pending while its call waits for an approval; `None` if no answer is held.
    fn poll_held(&mut self, cx: &mut Context<'_>) -> Option<Poll<Result<WrittenAnswer, Status>>> {
        if let HeldAnswer::Waiting(id, decision) = self.held.front_mut()? {
            let id = *id;
            let Poll::Ready(decided) = decision.as_mut().poll(cx) else {
                return Some(Poll::Pending);
            };
            self.held.pop_front();
            return Some(Poll::Ready(
                decided.map(|decision| WrittenAnswer { id, decision }),
            ));
        }
        match self.held.pop_front()? {
            HeldAnswer::Ready(answer) => Some(Poll::Ready(Ok(answer))),
            HeldAnswer::Waiting(..) => None,
        }
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

    /// Pending, until the first answer is there or the deadline of the stream has passed.
    fn poll_end_while_waiting(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<WrittenAnswer, Status>>> {
        if self.poll_deadline(cx) {
            return self.end(Some(deadline::over()));
        }
        Poll::Pending
    }

    fn end(&mut self, status: Option<Status>) -> Poll<Option<Result<WrittenAnswer, Status>>> {
        self.life = Life::Over;
        self.decisions
            .count_stream(status.as_ref().map_or(Code::Ok, Status::code));
        Poll::Ready(status.map(Err))
    }
}

impl Stream for Answers {
    type Item = Result<WrittenAnswer, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if matches!(self.life, Life::Over) {
            return Poll::Ready(None);
        }
        if self.has_ended && self.held.is_empty() {
            return self.end(None);
        }
        let waits = match self.poll_held(cx) {
            Some(Poll::Ready(Ok(answer))) => return Poll::Ready(Some(Ok(answer))),
            Some(Poll::Ready(Err(status))) => return self.end(Some(status)),
            Some(Poll::Pending) => true,
            None => false,
        };
        if waits && (self.has_ended || self.held.len() > MAX_HELD) {
            return self.poll_end_while_waiting(cx);
        }
        if self.turn.poll_go_on(cx).is_pending() {
            // Looked at in between, because a client that never pauses never lets the reading below run dry.
            self.notice_stopping();
            return Poll::Pending;
        }
        let next = match self.large.take() {
            Some(message) => Poll::Ready(Some(Ok(message))),
            None => Pin::new(&mut self.calls).poll_next(cx),
        };
        match next {
            Poll::Ready(Some(Ok(message))) if poll_apart(cx, args_bytes(&message)).is_pending() => {
                self.large = Some(message);
                Poll::Pending
            }
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
                match self.answer(message) {
                    Ok(HeldAnswer::Ready(answer)) if !waits => Poll::Ready(Some(Ok(answer))),
                    Ok(held) => {
                        self.held.push_back(held);
                        // The next call may be there already, and a new wait is not polled yet.
                        cx.waker().wake_by_ref();
                        Poll::Pending
                    }
                    Err(status) => self.end(Some(status)),
                }
            }
            Poll::Ready(Some(Err(status))) => {
                let status = Status::new(our_code(status.code()), status.message());
                self.end(Some(status))
            }
            Poll::Ready(None) if waits => {
                self.has_ended = true;
                self.poll_end_while_waiting(cx)
            }
            Poll::Ready(None) => self.end(None),
            Poll::Pending => {
                // Calls that wait are answered first, in a bounded time.
                if !waits && self.poll_stopping(cx) {
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

/// The most answers that wait behind one whose call needs a person's approval; then no further call is read.
const MAX_HELD: usize = 1_024;

fn args_bytes(message: &pb::CheckStreamRequest) -> usize {
    message.call.as_ref().map_or(0, |call| call.args_json.len())
}

/// The answer to a call that is decided.
fn decided(id: u64, decision: WrittenDecision) -> HeldAnswer {
    HeldAnswer::Ready(WrittenAnswer { id, decision })
}

/// Bytes in front of each message.
const PREFIX_BYTES: usize = 5;

/// The status that makes clients ask again elsewhere, or after a restart.
fn stopped() -> Status {
    Status::unavailable("the server is stopping; calls without an answer were not decided, ask them again")
}
