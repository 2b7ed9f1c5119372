//! An answer on its way.
//!
//! A future of its own, and a small one, because it is moved into its task as a whole: nested `async` functions would keep
//! a copy of the request each.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Response, StatusCode};
use tokio::time::Sleep;
use tonic::body::Body;
use tonic::{Code, Status};

use crate::bodies::{ConnectionShare, ResponseBody};
use crate::deadline::{self, Deadline};
use crate::doors::grpc::decision;
use crate::gate::Gate;

/// The answer of a service to one request.
pub(crate) type Answer = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

/// The kind of request that an answer is counted as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RequestKind {
    /// A request of plain HTTP.
    Http,
    /// One to the gateway.
    Mcp,
    /// One to a gRPC method.
    Grpc,
    /// One whose answer is a stream: it is counted when it ends.
    Stream,
}

/// The longest time that a decision's message may take to arrive.
pub(crate) struct Patience {
    longest: Duration,
    deadline: Option<Deadline>,
    // Most messages are there already: those cost no timer.
    timer: Option<Pin<Box<Sleep>>>,
}

impl Patience {
    pub(crate) const fn new(longest: Duration, deadline: Option<Deadline>) -> Self {
        Self {
            longest,
            deadline,
            timer: None,
        }
    }

    /// The refusal of a message that is still not there.
    fn poll_over(&mut self, cx: &mut Context<'_>) -> Poll<Status> {
        let timer = self.timer.get_or_insert_with(|| {
            let longest = self
                .deadline
                .map_or(self.longest, |deadline| deadline.left().min(self.longest));
            Box::pin(tokio::time::sleep(longest))
        });
        timer.as_mut().poll(cx).map(|()| {
            if self.deadline.is_some_and(Deadline::is_over) {
                deadline::over()
            } else {
                Status::deadline_exceeded("the message took too long to arrive")
            }
        })
    }
}

/// The answer to one request, whatever it asks for.
pub(crate) struct CountedAnswer {
    pub(crate) answer: Answer,
    pub(crate) gate: Arc<Gate>,
    pub(crate) counted: RequestKind,
    /// For the methods of the decision service. The answer to a stream begins at once, and what follows has a time of its own.
    pub(crate) patience: Option<Patience>,
    /// The share that large pieces of the answer count against, if it may have some.
    pub(crate) leaving: Option<Arc<ConnectionShare>>,
}

impl CountedAnswer {
    fn count(&self, response: &Response<Body>) {
        match self.counted {
            RequestKind::Http => self.gate.metrics.http(response.status()),
            RequestKind::Mcp => self.gate.metrics.mcp(response.status()),
            RequestKind::Grpc => self.gate.metrics.grpc(grpc_code(response)),
            RequestKind::Stream => match grpc_code(response) {
                Code::Ok => {}
                code => self.gate.metrics.grpc(code),
            },
        }
    }
}

impl Future for CountedAnswer {
    type Output = Result<Response<Body>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let response = match (self.answer.as_mut().poll(cx), &mut self.patience) {
            (Poll::Ready(Ok(response)), None) => response,
            (Poll::Ready(Ok(response)), Some(_)) => decision::with_our_statuses(response),
            (Poll::Pending, None) => return Poll::Pending,
            (Poll::Pending, Some(patience)) => match patience.poll_over(cx) {
                Poll::Ready(status) => status.into_http(),
                Poll::Pending => return Poll::Pending,
            },
        };
        self.count(&response);
        Poll::Ready(Ok(match self.leaving.take() {
            Some(share) => response.map(|body| Body::new(ResponseBody::new(body, share))),
            None => response,
        }))
    }
}

/// The status of a gRPC answer: in its header where there is no message, else the trailer will say OK.
pub(crate) fn grpc_code(response: &Response<Body>) -> Code {
    match response.headers().get(Status::GRPC_STATUS) {
        Some(code) => Code::from_bytes(code.as_bytes()),
        None if response.status() == StatusCode::OK => Code::Ok,
        None => Code::Unknown,
    }
}
