//! The doors: each request on a port goes to the service of its protocol.

mod agentgateway;
mod answer;
#[cfg(feature = "bench")]
pub mod bench;
mod callgate_fields;
mod envoy;
mod gateway;
mod grpc;
pub(crate) mod http;
mod quota;
pub(crate) mod stdio;
mod turn;

use std::convert::Infallible;
use std::future::ready;
use std::sync::Arc;
use std::time::Duration;

use ::http::{Request, Response, Version, header};
use agentgateway::McpPolicy;
use callgate_proto::decision::v1::decision_service_server::DecisionServiceServer;
use callgate_proto::ext_mcp::ext_mcp_server::ExtMcpServer;
use callgate_proto::pb::envoy::service::auth::v3::authorization_server::AuthorizationServer;
use hyper::body::Incoming;
use tokio::sync::watch;
use tonic::Status;
use tonic::body::Body;
use tower_service::Service;

use crate::bodies::{ConnectionShare, DrainedBody, Kind, MessageMemory, RequestBody};
use crate::deadline::Deadline;
use crate::error::StartError;
use crate::gate::Gate;
use crate::identity::{Asker, Peer, UnknownPepError};
use crate::limits::Limits;
use crate::listener::Listener;
use crate::phase::Phase;
use answer::{Answer, CountedAnswer, Patience, RequestKind};
use callgate_proto::pb::envoy::service::ext_proc::v3::external_processor_server::ExternalProcessorServer;
use callgate_proto::pb::envoy::service::ratelimit::v3::rate_limit_service_server::RateLimitServiceServer;
use envoy::Authorizer;
use envoy::ext_proc::{self, Processor};
use envoy::rate_limit::{self, RateLimits};
use grpc::decision::Decisions;
use grpc::health;

pub(crate) use self::http::{Access, HttpContext};
pub(crate) use grpc::health::Health;

const CHECK_BATCH: &str = "/callgate.decision.v1.DecisionService/CheckBatch";
const CHECK_STREAM: &str = "/callgate.decision.v1.DecisionService/CheckStream";
const WATCH_APPROVAL: &str = "/callgate.decision.v1.DecisionService/WatchApproval";

/// A gRPC service whose type cannot be named.
type Route = Box<dyn Fn(Request<Incoming>) -> Answer + Send + Sync>;

/// The services and the state that requests use.
pub(crate) struct Services {
    pub(crate) gate: Arc<Gate>,
    /// Memory for messages that are not whole yet, over every connection.
    pub(crate) unfinished: Arc<MessageMemory>,
    http: Arc<HttpContext>,
    max_batch_calls: usize,
    message_timeout: Duration,
    decisions: DecisionServiceServer<Decisions>,
    authorizer: AuthorizationServer<Authorizer>,
    processor: ExternalProcessorServer<Processor>,
    rate_limits: RateLimitServiceServer<RateLimits>,
    mcp_policy: ExtMcpServer<McpPolicy>,
    health: Route,
    reflection_v1: Route,
    reflection_v1alpha: Route,
}

impl Services {
    pub(crate) fn new(
        gate: Gate,
        access: Access,
        limits: Limits,
        health: health::HealthService,
        phase: watch::Receiver<Phase>,
    ) -> Result<Self, StartError> {
        let gate = Arc::new(gate);
        let message_timeout = Duration::from_millis(limits.message_timeout_ms);
        let decisions = DecisionServiceServer::new(Decisions::new(Arc::clone(&gate), phase.clone()))
            .max_decoding_message_size(limits.body_limit_bytes);
        let processor = Processor::new(Arc::clone(&gate), phase.clone(), limits);
        let processor =
            ExternalProcessorServer::new(processor).max_decoding_message_size(limits.body_limit_bytes);
        let mcp_policy = ExtMcpServer::new(McpPolicy::new(Arc::clone(&gate)))
            .max_decoding_message_size(limits.body_limit_bytes);
        let authorizer = Authorizer::new(Arc::clone(&gate));
        let authorizer =
            AuthorizationServer::new(authorizer).max_decoding_message_size(limits.body_limit_bytes);
        let rate_limits = RateLimitServiceServer::new(RateLimits::new(Arc::clone(&gate)))
            .max_decoding_message_size(limits.body_limit_bytes.min(rate_limit::MESSAGE_LIMIT_BYTES));
        let descriptors = || {
            tonic_reflection::server::Builder::configure()
                .register_encoded_file_descriptor_set(callgate_proto::FILE_DESCRIPTOR_SET)
                .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        };
        let longest = health::QUESTION_LIMIT_BYTES;
        let fault = |error: tonic_reflection::server::Error| StartError::Reflection(error.to_string());
        Ok(Self {
            http: Arc::new(HttpContext {
                gate: Arc::clone(&gate),
                access,
                body_limit_bytes: limits.body_limit_bytes,
                message_timeout,
                phase,
            }),
            gate,
            unfinished: MessageMemory::new(limits.unfinished_limit_bytes, limits.body_limit_bytes),
            max_batch_calls: limits.max_batch_calls,
            message_timeout,
            decisions,
            authorizer,
            processor,
            rate_limits,
            mcp_policy,
            health: route(health),
            reflection_v1: route(
                descriptors()
                    .build_v1()
                    .map_err(fault)?
                    .max_decoding_message_size(longest),
            ),
            reflection_v1alpha: route(
                descriptors()
                    .build_v1alpha()
                    .map_err(fault)?
                    .max_decoding_message_size(longest),
            ),
        })
    }

    /// Answers one request; whatever goes wrong is an answer too.
    pub(crate) fn answer(
        &self,
        listener: Listener,
        peer: &Arc<Peer>,
        share: &Arc<ConnectionShare>,
        request: Request<Incoming>,
    ) -> CountedAnswer {
        let path = request.uri().path();
        let is_gateway = gateway::owns(path);
        if is_gateway || http::owns(path) || !is_grpc(&request) {
            let (context, peer) = (Arc::clone(&self.http), Arc::clone(peer));
            let request = DrainedBody::request(request, self.message_timeout);
            let request = request.map(|body| RequestBody::new(body, Kind::Plain, Arc::clone(share)));
            let share = Arc::clone(share);
            if is_gateway {
                let answer: Answer =
                    Box::pin(
                        async move { Ok(gateway::answer(&context, listener, &peer, share, request).await) },
                    );
                return self.answering(answer, RequestKind::Mcp, None, None);
            }
            let answer: Answer =
                Box::pin(async move { Ok(http::answer(&context, listener, &peer, &share, request).await) });
            return self.answering(answer, RequestKind::Http, None, None);
        }
        let counted = match request.uri().path() {
            CHECK_STREAM | WATCH_APPROVAL | ext_proc::PROCESS => RequestKind::Stream,
            _ => RequestKind::Grpc,
        };
        let leaving = has_large_answers(request.uri().path()).then(|| Arc::clone(share));
        let (answer, patience) = self.call(listener, peer, share, request);
        self.answering(answer, counted, patience, leaving)
    }

    fn answering(
        &self,
        answer: Answer,
        counted: RequestKind,
        patience: Option<Patience>,
        leaving: Option<Arc<ConnectionShare>>,
    ) -> CountedAnswer {
        CountedAnswer {
            leaving,
            answer,
            gate: Arc::clone(&self.gate),
            counted,
            patience,
        }
    }

    /// The answer to a gRPC request, and how long it may take.
    fn call(
        &self,
        listener: Listener,
        peer: &Arc<Peer>,
        share: &Arc<ConnectionShare>,
        mut request: Request<Incoming>,
    ) -> (Answer, Option<Patience>) {
        if let Some(status) = self.refusal(listener, &request) {
            // Over HTTP/1.1, its body may be on its way.
            drop(DrainedBody::request(request, self.message_timeout));
            return (refused(status), None);
        }
        match self.asker(peer, &request) {
            Err(unknown) => return (Box::pin(ready(Ok(unauthenticated(unknown)))), None),
            Ok(Some(asker)) => {
                request.extensions_mut().insert(asker);
            }
            Ok(None) => {}
        }
        let path = request.uri().path();
        let service = path
            .strip_prefix('/')
            .and_then(|path| path.split_once('/'))
            .map(|(service, _)| service);
        let answer = match service {
            Some("callgate.decision.v1.DecisionService") => {
                return self.within_time(share, request, |request| self.decisions.clone().call(request));
            }
            Some("envoy.service.auth.v3.Authorization") => {
                return self.within_time(share, request, |request| self.authorizer.clone().call(request));
            }
            Some(ext_proc::NAME) => {
                return self.within_time(share, request, |request| self.processor.clone().call(request));
            }
            Some(rate_limit::NAME) => {
                return self.within_time(share, request, |request| self.rate_limits.clone().call(request));
            }
            Some(agentgateway::NAME) => {
                return self.within_time(share, request, |request| self.mcp_policy.clone().call(request));
            }
            Some("grpc.health.v1.Health") => (self.health)(request),
            Some("grpc.reflection.v1.ServerReflection") => (self.reflection_v1)(request),
            Some("grpc.reflection.v1alpha.ServerReflection") => (self.reflection_v1alpha)(request),
            _ => refused(Status::unimplemented(format!(
                "unknown method `{path}`; expected one of `callgate.decision.v1.DecisionService`, such as \
                 `/callgate.decision.v1.DecisionService/Check`"
            ))),
        };
        (answer, None)
    }

    /// The answer of a service that decides, within its own time and its caller's.
    fn within_time(
        &self,
        share: &Arc<ConnectionShare>,
        mut request: Request<Incoming>,
        answer: impl FnOnce(Request<RequestBody>) -> Answer,
    ) -> (Answer, Option<Patience>) {
        let deadline = match Deadline::of(request.headers()) {
            Ok(deadline) => deadline,
            Err(status) => return (refused(status), None),
        };
        if let Some(deadline) = deadline {
            request.extensions_mut().insert(deadline);
        }
        request.extensions_mut().insert(Arc::clone(share));
        let kind = match request.uri().path() {
            CHECK_BATCH => Kind::Batch {
                max_calls: self.max_batch_calls,
            },
            CHECK_STREAM | ext_proc::PROCESS => Kind::Stream {
                patience: self.message_timeout,
            },
            _ => Kind::Message,
        };
        let request = request.map(|body| RequestBody::new(DrainedBody::never(body), kind, Arc::clone(share)));
        let patience = Patience::new(self.message_timeout, deadline);
        (answer(request), Some(patience))
    }

    /// Rejects a gRPC request that is not looked at.
    ///
    /// `Host` is no reason: proxies put the name of a cluster there. It need not be one, because a browser, which is
    /// what a rebound name would steer, cannot speak HTTP/2 without TLS, and with TLS the certificate does not bear that
    /// name; so gRPC over HTTP/1.1 is refused.
    fn refusal(&self, listener: Listener, request: &Request<Incoming>) -> Option<Status> {
        if request.version() != Version::HTTP_2 {
            return Some(Status::unimplemented(
                "gRPC needs HTTP/2; over HTTP/1.1 use `POST /v1/check`",
            ));
        }
        self.http
            .access
            .origin_refusal(listener, request.headers())
            .map(Status::permission_denied)
    }

    /// Identifies the sender of a gRPC request; anybody may ask for health.
    fn asker(&self, peer: &Arc<Peer>, request: &Request<Incoming>) -> Result<Option<Asker>, UnknownPepError> {
        let configuration = self.gate.configuration();
        let peps = &configuration.parts.peps;
        if request.uri().path().starts_with("/grpc.health.v1.Health/") && peps.admits(peer) {
            return Ok(None);
        }
        let asker = peps.ask(peer, request.headers());
        asker.inspect_err(|unknown| self.gate.refused_asker(*unknown))
    }
}

/// Returns true if a method's answers may be long, so that they count until they are taken.
fn has_large_answers(path: &str) -> bool {
    matches!(
        path,
        CHECK_BATCH | CHECK_STREAM | ext_proc::PROCESS | agentgateway::CHECK_RESPONSE
    )
}

fn refused(status: Status) -> Answer {
    Box::pin(ready(Ok(status.into_http())))
}

/// The answer to a gRPC request of nobody that is known.
fn unauthenticated(unknown: UnknownPepError) -> Response<Body> {
    let mut response = Status::unauthenticated(unknown.message()).into_http();
    let challenge = ::http::HeaderValue::from_static("Bearer");
    response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
    response
}

/// Returns true for the content type of gRPC: `application/grpc`, alone or with an encoding such as `+proto`.
fn is_grpc(request: &Request<Incoming>) -> bool {
    let kind = request
        .headers()
        .get(header::CONTENT_TYPE)
        .map(::http::HeaderValue::as_bytes)
        .unwrap_or_default();
    let rest = kind.strip_prefix(b"application/grpc".as_slice());
    rest.is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';')))
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
