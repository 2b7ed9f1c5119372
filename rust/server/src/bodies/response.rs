//! The body of a gRPC answer, for clients that may not read it.
//!
//! Small answers are bounded by the number of streams. Large ones count against the share of their connection until
//! their last byte is sent or dropped, wherever the bytes wait by then.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::HeaderMap;
use hyper::body::{Frame, SizeHint};
use tonic::Status;
use tonic::body::Body;

use super::memory::{ConnectionShare, HeldBytes, SMALL_BYTES};

/// A body whose large pieces are counted.
pub(crate) struct ResponseBody {
    /// `None` when nothing more is passed on.
    body: Option<Body>,
    share: Arc<ConnectionShare>,
}

/// Bytes that count against a share.
struct CountedBytes {
    bytes: Bytes,
    _held: HeldBytes,
}

impl AsRef<[u8]> for CountedBytes {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl ResponseBody {
    pub(crate) const fn new(body: Body, share: Arc<ConnectionShare>) -> Self {
        Self {
            body: Some(body),
            share,
        }
    }

    fn counted(&self, bytes: Bytes) -> Result<Bytes, Status> {
        if bytes.len() <= SMALL_BYTES {
            return Ok(bytes);
        }
        let mut held = HeldBytes::new(Arc::clone(&self.share));
        held.grow(bytes.len())?;
        Ok(Bytes::from_owner(CountedBytes { bytes, _held: held }))
    }
}

/// Makes the end of an answer for which there is no memory left.
fn end(full: &Status) -> Result<Frame<Bytes>, Status> {
    let mut trailers = HeaderMap::new();
    full.add_header(&mut trailers)?;
    Ok(Frame::trailers(trailers))
}

impl hyper::body::Body for ResponseBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let Some(body) = &mut self.body else {
            return Poll::Ready(None);
        };
        let frame = match ready!(Pin::new(body).poll_frame(cx)) {
            Some(Ok(frame)) => frame,
            other => return Poll::Ready(other),
        };
        let bytes = match frame.into_data() {
            Ok(bytes) => bytes,
            Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
        };
        Poll::Ready(Some(match self.counted(bytes) {
            Ok(bytes) => Ok(Frame::data(bytes)),
            Err(full) => {
                self.body = None;
                end(&full)
            }
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(hyper::body::Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body
            .as_ref()
            .map_or_else(SizeHint::default, hyper::body::Body::size_hint)
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::{BodyExt as _, Full};

    use super::super::memory::MessageMemory;
    use super::*;

    fn leaving(bytes: usize, share: &Arc<ConnectionShare>) -> ResponseBody {
        let body = Full::new(Bytes::from(vec![0; bytes]));
        ResponseBody::new(Body::new(body), Arc::clone(share))
    }

    async fn frame(mut leaving: ResponseBody) -> Frame<Bytes> {
        leaving.frame().await.unwrap().unwrap()
    }

    #[tokio::test]
    async fn large_answers_count_until_they_are_gone() {
        let all = MessageMemory::new(1 << 20, 1 << 16);
        let share = all.share();
        let mut waiting = Vec::new();
        // An eighth of the whole memory, without the part for small messages.
        for _ in 0..2 {
            waiting.push(
                frame(leaving(1 << 16, &share))
                    .await
                    .into_data()
                    .unwrap()
                    .split_to(1),
            );
        }
        let refused = frame(leaving(1 << 16, &share)).await.into_trailers().unwrap();
        assert_eq!(refused.get(Status::GRPC_STATUS).unwrap(), "8");
        let small = frame(leaving(SMALL_BYTES, &share)).await;
        assert_eq!(small.into_data().unwrap().len(), SMALL_BYTES);
        waiting.pop();
        assert!(frame(leaving(1 << 16, &share)).await.is_data());
    }
}
