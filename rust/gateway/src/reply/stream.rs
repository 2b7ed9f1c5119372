//! A stream of events of which some are cut.

use std::borrow::Cow;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use callgate_mcp::LineBreaks;
use callgate_mcp::sse::{Event, Events, UNKNOWN_LINE};
use http_body::{Body, Frame};
use memchr::memchr2;

use super::{BodyError, Cut, ReplyBody, kept};

/// The next part of a body, or its end.
enum Piece {
    Bytes(Bytes),
    End,
}

/// A stream of events, each cut as it comes to its end.
pub(super) struct CutEvents<C> {
    body: ReplyBody,
    /// The received part of the next event; `None` when nothing more is forwarded.
    events: Option<Events>,
    cut: C,
    /// A part of a large event, until this thread may work on it.
    piece: Option<Piece>,
    /// Of what goes on.
    breaks: LineBreaks,
}

impl<C: Cut> CutEvents<C> {
    /// The events of this body, none of which has more than `limit_bytes`.
    pub(super) fn new(body: ReplyBody, limit_bytes: usize, cut: C) -> Self {
        Self {
            body,
            events: Some(Events::new(limit_bytes)),
            cut,
            piece: None,
            breaks: LineBreaks::default(),
        }
    }

    /// Returns the output for these bytes.
    fn read(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut goes_on = Vec::with_capacity(bytes.len());
        let Some(events) = &mut self.events else {
            return goes_on;
        };
        let cut = &mut self.cut;
        let read = events.read(bytes, |event| append(cut, &event, &mut goes_on));
        let held = read.map_err(|too_long| too_long.to_string());
        if let Err(reason) = held.and_then(|()| cut.holds(events.held_bytes())) {
            let instead = cut.withheld(&reason);
            goes_on.extend_from_slice(&event_of(&instead));
            self.events = None;
        }
        goes_on
    }

    /// Returns the output at the end.
    fn finish(&mut self) -> Vec<u8> {
        let mut goes_on = Vec::new();
        if let Some(events) = self.events.take() {
            let cut = &mut self.cut;
            events.finish(|event| append(cut, &event, &mut goes_on));
        }
        goes_on
    }
}

fn append(cut: &mut impl Cut, event: &Event<'_>, goes_on: &mut Vec<u8>) {
    let cut = if event.is_plain() {
        cut.event(event)
    } else {
        Err(cut.withheld(UNKNOWN_LINE))
    };
    match cut {
        Ok(bytes) => goes_on.extend_from_slice(&bytes),
        Err(instead) => goes_on.extend_from_slice(&event_of(&instead)),
    }
}

/// A message as an event of its own.
fn event_of(message: &str) -> Vec<u8> {
    format!("event: message\ndata: {message}\n\n").into_bytes()
}

impl<C: Cut> Body for CutEvents<C> {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        while let Some(events) = &self.events {
            let held_bytes = events.held_bytes();
            let piece = match self.piece.take() {
                Some(piece) => piece,
                None => match ready!(Pin::new(&mut self.body).poll_frame(context)) {
                    Some(Ok(frame)) => match frame.into_data() {
                        Ok(bytes) => Piece::Bytes(bytes),
                        // Trailers come last, and say nothing to a reader of events.
                        Err(_) => continue,
                    },
                    Some(Err(error)) => {
                        // What has come of an event that broke off is none.
                        self.events = None;
                        return Poll::Ready(Some(Err(error)));
                    }
                    None => Piece::End,
                },
            };
            // What ends no line ends no event: it is kept, and nothing is worked on.
            let bytes = match &piece {
                Piece::Bytes(bytes) if memchr2(b'\n', b'\r', bytes).is_some() => held_bytes + bytes.len(),
                Piece::Bytes(_) => 0,
                Piece::End => held_bytes,
            };
            if self.cut.poll_work(context, bytes).is_pending() {
                self.piece = Some(piece);
                return Poll::Pending;
            }
            let goes_on = match piece {
                Piece::Bytes(bytes) => self.read(&bytes),
                Piece::End => self.finish(),
            };
            let goes_on = match self.breaks.escape(&goes_on) {
                Cow::Borrowed(_) => goes_on,
                Cow::Owned(escaped) => escaped,
            };
            if goes_on.is_empty() {
                continue;
            }
            let kept = kept(goes_on, &mut self.cut).unwrap_or_else(|reason| {
                self.events = None;
                event_of(&self.cut.withheld(&reason)).into()
            });
            return Poll::Ready(Some(Ok(Frame::data(kept))));
        }
        Poll::Ready(None)
    }
}
