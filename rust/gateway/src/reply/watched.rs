//! Replies to what asked for no list: they go on as they come, and break off where one shows a list all the same.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::Response;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;

use super::decoded::decoded;
use super::kind::{Encoding, Kind};
use super::{BodyError, Holds, OF_BYTES, ReplyBody, as_it_is, watch};

/// What a client's connection breaks off with.
const LIST_MET: &str = "a list of tools in the reply to something else";

/// A reply as it goes on to the client. `met` is told when it shows a list of tools, and ends there. The error says why it
/// cannot be looked through, so that it must not go on.
pub fn watched<B>(
    reply: Response<B>,
    met: impl FnOnce() + Send + Unpin + 'static,
) -> Result<Response<ReplyBody>, &'static str>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BodyError>,
{
    let (mut head, body) = reply.into_parts();
    if body.is_end_stream() {
        return Ok(Response::from_parts(head, as_it_is(body)));
    }
    let (looks, encoding) = match Kind::of(&head, Holds::Nothing) {
        Kind::Other => return Ok(Response::from_parts(head, as_it_is(body))),
        Kind::Unreadable(reason) => return Err(reason),
        Kind::Json(encoding) => (Looks::AtMessages(watch::Messages::default()), encoding),
        Kind::Stream(encoding) => (Looks::AtEvents(watch::Events::default()), encoding),
    };
    if encoding != Encoding::Identity {
        for name in &OF_BYTES {
            head.headers.remove(name);
        }
    }
    let body = Watched {
        body: decoded(body, encoding),
        looks,
        met: Some(met),
    };
    Ok(Response::from_parts(head, body.boxed_unsync()))
}

/// A body that is watched as it goes by.
struct Watched<M> {
    body: ReplyBody,
    looks: Looks,
    /// Whom to tell; `None` when nothing more goes on.
    met: Option<M>,
}

enum Looks {
    AtMessages(watch::Messages),
    AtEvents(watch::Events),
}

impl Looks {
    fn meet_list(&mut self, bytes: &[u8]) -> bool {
        match self {
            Self::AtMessages(messages) => messages.meet_list(bytes),
            Self::AtEvents(events) => events.meet_list(bytes),
        }
    }
}

impl<M: FnOnce() + Send + Unpin> Body for Watched<M> {
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
        let is_met = match &next {
            Some(Ok(frame)) => frame.data_ref().is_some_and(|data| self.looks.meet_list(data)),
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
