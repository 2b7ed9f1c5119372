//! gRPC calls of one message and one answer.
//!
//! tonic's codec is made for streams: for each call it allocates buffers for both directions, copies the message into one, and
//! carries what is known of the sender in a map of types. A call of one message mostly comes in one frame, which is decoded
//! where it stands, and its answer is encoded into a buffer of its length.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Buf as _, BufMut, Bytes, BytesMut};
use http::{Extensions, HeaderMap, HeaderValue, Request, Response, header};
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use prost::Message;
use tonic::Status;
use tonic::body::Body;

use crate::apart::apart;
#[cfg(feature = "bench")]
use crate::bodies::MessageMemory;
use crate::bodies::{ConnectionShare, HeldBytes, RequestBody};
use crate::deadline::{self, Deadline};
use crate::identity::Asker;

/// One byte that says whether the message is compressed, and four of its length.
const PREFIX_BYTES: usize = 5;

/// Fields of a request and of an answer: the compression of the one, the compressions that the other may have.
const ENCODING: &str = "grpc-encoding";
const ACCEPTED_ENCODING: &str = "grpc-accept-encoding";

/// A call of one message.
#[derive(Debug)]
pub(crate) struct UnaryCall<M> {
    pub(crate) message: M,
    /// The size of the message.
    pub(crate) bytes: usize,
    pub(crate) headers: HeaderMap,
    /// The sender, as its header named it; `None` if anybody may ask.
    pub(crate) asker: Option<Asker>,
    /// The moment until which the sender waits.
    pub(crate) deadline: Option<Deadline>,
    share: Arc<ConnectionShare>,
}

/// The facts about a call that its message does not hold.
#[derive(Clone, Debug)]
pub(crate) struct Sender {
    pub(crate) asker: Option<Asker>,
    pub(crate) deadline: Option<Deadline>,
    pub(crate) share: Arc<ConnectionShare>,
    /// The largest message, in bytes.
    pub(crate) limit_bytes: usize,
}

impl Sender {
    /// The sender of a stream, which tonic serves.
    pub(crate) fn of(extensions: &Extensions) -> Result<&Self, Status> {
        let sender = extensions.get();
        sender.ok_or_else(|| Status::internal("the stream has no sender"))
    }
}

impl<M: Message + Default> UnaryCall<M> {
    /// Reads a call. The error is the status that it gets.
    pub(crate) async fn read(request: Request<RequestBody>, sender: Sender) -> Result<Self, Status> {
        let (parts, body) = request.into_parts();
        if let Some(encoding) = parts
            .headers
            .get(ENCODING)
            .filter(|encoding| *encoding != "identity")
        {
            return Err(unknown_encoding(encoding));
        }
        let message = message(body, sender.limit_bytes).await?;
        let bytes = message.len();
        apart(bytes).await;
        Ok(Self {
            bytes,
            message: M::decode(message).map_err(|error| {
                Status::invalid_argument(format!("the message cannot be decoded: {error}"))
            })?,
            headers: parts.headers,
            asker: sender.asker,
            deadline: sender.deadline,
            share: sender.share,
        })
    }

    /// A call of anybody, without a network.
    #[cfg(feature = "bench")]
    pub(crate) fn of_anybody(message: M) -> Self {
        Self {
            bytes: 0,
            message,
            headers: HeaderMap::new(),
            asker: None,
            deadline: None,
            share: MessageMemory::new(usize::MAX, usize::MAX).share(),
        }
    }

    /// Counts the message's bytes while its call waits; the error is the status of a call for which there is no room.
    pub(crate) fn keep(&self) -> Result<HeldBytes, Status> {
        HeldBytes::of(&self.share, self.bytes)
    }

    /// Refuses a call for whose answer nobody waits any more.
    pub(crate) fn in_time(&self) -> Result<(), Status> {
        match self.deadline {
            Some(deadline) if deadline.is_over() => Err(deadline::over()),
            _ => Ok(()),
        }
    }
}

/// The one message of a body, without its prefix.
async fn message(body: RequestBody, limit_bytes: usize) -> Result<Bytes, Status> {
    let mut body = pin!(body);
    let mut read = Read::default();
    while let Some(frame) = poll_fn(|cx| body.as_mut().poll_frame(cx)).await {
        // Trailers of a request say nothing.
        if let Ok(data) = frame?.into_data() {
            read.add(data, limit_bytes)?;
        }
        if body.is_end_stream() {
            break;
        }
    }
    read.message()
}

/// The part of a message that has come.
#[derive(Debug, Default)]
struct Read {
    /// The only frame so far.
    first: Bytes,
    /// All frames, if there are several.
    all: BytesMut,
    /// The length of the message with its prefix, once that has come.
    length: Option<usize>,
}

impl Read {
    fn add(&mut self, data: Bytes, limit_bytes: usize) -> Result<(), Status> {
        if self.all.is_empty() && self.first.is_empty() {
            self.first = data;
        } else {
            if self.all.is_empty() {
                self.all
                    .reserve(self.length.unwrap_or_default().max(self.first.len() + data.len()));
                self.all.extend_from_slice(&std::mem::take(&mut self.first));
            }
            self.all.extend_from_slice(&data);
        }
        let so_far = if self.all.is_empty() {
            &self.first[..]
        } else {
            &self.all[..]
        };
        if self.length.is_none()
            && let Some((&prefix, _)) = so_far.split_first_chunk::<PREFIX_BYTES>()
        {
            self.length = Some(PREFIX_BYTES + length(prefix, limit_bytes)?);
        }
        match self.length {
            Some(length) if so_far.len() > length => Err(Status::invalid_argument(
                "expected one message, got more than one",
            )),
            _ => Ok(()),
        }
    }

    fn message(self) -> Result<Bytes, Status> {
        let mut all = if self.all.is_empty() {
            self.first
        } else {
            self.all.freeze()
        };
        match self.length {
            Some(length) if length == all.len() => {
                all.advance(PREFIX_BYTES);
                Ok(all)
            }
            None if all.is_empty() => Err(Status::invalid_argument("expected one message, got none")),
            _ => Err(Status::invalid_argument("the message broke off")),
        }
    }
}

/// The length that a prefix says.
fn length(prefix: [u8; PREFIX_BYTES], limit_bytes: usize) -> Result<usize, Status> {
    let [is_compressed, length @ ..] = prefix;
    if is_compressed != 0 {
        return Err(Status::invalid_argument(
            "expected a message that is not compressed",
        ));
    }
    let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
    if length > limit_bytes {
        return Err(Status::resource_exhausted(format!(
            "the message has {length} bytes; expected at most {limit_bytes}"
        )));
    }
    Ok(length)
}

fn unknown_encoding(encoding: &HeaderValue) -> Status {
    let encoding = String::from_utf8_lossy(encoding.as_bytes());
    let mut status = Status::unimplemented(format!(
        "expected a message that is not compressed, got one with `grpc-encoding: {encoding}`"
    ));
    let identity = tonic::metadata::MetadataValue::from_static("identity");
    status.metadata_mut().insert(ACCEPTED_ENCODING, identity);
    status
}

/// A message that answers a call.
pub(crate) trait Answered {
    /// The number of bytes that [`Self::write`] writes.
    fn length(&self) -> usize;

    fn write(&self, out: &mut impl BufMut);
}

impl<M: Message> Answered for M {
    fn length(&self) -> usize {
        self.encoded_len()
    }

    fn write(&self, out: &mut impl BufMut) {
        self.encode_raw(out);
    }
}

/// The answer to a call.
pub(crate) fn answer(answered: Result<impl Answered, Status>) -> Response<Body> {
    match answered {
        Ok(message) => encoded(framed(message.length(), |buffer| message.write(buffer))),
        Err(status) => status.into_http(),
    }
}

/// A message of this length with its prefix, as `encode` writes it.
pub(crate) fn framed(length: usize, encode: impl FnOnce(&mut BytesMut)) -> Bytes {
    let mut buffer = BytesMut::with_capacity(PREFIX_BYTES + length);
    buffer.put_u8(0);
    // A message of 4 GiB is none that is made here.
    buffer.put_u32(u32::try_from(length).unwrap_or(u32::MAX));
    encode(&mut buffer);
    buffer.freeze()
}

/// The answer that consists of this message with its prefix.
fn encoded(message: Bytes) -> Response<Body> {
    let mut response = Response::new(Body::new(AnswerBody::Message(message)));
    let content_type = HeaderValue::from_static("application/grpc");
    response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    response
}

/// A message, and the trailers that say that all went well.
enum AnswerBody {
    Message(Bytes),
    Trailers,
    Over,
}

impl HttpBody for AnswerBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        Poll::Ready(match std::mem::replace(&mut *self, Self::Over) {
            Self::Message(message) => {
                *self = Self::Trailers;
                Some(Ok(Frame::data(message)))
            }
            Self::Trailers => {
                let mut trailers = HeaderMap::with_capacity(1);
                trailers.insert(Status::GRPC_STATUS, HeaderValue::from_static("0"));
                Some(Ok(Frame::trailers(trailers)))
            }
            Self::Over => None,
        })
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Over)
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Message(message) => SizeHint::with_exact(u64::try_from(message.len()).unwrap_or(u64::MAX)),
            Self::Trailers | Self::Over => SizeHint::with_exact(0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT_BYTES: usize = 1_000;

    fn read(frames: &[&[u8]]) -> Result<Bytes, Status> {
        let mut read = Read::default();
        for frame in frames {
            read.add(Bytes::copy_from_slice(frame), LIMIT_BYTES)?;
        }
        read.message()
    }

    #[test]
    fn a_message_is_the_same_in_any_pieces() {
        let whole = framed(3, |buffer| buffer.put_slice(b"abc"));
        assert_eq!(*whole, *b"\0\0\0\0\x03abc");
        for first in 0..=whole.len() {
            for second in first..=whole.len() {
                let frames = [&whole[..first], &whole[first..second], &whole[second..]];
                assert_eq!(read(&frames).unwrap(), "abc", "{first}, {second}");
            }
        }
        assert_eq!(read(&[&[0; 5]]).unwrap(), "");
    }

    #[test]
    fn what_is_not_one_message_is_refused() {
        let refused = |frames: &[&[u8]], code, expected| {
            let status = read(frames).unwrap_err();
            assert_eq!((status.code(), status.message()), (code, expected));
        };
        let invalid = tonic::Code::InvalidArgument;
        refused(&[], invalid, "expected one message, got none");
        refused(&[b"\0\0\0\0"], invalid, "the message broke off");
        refused(&[b"\0\0\0\0\x03ab"], invalid, "the message broke off");
        let several = "expected one message, got more than one";
        refused(&[b"\0\0\0\0\x01a", b"\0"], invalid, several);
        let compressed = "expected a message that is not compressed";
        refused(&[b"\x01\0\0\0\x01a"], invalid, compressed);
        let long = "the message has 1001 bytes; expected at most 1000";
        refused(&[b"\0\0\0\x03\xe9"], tonic::Code::ResourceExhausted, long);
    }
}
