//! A reply that is being read.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::Response;
use http_body::{Body, Frame, SizeHint};

use super::failure::FailureKind;
use super::tally::Place;
use crate::pool::PooledBody;

/// The body of a reply as it comes; until it has ended it is one of the requests that may be open at once.
#[derive(Debug)]
pub struct OpenBody {
    body: PooledBody,
    place: Place,
}

/// A reply whose body holds this place.
pub(super) fn opened(response: Response<PooledBody>, place: Place) -> Response<OpenBody> {
    response.map(|body| OpenBody { body, place })
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
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
