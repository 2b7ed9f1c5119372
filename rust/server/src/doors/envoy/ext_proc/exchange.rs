//! One request and its reply, as Envoy sends them: the order of the messages, and the answers to them.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as Poller, Poll, ready};

use arc_swap::Guard;
use callgate_proto::pb::envoy::extensions::filters::http::ext_proc::v3::processing_mode::BodySendMode;
use callgate_proto::pb::envoy::service::ext_proc::v3::processing_request::Request;
use callgate_proto::pb::envoy::service::ext_proc::v3::{
    HttpBody, HttpHeaders, ProcessingRequest, ProcessingResponse,
};
use tonic::Status;
use tonic::metadata::MetadataMap;

use super::context::{Context, ReceivedBody};
use super::head::Head;
use super::messages::{self, Modes, Way};
use super::reach::never_reached;
use super::reply::{Began, Reply};
use super::responder::{Allowed, Verdict};
use crate::apart::poll_apart;
use crate::approvals::Asking;
use crate::bodies::HeldBytes;
use crate::in_force::Configuration;
use crate::passes;

/// One request and its reply.
pub(super) struct Exchange {
    context: Context,
    stage: Stage,
    modes: Modes,
    /// Answers that wait to be sent.
    answers: VecDeque<ProcessingResponse>,
    /// The memory that the bodies in those answers hold.
    waiting: HeldBytes,
}

/// The part of the exchange that comes next.
enum Stage {
    /// The request.
    Opening(MetadataMap),
    /// The rest of the request. No part of it has been forwarded.
    Body(Box<Body>),
    /// An answer about the request's approval. No part of the request has been forwarded.
    Waiting(Box<WaitingRequest>),
    /// The reply to a request that was forwarded.
    Forwarded(Box<Forwarded>),
    /// The rest of the reply.
    Reply(Reply),
    /// No further message: the exchange is over.
    Over,
}

struct Body {
    head: Head,
    bytes: Vec<u8>,
    held: HeldBytes,
}

/// A request whose call needs a person's approval.
struct WaitingRequest {
    question: Question,
    /// The configuration that judges it.
    configuration: Arc<Configuration>,
    head: Head,
    body: Option<Vec<u8>>,
    _held: HeldBytes,
    then: Then,
}

/// The question about a request.
enum Question {
    Open(Pin<Box<dyn Future<Output = Asking> + Send>>),
    Answered(Asking),
}

/// The form of the answer that lets a request go on, and what is forwarded after it.
#[derive(Clone, Copy)]
enum Then {
    /// An answer to the headers alone.
    Nothing,
    /// An answer to the body that the proxy has kept.
    OfBody,
    /// An answer to the headers, then the body that was kept here.
    Pieces,
    /// Likewise with the trailers.
    PiecesAndTrailers,
}

struct Forwarded {
    head: Head,
    allowed: Allowed,
}

impl Exchange {
    /// Creates an exchange whose stream was opened with this metadata.
    pub(super) fn new(context: Context, opened_with: MetadataMap) -> Self {
        Self {
            waiting: HeldBytes::new(Arc::clone(&context.share)),
            context,
            stage: Stage::Opening(opened_with),
            modes: Modes::of(None),
            answers: VecDeque::new(),
        }
    }

    /// Returns true if there is nothing more to answer.
    pub(super) const fn is_over(&self) -> bool {
        matches!(self.stage, Stage::Over)
    }

    /// Returns true if the request is not judged yet, so that the exchange waits for its sender.
    pub(super) const fn is_unjudged(&self) -> bool {
        matches!(self.stage, Stage::Opening(_) | Stage::Body(_))
    }

    /// Returns `Some(true)` if the exchange may end here, so that the rest passes unseen, and `Some(false)` if it may
    /// end only with an error. `None` if the next answer is expected soon, so that the exchange should be continued.
    pub(super) fn can_be_left(&self) -> Option<bool> {
        match &self.stage {
            Stage::Opening(_) | Stage::Body(_) | Stage::Waiting(_) => None,
            Stage::Forwarded(forwarded) => match &forwarded.allowed.lists {
                Some(lists) if lists.id.is_some() => None,
                lists => Some(lists.is_none()),
            },
            Stage::Reply(_) => Some(false),
            Stage::Over => Some(true),
        }
    }

    /// The bytes that are held of a body that is not complete.
    pub(super) fn held_bytes(&self) -> usize {
        match &self.stage {
            Stage::Body(body) => body.bytes.len(),
            Stage::Reply(reply) => reply.held_bytes(),
            Stage::Opening(_) | Stage::Waiting(_) | Stage::Forwarded(_) | Stage::Over => 0,
        }
    }

    /// Returns false for a piece of a body that is only kept until others follow.
    pub(super) fn works_on(&self, message: &ProcessingRequest) -> bool {
        match (&self.stage, &message.request) {
            (Stage::Body(_), Some(Request::RequestBody(piece))) => {
                piece.end_of_stream || self.modes.request != BodySendMode::FullDuplexStreamed
            }
            (Stage::Reply(reply), Some(Request::ResponseBody(piece))) => reply.works_on(piece),
            _ => true,
        }
    }

    /// Answers the next message.
    pub(super) fn take(&mut self, message: ProcessingRequest) -> Result<(), Status> {
        self.answer(message)?;
        self.waiting
            .set(self.answers.iter().map(messages::body_bytes).sum())
    }

    /// Returns the next answer to send.
    pub(super) fn next_answer(&mut self) -> Option<ProcessingResponse> {
        let next = self.answers.pop_front();
        if self.answers.is_empty() {
            self.waiting.clear();
        }
        next
    }

    fn answer(&mut self, message: ProcessingRequest) -> Result<(), Status> {
        if message.observability_mode {
            return Err(Status::failed_precondition(
                "nothing can be refused in `observability_mode`, so nothing is judged; remove it from the filter",
            ));
        }
        let ProcessingRequest {
            metadata_context,
            attributes,
            protocol_config,
            request,
            ..
        } = message;
        let Some(request) = request else {
            return Err(Status::invalid_argument(
                "the message is of no request and no reply",
            ));
        };
        match (std::mem::replace(&mut self.stage, Stage::Over), request) {
            (Stage::Opening(extensions), Request::RequestHeaders(headers)) => {
                self.modes = Modes::of(protocol_config);
                let head = Head {
                    headers: headers.headers.unwrap_or_default(),
                    attributes,
                    metadata: metadata_context,
                    extensions,
                };
                self.begin(head, headers.end_of_stream)
            }
            (Stage::Body(mut body), Request::RequestBody(piece)) => {
                body.head.metadata = metadata_context.or(body.head.metadata);
                self.body(body, &piece)
            }
            (Stage::Body(body), Request::RequestTrailers(_)) => self.request_trailers(*body),
            // Envoy answers by itself, to a request that is too long, say.
            (Stage::Body(_), Request::ResponseHeaders(headers)) if never_reached(&attributes) => {
                self.begin_reply(Reply::plain(&headers, self.modes.reply));
                Ok(())
            }
            (Stage::Forwarded(forwarded), Request::RequestTrailers(_)) => {
                self.answers.push_back(messages::trailers(Way::Request));
                self.stage = Stage::Forwarded(forwarded);
                Ok(())
            }
            (Stage::Forwarded(mut forwarded), Request::ResponseHeaders(headers)) => {
                if let Some(reserved) = forwarded.allowed.reserved.take() {
                    reserved.settle(&self.context.gate, never_reached(&attributes));
                }
                self.reply(*forwarded, &headers)
            }
            (Stage::Reply(mut reply), Request::ResponseBody(piece)) => {
                let is_last = reply.body(&self.context, piece, &mut self.answers)?;
                if !is_last {
                    self.stage = Stage::Reply(reply);
                }
                Ok(())
            }
            (Stage::Reply(mut reply), Request::ResponseTrailers(_)) => {
                reply.trailers(&self.context, &mut self.answers)
            }
            (stage, _) => {
                self.stage = stage;
                Err(Status::failed_precondition(
                    "the message is out of order: expected those of one request, then those of its reply, each as \
                     `processing_mode` says",
                ))
            }
        }
    }

    fn begin(&mut self, head: Head, is_all: bool) -> Result<(), Status> {
        if is_all {
            return self.judged(head, ReceivedBody::Whole(b""), Then::Nothing);
        }
        let received = match self.modes.request {
            BodySendMode::None => ReceivedBody::Nothing,
            BodySendMode::Streamed | BodySendMode::Grpc => ReceivedBody::Unusable(
                "the proxy forwards the body while it is still being read; set `request_body_mode: BUFFERED` at the proxy",
            ),
            mode => {
                if mode != BodySendMode::FullDuplexStreamed {
                    self.answers.push_back(messages::headers(Way::Request, None));
                }
                self.stage = Stage::Body(Box::new(Body {
                    head,
                    bytes: Vec::new(),
                    held: HeldBytes::new(Arc::clone(&self.context.share)),
                }));
                return Ok(());
            }
        };
        self.judged(head, received, Then::Nothing)
    }

    fn body(&mut self, mut body: Box<Body>, piece: &HttpBody) -> Result<(), Status> {
        if self.modes.request != BodySendMode::FullDuplexStreamed {
            let is_part = self.modes.request == BodySendMode::BufferedPartial && !piece.end_of_stream;
            let received = if is_part {
                ReceivedBody::Unusable(
                    "the body is longer than what the proxy forwards, and what was not read cannot be judged; send less",
                )
            } else {
                ReceivedBody::Whole(&piece.body)
            };
            return self.judged(body.head, received, Then::OfBody);
        }
        body.bytes.extend_from_slice(&piece.body);
        body.held.grow(body.bytes.len())?;
        if body.bytes.len() > self.context.body_limit_bytes {
            return self.judged(
                body.head,
                ReceivedBody::Unusable("the body is longer than callgate reads; send less"),
                Then::Nothing,
            );
        }
        if !piece.end_of_stream {
            self.stage = Stage::Body(body);
            return Ok(());
        }
        let Body { head, bytes, .. } = *body;
        self.judged(head, ReceivedBody::Whole(&bytes), Then::Pieces)
    }

    fn request_trailers(&mut self, body: Body) -> Result<(), Status> {
        if self.modes.request != BodySendMode::FullDuplexStreamed {
            let reason = "the request has trailers and no body; send a body, or none and no trailers";
            return self.judged(body.head, ReceivedBody::Unusable(reason), Then::Nothing);
        }
        self.judged(
            body.head,
            ReceivedBody::Whole(&body.bytes),
            Then::PiecesAndTrailers,
        )
    }

    /// Judges a request, or lets it wait for a person's approval.
    fn judged(&mut self, head: Head, received: ReceivedBody<'_>, then: Then) -> Result<(), Status> {
        let asking = Asking::default();
        let configuration = self.context.gate.configuration();
        let verdict = self.context.judge((&configuration, &asking), &head, received)?;
        let Some(waiting) = asking.take_question() else {
            self.decided(verdict, head, received, then);
            return Ok(());
        };
        let body = match received {
            ReceivedBody::Whole(bytes) => Some(bytes.to_vec()),
            ReceivedBody::Nothing | ReceivedBody::Unusable(_) => None,
        };
        let room = HeldBytes::of(&self.context.share, body.as_ref().map_or(0, Vec::len))?;
        let until = self.context.gate.wait_until(self.context.deadline);
        self.stage = Stage::Waiting(Box::new(WaitingRequest {
            question: Question::Open(Box::pin(passes::answered(waiting, &self.context.gate, until))),
            configuration: Guard::into_inner(configuration),
            head,
            body,
            _held: room,
            then,
        }));
        Ok(())
    }

    /// Returns true if the request waits for a person's approval.
    pub(super) const fn is_waiting(&self) -> bool {
        matches!(self.stage, Stage::Waiting(_))
    }

    /// Ready once a request that waits is judged.
    pub(super) fn poll_answered(&mut self, cx: &mut Poller<'_>) -> Poll<Result<(), Status>> {
        let Stage::Waiting(waiting) = &mut self.stage else {
            return Poll::Ready(Ok(()));
        };
        if let Question::Open(answered) = &mut waiting.question {
            let asking = ready!(answered.as_mut().poll(cx));
            waiting.question = Question::Answered(asking);
        }
        ready!(poll_apart(cx, waiting.body.as_ref().map_or(0, Vec::len)));
        let Stage::Waiting(waiting) = std::mem::replace(&mut self.stage, Stage::Over) else {
            return Poll::Ready(Ok(()));
        };
        let WaitingRequest {
            question: Question::Answered(asking),
            configuration,
            head,
            body,
            then,
            ..
        } = *waiting
        else {
            return Poll::Ready(Ok(()));
        };
        let received = body.as_deref().map_or(ReceivedBody::Nothing, ReceivedBody::Whole);
        let verdict = self.context.judge((&configuration, &asking), &head, received);
        Poll::Ready(verdict.and_then(|verdict| {
            self.decided(verdict, head, received, then);
            self.waiting
                .set(self.answers.iter().map(messages::body_bytes).sum())
        }))
    }

    /// Answers with a verdict.
    fn decided(&mut self, verdict: Verdict, head: Head, received: ReceivedBody<'_>, then: Then) {
        let mut allowed = match verdict {
            Verdict::Denied(answer) => return self.answers.push_back(*answer),
            Verdict::Allowed(allowed) => allowed,
        };
        let mutation = Some(std::mem::take(&mut allowed.mutation));
        let answer = match then {
            Then::OfBody => messages::body(Way::Request, mutation, None),
            Then::Nothing | Then::Pieces | Then::PiecesAndTrailers => {
                messages::headers(Way::Request, mutation)
            }
        };
        let answer = messages::telling(std::mem::take(&mut allowed.metadata), answer);
        self.answers.push_back(answer);
        if let ReceivedBody::Whole(bytes) = received {
            match then {
                Then::Nothing | Then::OfBody => {}
                Then::Pieces => self.answers.extend(messages::pieces(Way::Request, bytes, true)),
                Then::PiecesAndTrailers => {
                    self.answers.extend(messages::pieces(Way::Request, bytes, false));
                    self.answers.push_back(messages::trailers(Way::Request));
                }
            }
        }
        self.forward(head, *allowed);
    }

    /// Continues with the reply only if units were taken or if the reply may hold lists. Otherwise the stream ends
    /// here, and Envoy continues without it.
    fn forward(&mut self, head: Head, allowed: Allowed) {
        if allowed.reserved.is_some() || allowed.lists.is_some() {
            self.stage = Stage::Forwarded(Box::new(Forwarded { head, allowed }));
        }
    }

    fn reply(&mut self, forwarded: Forwarded, headers: &HttpHeaders) -> Result<(), Status> {
        let Forwarded { head, allowed } = forwarded;
        let mode = self.modes.reply;
        let began = match allowed.lists {
            None => Reply::plain(headers, mode),
            Some(lists) => Reply::listing(&self.context, head, lists, headers, mode)?,
        };
        self.begin_reply(began);
        Ok(())
    }

    fn begin_reply(&mut self, began: Began) {
        match began {
            Began::Over(answer) => self.answers.push_back(answer),
            Began::Reply(answer, reply) => {
                self.answers.push_back(answer);
                self.stage = Stage::Reply(reply);
            }
        }
    }
}

impl Drop for Exchange {
    /// Settles the reservation as used if no reply was seen: the units stay taken.
    fn drop(&mut self) {
        if let Stage::Forwarded(forwarded) = &self.stage
            && let Some(reserved) = forwarded.allowed.reserved
        {
            reserved.settle(&self.context.gate, false);
        }
    }
}
