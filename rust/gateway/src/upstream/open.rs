//! A reply that is being read.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::Response;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::sync::OwnedSemaphorePermit;

/// The body of a reply as it comes; until it has ended it is one of the requests that may be open at once.
#[derive(Debug)]
pub struct OpenBody {
    body: Incoming,
    _permit: OwnedSemaphorePermit,
}

/// A reply whose body holds this permit.
pub(super) fn opened(response: Response<Incoming>, permit: OwnedSemaphorePermit) -> Response<OpenBody> {
    response.map(|body| OpenBody {
        body,
        _permit: permit,
    })
}

impl Body for OpenBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
