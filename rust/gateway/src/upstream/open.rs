//! A reply that is being read.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::Response;
use http_body::{Body, Frame, SizeHint};

use super::failure::FailureKind;
use super::tally::Place;
use crate::pool::PooledBody;

/// The body of a reply as it comes. Until it has ended, and all bytes of it are gone, it is one of the requests that may be
/// open at once.
#[derive(Debug)]
pub struct OpenBody {
    body: PooledBody,
    place: Arc<Place>,
}

impl OpenBody {
    /// The place that the reply takes, to be kept for as long as something of it is.
    pub fn place(&self) -> Arc<Place> {
        Arc::clone(&self.place)
    }
}

/// A reply whose body holds this place.
pub(super) fn opened(response: Response<PooledBody>, place: Place) -> Response<OpenBody> {
    let place = Arc::new(place);
    response.map(|body| OpenBody { body, place })
}

/// Bytes of a reply: a client that does not take them has its request open still.
struct Piece {
    bytes: Bytes,
    _place: Arc<Place>,
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Body for OpenBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        if matches!(polled, Poll::Ready(Some(Err(_)))) {
            self.place.failed(FailureKind::CutShort);
        }
        polled.map_ok(|frame| {
            frame.map_data(|bytes| {
                Bytes::from_owner(Piece {
                    bytes,
                    _place: self.place(),
                })
            })
        })
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
