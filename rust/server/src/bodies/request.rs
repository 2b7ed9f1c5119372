//! A request's body while it arrives, with the bounds of a server.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::time::Sleep;
use tonic::Status;

use super::call_count::CallCounter;
use super::drain::DrainedBody;
use super::memory::{ConnectionShare, HeldBytes};

/// One byte that says whether the message is compressed, and four of its length.
const PREFIX_BYTES: usize = 5;

/// The contents of a body.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    /// No gRPC messages.
    Plain,
    /// One message, whose time is bounded by the code that waits for it.
    Message,
    /// One message with at most so many calls in it.
    Batch {
        /// The number.
        max_calls: usize,
    },
    /// Any number of messages: each has this time to arrive once it has begun, and nothing bounds the time between
    /// them.
    Stream {
        /// The time.
        patience: Duration,
    },
}

/// A body that is watched while it is read.
pub(crate) struct RequestBody {
    inner: DrainedBody,
    messages: Messages,
    timer: Option<Pin<Box<Sleep>>>,
}

impl RequestBody {
    pub(crate) const fn new(inner: DrainedBody, kind: Kind, share: Arc<ConnectionShare>) -> Self {
        Self {
            inner,
            messages: Messages::new(kind, share),
            timer: None,
        }
    }

    /// Ready with an error if a message has begun and does not end in time.
    fn poll_overdue(&mut self, cx: &mut Context<'_>) -> Poll<Status> {
        let Some(patience) = self.messages.patience() else {
            return Poll::Pending;
        };
        let timer = self
            .timer
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(patience)));
        ready!(timer.as_mut().poll(cx));
        Poll::Ready(Status::deadline_exceeded("the message took too long to arrive"))
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let frame = match Pin::new(&mut self.inner).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => frame,
            Poll::Ready(Some(Err(error))) => {
                return Poll::Ready(Some(Err(Status::from_error(Box::new(error)))));
            }
            Poll::Ready(None) => return Poll::Ready(None),
            Poll::Pending => return self.poll_overdue(cx).map(|status| Some(Err(status))),
        };
        // Complete messages are not held here any more.
        let is_last = self.inner.is_end_stream();
        if let Some(data) = frame.data_ref() {
            match self.messages.read(data, is_last) {
                Ok(Ended::None) => {}
                Ok(Ended::Some) => self.timer = None,
                Err(status) => return Poll::Ready(Some(Err(status))),
            }
        }
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// The end of a message, if it was reached.
#[derive(Debug, PartialEq, Eq)]
enum Ended {
    None,
    Some,
}

/// The position of a body in its messages.
#[derive(Debug)]
struct Messages {
    kind: Kind,
    prefix: [u8; PREFIX_BYTES],
    prefix_seen: usize,
    seen_bytes: usize,
    left_bytes: usize,
    calls: CallCounter,
    held: HeldBytes,
}

impl Messages {
    const fn new(kind: Kind, share: Arc<ConnectionShare>) -> Self {
        Self {
            kind,
            prefix: [0; PREFIX_BYTES],
            prefix_seen: 0,
            seen_bytes: 0,
            left_bytes: 0,
            calls: CallCounter::new(),
            held: HeldBytes::new(share),
        }
    }

    /// Returns the time for the message that has begun, if this body has to bound it.
    fn patience(&self) -> Option<Duration> {
        match self.kind {
            Kind::Stream { patience } if self.prefix_seen > 0 => Some(patience),
            _ => None,
        }
    }

    fn read(&mut self, mut data: &[u8], is_last: bool) -> Result<Ended, Status> {
        if matches!(self.kind, Kind::Plain) {
            self.seen_bytes += data.len();
            if !is_last {
                self.held.grow(self.seen_bytes)?;
            }
            return Ok(Ended::None);
        }
        let mut ended = Ended::None;
        while !data.is_empty() {
            data = if self.prefix_seen < PREFIX_BYTES {
                self.read_prefix(data)
            } else {
                self.read_message(data)?
            };
            if self.prefix_seen == PREFIX_BYTES && self.left_bytes == 0 {
                self.held.clear();
                self.calls = CallCounter::new();
                (self.prefix_seen, self.seen_bytes) = (0, 0);
                ended = Ended::Some;
            }
        }
        self.held.grow(self.seen_bytes)?;
        Ok(ended)
    }

    fn read_prefix<'d>(&mut self, data: &'d [u8]) -> &'d [u8] {
        let missing = self.prefix.get_mut(self.prefix_seen..).unwrap_or_default();
        let count = missing.len().min(data.len());
        let (taken, rest) = data.split_at(count);
        for (byte, &from) in missing.iter_mut().zip(taken) {
            *byte = from;
        }
        self.prefix_seen += count;
        if self.prefix_seen == PREFIX_BYTES {
            let [_, length @ ..] = self.prefix;
            self.left_bytes = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
        }
        rest
    }

    fn read_message<'d>(&mut self, data: &'d [u8]) -> Result<&'d [u8], Status> {
        let (taken, rest) = data.split_at(self.left_bytes.min(data.len()));
        self.left_bytes -= taken.len();
        self.seen_bytes += taken.len();
        // A compressed message is refused when it is decoded.
        if let (Kind::Batch { max_calls }, [0, ..]) = (self.kind, self.prefix) {
            self.calls.read(taken, max_calls)?;
        }
        Ok(rest)
    }
}

#[cfg(test)]
mod tests {
    use super::super::memory::MessageMemory;
    use super::*;

    fn messages(kind: Kind) -> Messages {
        Messages::new(kind, MessageMemory::new(1 << 20, 1 << 17).share())
    }

    const STREAM: Kind = Kind::Stream {
        patience: Duration::from_secs(1),
    };

    #[test]
    fn a_message_has_begun_until_its_last_byte() {
        let two = b"\0\0\0\0\x03abc\0\0\0\0\0";
        for first in 0..=two.len() {
            let mut messages = messages(STREAM);
            let (begin, rest) = two.split_at(first);
            messages.read(begin, false).unwrap();
            let between = [0, 8, two.len()].contains(&first);
            assert_eq!(messages.patience().is_none(), between, "{first}");
            let ended = messages.read(rest, false).unwrap();
            assert_eq!(ended == Ended::None, rest.is_empty(), "{first}");
            assert_eq!(messages.patience(), None, "{first}");
        }
    }

    #[test]
    fn only_streams_are_timed_here() {
        let mut message = messages(Kind::Message);
        message.read(b"\0\0", false).unwrap();
        assert_eq!(message.patience(), None);
    }

    #[test]
    fn what_is_unfinished_is_held_and_bounded() {
        let mut plain = messages(Kind::Plain);
        plain.read(&vec![0; 1 << 17], false).unwrap();
        let refusal = plain.read(&vec![0; 1 << 15], false).unwrap_err();
        assert_eq!(refusal.code(), tonic::Code::ResourceExhausted);

        // Any number of whole messages are fine, one after another.
        let mut stream = messages(STREAM);
        let length = (1_u32 << 17).to_be_bytes();
        for _ in 0..20 {
            stream.read(&[&[0][..], &length].concat(), false).unwrap();
            stream.read(&vec![0; 1 << 17], false).unwrap();
        }
    }

    #[test]
    fn calls_are_counted_in_each_message_by_itself() {
        let mut batch = messages(Kind::Batch { max_calls: 1 });
        batch.read(b"\0\0\0\0\x02\x0a\x00", false).unwrap();
        batch.read(b"\0\0\0\0\x02\x0a\x00", false).unwrap();
        assert!(batch.read(b"\0\0\0\0\x04\x0a\x00\x0a\x00", false).is_err());
        // A compressed message is not decoded here, whatever it holds.
        let mut compressed = messages(Kind::Batch { max_calls: 1 });
        compressed.read(b"\x01\0\0\0\x04\x0a\x00\x0a\x00", false).unwrap();
    }
}
