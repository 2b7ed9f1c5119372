//! Replies on their way back: tools taken out of the lists in them, everything else as it comes.
//!
//! A list in the reply to something that asked for none is no list that anybody has to see: the reply breaks off.

mod decoded;
mod kind;
mod stream;
#[cfg(test)]
mod tests;
mod unbroken;
mod watch;
mod watched;

use std::error::Error;
use std::future::poll_fn;
use std::task::{Context, Poll};

use bytes::Bytes;
use callgate_mcp::sse::Event;
use http::header::{
    ACCEPT_RANGES, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, ETAG, HeaderName, LAST_MODIFIED,
};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use http_body::Body;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};

use decoded::decoded;
use kind::Kind;
use stream::CutEvents;

pub use watched::watched;

/// An error while a body is read.
pub type BodyError = Box<dyn Error + Send + Sync>;

/// A body that comes as it is read.
pub type ReplyBody = UnsyncBoxBody<Bytes, BodyError>;

/// Fields that say something of a body's bytes, which are others afterwards.
const OF_BYTES: [HeaderName; 9] = [
    ACCEPT_RANGES,
    CONTENT_ENCODING,
    CONTENT_LENGTH,
    ETAG,
    LAST_MODIFIED,
    HeaderName::from_static("content-digest"),
    HeaderName::from_static("content-md5"),
    HeaderName::from_static("digest"),
    HeaderName::from_static("repr-digest"),
];

/// A count of the memory that replies take.
pub trait Room: Send + Unpin + 'static {
    /// So many bytes are held now; the error says why that is too much.
    fn holds(&mut self, bytes: usize) -> Result<(), String>;
}

/// No memory for the part of a reply that has to be held.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct NoRoomError(String);

/// Takes tools out of what a reply holds. A reason for not showing a list is told to its client in the list's place.
pub trait Cut: Send + Unpin + 'static {
    /// Counts bytes that go on, until it is dropped.
    type Kept: Send + 'static;

    /// Ready where so many bytes of a message may be worked on at once; otherwise the task is polled there next.
    fn poll_work(&mut self, context: &mut Context<'_>, bytes: usize) -> Poll<()>;

    /// So many bytes are held now of a message that is not whole yet; the error says why that is too much.
    fn holds(&mut self, bytes: usize) -> Result<(), String>;

    /// So many bytes go on, and are kept until their client has taken them; the error says why that is too much.
    fn keeps(&mut self, bytes: usize) -> Result<Self::Kept, String>;

    /// A message as it goes on; the error is the message in its place.
    fn message(&mut self, message: &[u8]) -> Result<Vec<u8>, String>;

    /// The bytes of one event as they go on; the error is the message in place of the event's.
    fn event(&mut self, event: &Event<'_>) -> Result<Vec<u8>, String>;

    /// The message in place of a list that cannot be read, for this reason.
    fn withheld(&mut self, reason: &str) -> String;
}

/// The lists that a reply may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holds {
    /// An answer to a request for a list.
    List,
    /// A stream with any messages of the server.
    Anything,
    /// An answer to any other request: see [`watched`].
    Nothing,
}

/// A reply as it goes on to the client: cut where it may hold lists, else as it is. `limit_bytes` is for a list, or an event,
/// after decompression; `room` is for what a decoder holds.
pub async fn cut<B, C>(
    reply: Response<B>,
    holds: Holds,
    limit_bytes: usize,
    room: impl Room,
    mut cut: C,
) -> Response<ReplyBody>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BodyError>,
    C: Cut,
{
    let (mut head, body) = reply.into_parts();
    if body.is_end_stream() {
        return Response::from_parts(head, as_it_is(body));
    }
    let kind = Kind::of(&head, holds);
    let body = match kind {
        Kind::Other => return Response::from_parts(head, as_it_is(body)),
        Kind::Unreadable(reason) => return withheld(holds, cut.withheld(reason)),
        Kind::Json(encoding) | Kind::Stream(encoding) => decoded(body, encoding, room),
    };
    for name in &OF_BYTES {
        head.headers.remove(name);
    }
    if matches!(kind, Kind::Stream(_)) {
        return Response::from_parts(head, CutEvents::new(body, limit_bytes, cut).boxed_unsync());
    }
    let message = match collected(body, limit_bytes, &mut cut).await {
        Ok(message) => {
            poll_fn(|context| cut.poll_work(context, message.len())).await;
            cut.message(&message)
        }
        Err(reason) => Err(cut.withheld(&reason)),
    };
    // What was read of it is gone; what goes on is kept instead.
    let message = message.and_then(|message| {
        let emptied = cut.holds(0);
        let kept = emptied.and_then(|()| kept(message, &mut cut));
        kept.map_err(|reason| cut.withheld(&reason))
    });
    match message {
        Ok(message) => Response::from_parts(head, whole(message)),
        Err(instead) => withheld(holds, instead),
    }
}

/// Bytes that count as held until they are dropped, in any part of the program.
struct Kept<K> {
    bytes: Vec<u8>,
    _kept: K,
}

impl<K> AsRef<[u8]> for Kept<K> {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// Bytes that go on; the error says why there is no room for them.
fn kept<C: Cut>(mut bytes: Vec<u8>, cut: &mut C) -> Result<Bytes, String> {
    if bytes.capacity() > 2 * bytes.len() {
        // Most of a list may have been taken out.
        bytes.shrink_to_fit();
    }
    let kept = cut.keeps(bytes.len())?;
    Ok(Bytes::from_owner(Kept { bytes, _kept: kept }))
}

/// All of a body; the error says why not.
// `Limited` and its `collect` would do, were their future `Send` for every lifetime of the error.
async fn collected(mut body: ReplyBody, limit_bytes: usize, cut: &mut impl Cut) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = match frame {
            Ok(frame) => frame,
            Err(error) => return Err(broken_off(&error)),
        };
        if let Some(data) = frame.data_ref() {
            if bytes.len() + data.len() > limit_bytes {
                return Err(format!("it has more than {limit_bytes} bytes"));
            }
            cut.holds(bytes.len() + data.len())?;
            bytes.extend_from_slice(data);
        }
    }
    Ok(bytes)
}

/// The message for a body that breaks off.
fn broken_off(error: &BodyError) -> String {
    match error.downcast_ref() {
        Some(NoRoomError(reason)) => reason.clone(),
        None => "it broke off".to_owned(),
    }
}

/// A body that nobody looks at.
pub fn as_it_is<B>(body: B) -> ReplyBody
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BodyError>,
{
    body.map_err(Into::into).boxed_unsync()
}

/// A body that is there.
pub fn whole(bytes: impl Into<Bytes>) -> ReplyBody {
    Full::new(bytes.into())
        .map_err(|never| match never {})
        .boxed_unsync()
}

/// An answer in place of a reply that cannot be read.
fn withheld(holds: Holds, message: String) -> Response<ReplyBody> {
    let mut response = Response::new(whole(message));
    // Where a request is answered, an error with its id is what its client understands.
    *response.status_mut() = match holds {
        Holds::List => StatusCode::OK,
        Holds::Anything | Holds::Nothing => StatusCode::BAD_GATEWAY,
    };
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    response
}

/// Reads the value of a field that may stand once; `Err` if it stands several times, or is no text.
fn single<'h>(fields: &'h HeaderMap, name: &HeaderName) -> Result<Option<&'h str>, ()> {
    let mut values = fields.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => value.to_str().map(Some).map_err(|_| ()),
        _ => Err(()),
    }
}
