//! What is behind the port: one place that sends each request to its protocol.

mod arriving;
mod batch;
mod calls;
mod deadline;
mod decision;
mod health;
pub(crate) mod http;
mod stream;
mod turn;
mod unfinished;

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use ::http::{Request, Response, StatusCode, Version, header};
use callgate_proto::decision::v1::decision_service_server::DecisionServiceServer;
use hyper::body::Incoming;
use tokio::sync::watch;
use tonic::body::Body;
use tonic::{Code, Status};
use tower_service::Service;

use crate::StartError;
use crate::gate::Gate;
use crate::identity::{Asker, Peer, Unknown};
use crate::limits::Limits;
use crate::net::Phase;
use arriving::{Arriving, Kind};
use deadline::Deadline;
use decision::Decisions;
use unfinished::Unfinished;

pub(crate) use self::http::Access;
pub(crate) use health::Health;
pub(crate) use unfinished::Share;

/// Where a connection came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Door {
    /// Over TCP.
    Tcp {
        /// The listener's address is a loopback one.
        loopback: bool,
    },
    /// Over the Unix socket, whose peer's user has been checked.
    Socket,
}

type Answer = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

const CHECK_BATCH: &str = "/callgate.decision.v1.DecisionService/CheckBatch";
const CHECK_STREAM: &str = "/callgate.decision.v1.DecisionService/CheckStream";

/// A gRPC service whose type cannot be named.
type Route = Box<dyn Fn(Request<Incoming>) -> Answer + Send + Sync>;

/// Everything that a request can reach.
pub(crate) struct Doors {
    pub(crate) gate: Arc<Gate>,
    /// What every connection holds of messages that are not whole yet.
    pub(crate) unfinished: Arc<Unfinished>,
    access: Access,
    limits: Limits,
    message_timeout: Duration,
    decisions: DecisionServiceServer<Decisions>,
    health: Route,
    reflection_v1: Route,
    reflection_v1alpha: Route,
}

impl Doors {
    pub(crate) fn new(
        gate: Gate,
        access: Access,
        limits: Limits,
        health: health::HealthService,
        phase: watch::Receiver<Phase>,
    ) -> Result<Self, StartError> {
        let gate = Arc::new(gate);
        let decisions = DecisionServiceServer::new(Decisions::new(Arc::clone(&gate), phase))
            .max_decoding_message_size(limits.body_limit_bytes);
        let descriptors = || {
            tonic_reflection::server::Builder::configure()
                .register_encoded_file_descriptor_set(callgate_proto::FILE_DESCRIPTOR_SET)
                .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        };
        let fault = |error: tonic_reflection::server::Error| StartError::Reflection(error.to_string());
        Ok(Self {
            gate,
            unfinished: Unfinished::new(limits.unfinished_limit_bytes, limits.body_limit_bytes),
            access,
            limits,
            message_timeout: Duration::from_millis(limits.message_timeout_ms),
            decisions,
            health: route(health),
            reflection_v1: route(descriptors().build_v1().map_err(fault)?),
            reflection_v1alpha: route(descriptors().build_v1alpha().map_err(fault)?),
        })
    }

    /// Answers one request; whatever goes wrong is an answer too.
    pub(crate) async fn answer(
        self: Arc<Self>,
        door: Door,
        peer: Arc<Peer>,
        share: Arc<Share>,
        mut request: Request<Incoming>,
    ) -> Result<Response<Body>, Infallible> {
        if !is_grpc(&request) {
            let request = request.map(|body| Arriving::new(body, Kind::Plain, share));
            let response = Box::pin(http::answer(&self, door, &peer, request)).await;
            self.gate.metrics.http(response.status());
            return Ok(response);
        }
        let is_stream = request.uri().path() == CHECK_STREAM;
        let response = match self.refusal(door, &request) {
            Some(status) => status.into_http(),
            None => match self.asker(&peer, &request) {
                Err(unknown) => unauthenticated(unknown),
                Ok(asker) => {
                    if let Some(asker) = asker {
                        request.extensions_mut().insert(asker);
                    }
                    self.call(request, share).await?
                }
            },
        };
        let code = grpc_code(&response);
        // A stream that has begun is counted when it ends.
        if !is_stream || code != Code::Ok {
            self.gate.metrics.grpc(code);
        }
        Ok(response)
    }

    /// Why a gRPC request is not even looked at.
    ///
    /// `Host` is no reason: proxies put the name of a cluster there. It need not be one, because a browser, which is
    /// what a rebound name would steer, cannot speak HTTP/2 without TLS, and with TLS the certificate does not bear that
    /// name; so gRPC over HTTP/1.1 is refused.
    fn refusal(&self, door: Door, request: &Request<Incoming>) -> Option<Status> {
        if request.version() != Version::HTTP_2 {
            return Some(Status::unimplemented(
                "gRPC needs HTTP/2; over HTTP/1.1 use `POST /v1/check`",
            ));
        }
        self.access
            .origin_refusal(door, request.headers())
            .map(Status::permission_denied)
    }

    /// Who sends a gRPC request; health is everybody's to ask.
    fn asker(&self, peer: &Arc<Peer>, request: &Request<Incoming>) -> Result<Option<Asker>, Unknown> {
        if request.uri().path().starts_with("/grpc.health.v1.Health/") && self.gate.peps.admits(peer) {
            return Ok(None);
        }
        let asker = self.gate.peps.ask(peer, request.headers());
        asker.inspect_err(|unknown| self.gate.refused_asker(*unknown))
    }

    async fn call(
        &self,
        request: Request<Incoming>,
        share: Arc<Share>,
    ) -> Result<Response<Body>, Infallible> {
        let path = request.uri().path();
        let service = path
            .strip_prefix('/')
            .and_then(|path| path.split_once('/'))
            .map(|(service, _)| service);
        match service {
            Some("callgate.decision.v1.DecisionService") => self.decide(request, share).await,
            Some("grpc.health.v1.Health") => (self.health)(request).await,
            Some("grpc.reflection.v1.ServerReflection") => (self.reflection_v1)(request).await,
            Some("grpc.reflection.v1alpha.ServerReflection") => (self.reflection_v1alpha)(request).await,
            _ => Ok(Status::unimplemented(format!(
                "unknown method `{path}`; expected one of `callgate.decision.v1.DecisionService`, such as \
                 `/callgate.decision.v1.DecisionService/Check`"
            ))
            .into_http()),
        }
    }

    /// A request to the decision service, within its own time and its caller's.
    async fn decide(
        &self,
        mut request: Request<Incoming>,
        share: Arc<Share>,
    ) -> Result<Response<Body>, Infallible> {
        let deadline = match Deadline::of(request.headers()) {
            Ok(deadline) => deadline,
            Err(status) => return Ok(status.into_http()),
        };
        if let Some(deadline) = deadline {
            request.extensions_mut().insert(deadline);
        }
        let kind = match request.uri().path() {
            CHECK_BATCH => Kind::Batch {
                max_calls: self.limits.max_batch_calls,
            },
            CHECK_STREAM => Kind::Stream {
                patience: self.message_timeout,
            },
            _ => Kind::Message,
        };
        let request = request.map(|body| Arriving::new(body, kind, share));
        let answer = self.decisions.clone().call(request);
        let patience = deadline.map_or(self.message_timeout, |deadline| {
            deadline.left().min(self.message_timeout)
        });
        // The answer to a stream begins at once, and what follows has a time of its own.
        match within(patience, answer).await {
            Some(response) => Ok(decision::with_our_statuses(response?)),
            None if deadline.is_some_and(Deadline::is_over) => Ok(deadline::over().into_http()),
            None => Ok(Status::deadline_exceeded("the message took too long to arrive").into_http()),
        }
    }
}

/// The answer to a gRPC request of nobody that is known.
fn unauthenticated(unknown: Unknown) -> Response<Body> {
    let mut response = Status::unauthenticated(unknown.message()).into_http();
    let challenge = ::http::HeaderValue::from_static("Bearer");
    response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
    response
}

/// The output of a future, if it comes in time. Most messages are there already: those cost no timer.
async fn within<F: Future>(patience: Duration, future: F) -> Option<F::Output> {
    let mut future = std::pin::pin!(future);
    match std::future::poll_fn(|context| Poll::Ready(future.as_mut().poll(context))).await {
        Poll::Ready(output) => Some(output),
        Poll::Pending => tokio::time::timeout(patience, future).await.ok(),
    }
}

/// What gRPC requests say they are: `application/grpc`, alone or with an encoding such as `+proto`.
fn is_grpc(request: &Request<Incoming>) -> bool {
    let kind = request
        .headers()
        .get(header::CONTENT_TYPE)
        .map(::http::HeaderValue::as_bytes)
        .unwrap_or_default();
    let rest = kind.strip_prefix(b"application/grpc".as_slice());
    rest.is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';')))
}

/// The status of a gRPC answer: in its header where there is no message, else the trailer will say OK.
fn grpc_code(response: &Response<Body>) -> Code {
    match response.headers().get(Status::GRPC_STATUS) {
        Some(code) => Code::from_bytes(code.as_bytes()),
        None if response.status() == StatusCode::OK => Code::Ok,
        None => Code::Unknown,
    }
}

fn route<S>(service: S) -> Route
where
    S: Service<Request<Incoming>, Response = Response<Body>, Error = Infallible>
        + Clone
        + Send
        + Sync
        + 'static,
    S::Future: Send + 'static,
{
    // These services are always ready: readiness is for clients and balancers.
    Box::new(move |request| Box::pin(service.clone().call(request)))
}
