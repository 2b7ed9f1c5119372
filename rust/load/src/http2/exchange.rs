//! One request and its answer.

use std::future::Future as _;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use h2::client::ResponseFuture;
use h2::{RecvStream, SendStream};

use super::answer::Answer;
use super::failure::Failure;

/// One request and its answer.
pub(super) struct Exchange<T> {
    /// The sender's own data.
    pub(super) own: T,
    /// The sending half, unless the request was complete at once.
    sending: Option<Sending>,
    stage: Stage,
    answer: Answer,
}

/// The sending half of a request of several messages.
struct Sending {
    stream: SendStream<Bytes>,
    /// Messages that go out together.
    unsent: BytesMut,
}

/// The part of the answer that comes next.
enum Stage {
    Head(ResponseFuture),
    Body(RecvStream),
}

impl<T> Exchange<T> {
    /// A request whose messages are all said.
    pub(super) fn said(own: T, response: ResponseFuture) -> Self {
        Self {
            own,
            sending: None,
            stage: Stage::Head(response),
            answer: Answer::default(),
        }
    }

    /// A request that more messages follow.
    pub(super) fn open(own: T, response: ResponseFuture, stream: SendStream<Bytes>) -> Self {
        let sending = Sending {
            stream,
            unsent: BytesMut::new(),
        };
        Self {
            sending: Some(sending),
            ..Self::said(own, response)
        }
    }

    /// Adds a message, which [`Self::send`] sends; true if it is the first of those that go out together.
    pub(super) fn push(&mut self, message: &[u8]) -> bool {
        self.sending.as_mut().is_some_and(|sending| {
            let is_first = sending.unsent.is_empty();
            sending.unsent.extend_from_slice(message);
            is_first
        })
    }

    /// Sends the messages that were added.
    pub(super) fn send(&mut self) {
        if let Some(sending) = &mut self.sending
            && !sending.unsent.is_empty()
        {
            // A stream that is no longer open says so in its answer.
            let _ = sending.stream.send_data(sending.unsent.split().freeze(), false);
        }
    }

    /// Ends the request: no message follows.
    pub(super) fn finish(&mut self) {
        if let Some(mut sending) = self.sending.take() {
            // As in `send`.
            let _ = sending.stream.send_data(sending.unsent.freeze(), true);
        }
    }

    /// Reads what has arrived, and passes each complete message to `take`; ready with the end of the answer.
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        mut take: impl FnMut(&mut T, &[u8]),
    ) -> Poll<Result<(), Failure>> {
        loop {
            match &mut self.stage {
                Stage::Head(response) => {
                    let (head, body) = ready!(Pin::new(response).poll(cx))
                        .map_err(|error| Failure::of_stream(&error))?
                        .into_parts();
                    self.answer.head.status(head.status);
                    self.answer.head.fields(&head.headers);
                    self.stage = Stage::Body(body);
                }
                Stage::Body(body) => {
                    if let Some(bytes) = ready!(body.poll_data(cx)) {
                        let bytes = bytes.map_err(|error| Failure::of_stream(&error))?;
                        // It cannot be more than has arrived.
                        let _ = body.flow_control().release_capacity(bytes.len());
                        let own = &mut self.own;
                        self.answer.received(&bytes, |message| take(own, message))?;
                        continue;
                    }
                    let trailers = ready!(body.poll_trailers(cx));
                    if let Some(trailers) = trailers.map_err(|error| Failure::of_stream(&error))? {
                        self.answer.head.fields(&trailers);
                    }
                    return Poll::Ready(self.answer.verdict());
                }
            }
        }
    }
}
