//! Replies of the upstream on their way to the client.

use std::sync::Arc;

use callgate_mcp::sse::{Event, Events};
use callgate_mcp::{LineBreaks, Media};
use callgate_proto::pb::envoy::extensions::filters::http::ext_proc::v3::processing_mode::BodySendMode;
use callgate_proto::pb::envoy::service::ext_proc::v3::{
    HeaderMutation, HttpBody, HttpHeaders, ProcessingResponse,
};
use tonic::Status;

use super::context::{Context, event_of};
use super::head::{Head, fields, value};
use super::messages::{self, Way};
use super::responder::{Listed, immediate};
use crate::bodies::HeldBytes;
use crate::proxy::single;

/// Headers that describe the bytes of a body, and are wrong once the body is changed.
const OF_BYTES: [&str; 8] = [
    "accept-ranges",
    "content-digest",
    "content-length",
    "content-md5",
    "digest",
    "etag",
    "last-modified",
    "repr-digest",
];

/// A reply whose body is still to come.
pub(super) struct Reply {
    form: Form,
    mode: BodySendMode,
}

/// The handling of the reply's body.
enum Form {
    /// The body passes unchanged.
    Plain,
    /// The body holds lists of tools.
    Listing(Box<Listing>),
}

struct Listing {
    head: Head,
    lists: Listed,
    body: Body,
    /// Of what goes on of a stream.
    breaks: LineBreaks,
    held: HeldBytes,
}

/// The form of a body that holds lists.
enum Body {
    /// One message, which is cut when it is complete.
    Json(Vec<u8>),
    /// A stream with one message in each event.
    Stream(Events),
    /// Withheld: nothing more of the body is passed on.
    Withheld,
}

/// The answer to a reply's headers, and the state after it.
pub(super) enum Began {
    /// The body of the reply follows.
    Reply(ProcessingResponse, Reply),
    /// The exchange is over after this message.
    Over(ProcessingResponse),
}

/// The facts of a reply that its headers state.
enum Kind {
    Json,
    Stream,
    /// A type that cannot hold a list.
    Other,
    /// A reply that may hold a list and cannot be read, for this reason.
    Unreadable(&'static str),
}

impl Reply {
    /// Begins a reply that passes unchanged.
    pub(super) fn plain(headers: &HttpHeaders, mode: BodySendMode) -> Began {
        let message = messages::headers(Way::Reply, None);
        // Pieces of a body that is streamed both ways may already be on their way.
        if mode == BodySendMode::FullDuplexStreamed && !headers.end_of_stream {
            return Began::Reply(
                message,
                Self {
                    form: Form::Plain,
                    mode,
                },
            );
        }
        Began::Over(message)
    }

    /// Begins a reply that may hold lists.
    pub(super) fn listing(
        context: &Context,
        head: Head,
        lists: Listed,
        headers: &HttpHeaders,
        mode: BodySendMode,
    ) -> Result<Began, Status> {
        if headers.end_of_stream {
            return Ok(Self::plain(headers, mode));
        }
        let kind = kind(headers, &lists);
        let body = match (kind, mode) {
            (Kind::Other, _) => return Ok(Self::plain(headers, mode)),
            (Kind::Unreadable(reason), _) => return withheld(context, &head, &lists, reason),
            (_, BodySendMode::None | BodySendMode::Grpc) => {
                let reason =
                    "the proxy does not let callgate see it; set `response_body_mode: STREAMED` at the proxy";
                return withheld(context, &head, &lists, reason);
            }
            (Kind::Stream, BodySendMode::Buffered | BodySendMode::BufferedPartial) if lists.id.is_none() => {
                let reason = "the proxy waits for the end of a stream that has none; set `response_body_mode: STREAMED` at \
                              the proxy";
                return withheld(context, &head, &lists, reason);
            }
            (Kind::Json, _) => Body::Json(Vec::new()),
            (Kind::Stream, _) => Body::Stream(Events::new(context.body_limit_bytes)),
        };
        let remove_headers = OF_BYTES.map(str::to_owned).to_vec();
        let mutation = HeaderMutation {
            set_headers: Vec::new(),
            remove_headers,
        };
        let listing = Box::new(Listing {
            head,
            lists,
            body,
            breaks: LineBreaks::default(),
            held: HeldBytes::new(Arc::clone(&context.share)),
        });
        Ok(Began::Reply(
            messages::headers(Way::Reply, Some(mutation)),
            Self {
                form: Form::Listing(listing),
                mode,
            },
        ))
    }

    /// The bytes that are held of a message that is not complete.
    pub(super) fn held_bytes(&self) -> usize {
        match &self.form {
            Form::Plain => 0,
            Form::Listing(listing) => match &listing.body {
                Body::Json(bytes) => bytes.len(),
                Body::Stream(events) => events.held_bytes(),
                Body::Withheld => 0,
            },
        }
    }

    /// Returns false for a piece that is only kept until others follow.
    pub(super) fn works_on(&self, piece: &HttpBody) -> bool {
        let ends_line = || piece.body.iter().any(|byte| matches!(byte, b'\n' | b'\r'));
        piece.end_of_stream
            || self.mode == BodySendMode::Buffered
            || matches!(&self.form, Form::Listing(listing) if matches!(listing.body, Body::Stream(_)) && ends_line())
    }

    /// Answers the next piece of the body; returns true if it was the last one.
    pub(super) fn body(
        &mut self,
        context: &Context,
        piece: HttpBody,
        out: &mut impl Extend<ProcessingResponse>,
    ) -> Result<bool, Status> {
        let is_whole = self.mode == BodySendMode::Buffered || piece.end_of_stream;
        if self.mode == BodySendMode::BufferedPartial && !is_whole {
            return Err(Status::failed_precondition(
                "a part of the reply is no list; set `response_body_mode: STREAMED`",
            ));
        }
        let goes_on = match &mut self.form {
            Form::Plain => None,
            Form::Listing(listing) => Some(listing.read(context, &piece.body, is_whole)?),
        };
        match (self.mode, goes_on) {
            (BodySendMode::FullDuplexStreamed, goes_on) => {
                let bytes = goes_on.unwrap_or(piece.body);
                out.extend(messages::pieces(Way::Reply, &bytes, piece.end_of_stream));
            }
            (_, None) => out.extend([messages::body(Way::Reply, None, None)]),
            (_, Some(bytes)) => {
                let other = Some(bytes).filter(|bytes| *bytes != piece.body);
                out.extend([messages::body(Way::Reply, None, other)]);
            }
        }
        Ok(piece.end_of_stream)
    }

    /// Answers the trailers: the body has ended before them.
    pub(super) fn trailers(
        &mut self,
        context: &Context,
        out: &mut impl Extend<ProcessingResponse>,
    ) -> Result<(), Status> {
        if let Form::Listing(listing) = &mut self.form {
            let rest = listing.read(context, b"", true)?;
            if self.mode == BodySendMode::FullDuplexStreamed {
                out.extend(messages::pieces(Way::Reply, &rest, false));
            } else if !rest.is_empty() {
                return Err(Status::failed_precondition(
                    "nothing can be said before these trailers; set `response_body_mode: FULL_DUPLEX_STREAMED`",
                ));
            }
        }
        out.extend([messages::trailers(Way::Reply)]);
        Ok(())
    }
}

impl Listing {
    /// Reads these bytes of the body, and returns the bytes to pass on.
    fn read(&mut self, context: &Context, bytes: &[u8], is_whole: bool) -> Result<Vec<u8>, Status> {
        let (head, lists) = (&self.head, &self.lists);
        let mut goes_on = Vec::new();
        match &mut self.body {
            Body::Withheld => {}
            Body::Json(so_far) => {
                so_far.extend_from_slice(bytes);
                self.held.grow(so_far.len())?;
                if so_far.len() > context.body_limit_bytes {
                    let reason = format!("it has more than {} bytes", context.body_limit_bytes);
                    goes_on = context.withhold(head, lists, &reason)?.into_bytes();
                    self.body = Body::Withheld;
                    self.held.clear();
                } else if is_whole {
                    // Nothing came, so nothing goes on: an empty body, or trailers after the whole of it.
                    if !so_far.is_empty() {
                        goes_on = context.cut_reply(head, lists, so_far)?;
                    }
                    self.body = Body::Withheld;
                    self.held.clear();
                }
            }
            Body::Stream(events) => {
                let mut failure = None;
                let mut take = |event: Event<'_>| {
                    if failure.is_none() {
                        failure = context.cut_event(head, lists, &event, &mut goes_on).err();
                    }
                };
                let read = events.read(bytes, &mut take);
                if is_whole && read.is_ok() {
                    std::mem::replace(events, Events::new(0)).finish(&mut take);
                }
                if let Some(failure) = failure {
                    return Err(failure);
                }
                self.held.clear();
                self.held.grow(events.held_bytes())?;
                if let Err(too_long) = read {
                    let instead = context.withhold(head, lists, &too_long.to_string())?;
                    goes_on.extend_from_slice(&event_of(&instead));
                    self.body = Body::Withheld;
                    self.held.clear();
                }
                goes_on = self.breaks.escape(&goes_on).into_owned();
            }
        }
        Ok(goes_on)
    }
}

fn kind(headers: &HttpHeaders, lists: &Listed) -> Kind {
    let Some(map) = &headers.headers else {
        return Kind::Other;
    };
    let encoding = single(fields(map), "content-encoding");
    if !matches!(encoding, Ok(None))
        && !matches!(encoding, Ok(Some(encoding)) if encoding.eq_ignore_ascii_case("identity"))
    {
        return Kind::Unreadable(
            "it is compressed; let the server answer as the request asks, without `content-encoding`",
        );
    }
    let Ok(media) = single(fields(map), "content-type") else {
        return Kind::Unreadable("it has no one `content-type`");
    };
    let is_success = || {
        let status = map.headers.iter().find(|header| header.key == ":status");
        status
            .and_then(value)
            .is_some_and(|status| status.starts_with('2'))
    };
    match Media::of(media) {
        Media::Json => Kind::Json,
        Media::Events => Kind::Stream,
        Media::OtherEncoding => Kind::Unreadable("it is not in UTF-8, the encoding of JSON"),
        // A `GET` may return a page instead of a session's stream.
        Media::Other if lists.id.is_none() || !is_success() => Kind::Other,
        Media::LooksAlike | Media::Other => Kind::Unreadable("it is neither JSON nor a stream of events"),
    }
}

/// Begins an error answer in place of a reply that cannot be read.
fn withheld(context: &Context, head: &Head, lists: &Listed, reason: &str) -> Result<Began, Status> {
    let body = context.withhold(head, lists, reason)?;
    // The client of a request understands an error with the request's id.
    let code = if lists.id.is_some() { 200 } else { 502 };
    Ok(Began::Over(immediate(code, std::iter::empty(), body)))
}
