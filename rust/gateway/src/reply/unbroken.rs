//! A stream of events whose lines are the same to every reader.

use std::borrow::Cow;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use callgate_mcp::LineBreaks;
use http_body::{Body, Frame};

use super::{BodyError, ReplyBody};

/// A stream of events, with escapes for what ends a line for some readers alone.
pub(super) struct Unbroken {
    body: ReplyBody,
    breaks: LineBreaks,
}

impl Unbroken {
    pub(super) fn new(body: ReplyBody) -> Self {
        Self {
            body,
            breaks: LineBreaks::default(),
        }
    }

    fn escape(&mut self, bytes: Bytes) -> Bytes {
        match self.breaks.escape(&bytes) {
            Cow::Borrowed(_) => bytes,
            Cow::Owned(escaped) => escaped.into(),
        }
    }
}

impl Body for Unbroken {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        loop {
            let frame = match ready!(Pin::new(&mut self.body).poll_frame(context)) {
                Some(Ok(frame)) => frame,
                other => return Poll::Ready(other),
            };
            let bytes = match frame.into_data() {
                Ok(bytes) => self.escape(bytes),
                Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
            };
            // Nothing of it goes on before the rest of its character comes.
            if !bytes.is_empty() {
                return Poll::Ready(Some(Ok(Frame::data(bytes))));
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }
}
