//! Replies to what asked for no list: they go on as they come, and break off where one shows a list all the same.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::Response;
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, Either};

use super::decoded::decoded;
use super::kind::{Encoding, Kind};
use super::unbroken::Unbroken;
use super::{BodyError, Holds, OF_BYTES, ReplyBody, Room, watch};

/// The error that breaks off a client's connection.
const LIST_MET: &str = "a list of tools in the reply to something else";

/// A reply as it goes on to the client. `met` is told when it shows a list of tools, and ends there. The error says why it
/// cannot be looked through, so that it must not go on. `room` is for what a decoder holds.
pub fn watched<B, M>(
    reply: Response<B>,
    room: impl Room,
    met: M,
) -> Result<Response<Watched<B, M>>, &'static str>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BodyError>,
    M: FnOnce() + Unpin,
{
    let (mut head, body) = reply.into_parts();
    let kind = if body.is_end_stream() {
        Kind::Other
    } else {
        Kind::of(&head, Holds::Nothing)
    };
    let (looks_at, encoding) = match kind {
        Kind::Other => (LooksAt::Nothing, Encoding::Identity),
        Kind::Unreadable(reason) => return Err(reason),
        Kind::Json(encoding) => (LooksAt::Messages(watch::Messages::default()), encoding),
        Kind::Stream(encoding) => (LooksAt::Events(watch::Events::default()), encoding),
    };
    let is_stream = matches!(looks_at, LooksAt::Events(_));
    let body = if encoding == Encoding::Identity && !is_stream {
        Either::Left(body)
    } else {
        for name in &OF_BYTES {
            head.headers.remove(name);
        }
        let body = decoded(body, encoding, room);
        // What is looked at is what goes on.
        Either::Right(if is_stream {
            Unbroken::new(body).boxed_unsync()
        } else {
            body
        })
    };
    let watched = Watched {
        body,
        looks_at,
        met: Some(met),
    };
    Ok(Response::from_parts(head, watched))
}

/// A body that is watched as it goes by.
#[derive(Debug)]
pub struct Watched<B, M> {
    body: Either<B, ReplyBody>,
    looks_at: LooksAt,
    /// Called when a list is met; `None` when nothing more is forwarded.
    met: Option<M>,
}

#[derive(Debug)]
enum LooksAt {
    Nothing,
    Messages(watch::Messages),
    Events(watch::Events),
}

impl LooksAt {
    /// Reads further bytes like [`watch::Messages::meet_list`].
    fn meet_list(&mut self, bytes: &[u8], are_last: bool) -> bool {
        match self {
            Self::Nothing => false,
            Self::Messages(messages) => messages.meet_list(bytes, are_last),
            Self::Events(events) => events.meet_list(bytes),
        }
    }
}

impl<B, M> Body for Watched<B, M>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BodyError>,
    M: FnOnce() + Unpin,
{
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if self.met.is_none() {
            return Poll::Ready(None);
        }
        let next = ready!(Pin::new(&mut self.body).poll_frame(context));
        let are_last = self.body.is_end_stream();
        let is_met = match &next {
            Some(Ok(frame)) => frame
                .data_ref()
                .is_some_and(|data| self.looks_at.meet_list(data, are_last)),
            Some(Err(_)) | None => false,
        };
        if is_met && let Some(met) = self.met.take() {
            met();
            return Poll::Ready(Some(Err(LIST_MET.into())));
        }
        Poll::Ready(next)
    }

    fn is_end_stream(&self) -> bool {
        self.met.is_none() || self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
