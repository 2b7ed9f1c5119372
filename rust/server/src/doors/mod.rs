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
mod unary;

use std::convert::Infallible;
use std::future::ready;
use std::sync::Arc;
use std::time::Duration;

use ::http::{Request, Response, Version, header};
use agentgateway::McpPolicy;
use hyper::body::Incoming;
use tokio::sync::watch;
use tonic::Status;
use tonic::body::Body;
use tonic::codec::Codec;
use tonic::server::Grpc;
use tonic_prost::ProstCodec;
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
use callgate_proto::pb::envoy::service::rate_limit_quota::v3::rate_limit_quota_service_server::RateLimitQuotaServiceServer;
use envoy::Authorizer;
use envoy::ext_proc::Processor;
use envoy::quota::{self as quota_service, Quotas};
use envoy::rate_limit::{self, RateLimits};
use grpc::decision::Decisions;
use grpc::health;
use grpc::written::StreamCodec;
use unary::{Sender, UnaryCall};

pub(crate) use self::http::{Access, HttpContext};
pub(crate) use grpc::health::Health;

/// The answer to a call of one message: what the method returns for it, or its refusal.
macro_rules! unary {
    ($request:ident, $sender:ident, |$call:ident| $answered:expr) => {
        Box::pin(async move {
            let answered = async {
                let $call = UnaryCall::read($request, $sender).await?;
                $answered
            };
            Ok(unary::answer(answered.await))
        })
    };
}

/// The methods that decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Method {
    Check,
    CheckBatch,
    CheckStream,
    Peek,
    Settle,
    GetApproval,
    WatchApproval,
    Authorize,
    Process,
    LimitRate,
    LendQuotas,
    CheckMcpRequest,
    CheckMcpResponse,
}

impl Method {
    fn of(path: &str) -> Option<Self> {
        Some(match path {
            "/callgate.decision.v1.DecisionService/Check" => Self::Check,
            "/callgate.decision.v1.DecisionService/CheckBatch" => Self::CheckBatch,
            "/callgate.decision.v1.DecisionService/CheckStream" => Self::CheckStream,
            "/callgate.decision.v1.DecisionService/Peek" => Self::Peek,
            "/callgate.decision.v1.DecisionService/Settle" => Self::Settle,
            "/callgate.decision.v1.DecisionService/GetApproval" => Self::GetApproval,
            "/callgate.decision.v1.DecisionService/WatchApproval" => Self::WatchApproval,
            "/envoy.service.auth.v3.Authorization/Check" => Self::Authorize,
            "/envoy.service.ext_proc.v3.ExternalProcessor/Process" => Self::Process,
            "/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit" => Self::LimitRate,
            "/envoy.service.rate_limit_quota.v3.RateLimitQuotaService/StreamRateLimitQuotas" => {
                Self::LendQuotas
            }
            "/agentgateway.dev.ext_mcp.ExtMcp/CheckRequest" => Self::CheckMcpRequest,
            "/agentgateway.dev.ext_mcp.ExtMcp/CheckResponse" => Self::CheckMcpResponse,
            _ => return None,
        })
    }

    /// Returns true for a method whose answers are a stream.
    const fn is_stream(self) -> bool {
        matches!(
            self,
            Self::CheckStream | Self::WatchApproval | Self::Process | Self::LendQuotas
        )
    }

    /// Returns true if a method's answers may be long, so that they count until they are taken.
    const fn has_large_answers(self) -> bool {
        matches!(
            self,
            Self::CheckBatch | Self::CheckStream | Self::Process | Self::LendQuotas | Self::CheckMcpResponse
        )
    }
}

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
    body_limit_bytes: usize,
    decisions: Decisions,
    authorizer: Authorizer,
    processor: ExternalProcessorServer<Processor>,
    rate_limits: RateLimits,
    quotas: RateLimitQuotaServiceServer<Quotas>,
    mcp_policy: McpPolicy,
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
        phase: &watch::Receiver<Phase>,
    ) -> Result<Self, StartError> {
        let gate = Arc::new(gate);
        gate.serve_others();
        let message_timeout = Duration::from_millis(limits.message_timeout_ms);
        let processor = Processor::new(Arc::clone(&gate), phase.clone(), limits);
        let processor =
            ExternalProcessorServer::new(processor).max_decoding_message_size(limits.body_limit_bytes);
        let quotas = Quotas::new(Arc::clone(&gate), phase.clone(), limits);
        let quotas = RateLimitQuotaServiceServer::new(quotas)
            .max_decoding_message_size(limits.body_limit_bytes.min(quota_service::MESSAGE_LIMIT_BYTES));
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
                phase: phase.clone(),
            }),
            unfinished: MessageMemory::new(limits.unfinished_limit_bytes, limits.body_limit_bytes),
            max_batch_calls: limits.max_batch_calls,
            message_timeout,
            body_limit_bytes: limits.body_limit_bytes,
            decisions: Decisions::new(Arc::clone(&gate), phase.clone()),
            authorizer: Authorizer::new(Arc::clone(&gate)),
            processor,
            rate_limits: RateLimits::new(Arc::clone(&gate)),
            quotas,
            mcp_policy: McpPolicy::new(Arc::clone(&gate)),
            gate,
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
        let method = Method::of(path);
        let counted = if method.is_some_and(Method::is_stream) {
            RequestKind::Stream
        } else {
            RequestKind::Grpc
        };
        let leaving = method
            .is_some_and(Method::has_large_answers)
            .then(|| Arc::clone(share));
        let (answer, patience) = self.call(listener, (peer, share), method, request);
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
        (peer, share): (&Arc<Peer>, &Arc<ConnectionShare>),
        method: Option<Method>,
        request: Request<Incoming>,
    ) -> (Answer, Option<Patience>) {
        if let Some(status) = self.refusal(listener, &request) {
            // Over HTTP/1.1, its body may be on its way.
            drop(DrainedBody::request(request, self.message_timeout));
            return (refused(status), None);
        }
        let asker = match self.asker(peer, &request) {
            Ok(asker) => asker,
            Err(unknown) => return (Box::pin(ready(Ok(unauthenticated(unknown)))), None),
        };
        let Some(method) = method else {
            return (self.of_the_protocol(request), None);
        };
        let deadline = match Deadline::of(request.headers()) {
            Ok(deadline) => deadline,
            Err(status) => return (refused(status), None),
        };
        let kind = match method {
            Method::CheckBatch => Kind::Batch {
                max_calls: self.max_batch_calls,
            },
            Method::CheckStream | Method::Process | Method::LendQuotas => Kind::Stream {
                patience: self.message_timeout,
            },
            _ => Kind::Message,
        };
        let sender = Sender {
            asker,
            deadline,
            share: Arc::clone(share),
            limit_bytes: self.body_limit_bytes,
        };
        let request = request.map(|body| RequestBody::new(DrainedBody::never(body), kind, Arc::clone(share)));
        let answer = self.decide(method, sender, request);
        (answer, Some(Patience::new(self.message_timeout, deadline)))
    }

    /// The answer of a service that decides.
    fn decide(&self, method: Method, sender: Sender, mut request: Request<RequestBody>) -> Answer {
        let decisions = self.decisions.clone();
        match method {
            Method::Check => unary!(request, sender, |call| decisions.check(&call).await),
            Method::CheckBatch => unary!(request, sender, |call| decisions.check_batch(call).await),
            Method::Peek => unary!(request, sender, |call| decisions.peek(&call).await),
            Method::Settle => unary!(request, sender, |call| decisions.settle(&call).await),
            Method::GetApproval => unary!(request, sender, |call| decisions.get_approval(&call).await),
            Method::CheckStream => {
                let mut grpc = self.streaming(StreamCodec);
                request.extensions_mut().insert(sender);
                Box::pin(async move { Ok(grpc.streaming(decisions, request).await) })
            }
            Method::WatchApproval => {
                let mut grpc = self.streaming(ProstCodec::default());
                request.extensions_mut().insert(sender);
                Box::pin(async move { Ok(grpc.server_streaming(decisions, request).await) })
            }
            Method::Authorize => {
                let authorizer = self.authorizer.clone();
                unary!(request, sender, |call| authorizer.check(&call).await)
            }
            Method::Process => {
                request.extensions_mut().insert(sender);
                self.processor.clone().call(request)
            }
            Method::LimitRate => {
                let rate_limits = self.rate_limits.clone();
                let limit_bytes = sender.limit_bytes.min(rate_limit::MESSAGE_LIMIT_BYTES);
                let sender = Sender {
                    limit_bytes,
                    ..sender
                };
                unary!(request, sender, |call| rate_limits.should_rate_limit(&call))
            }
            Method::LendQuotas => {
                request.extensions_mut().insert(sender);
                self.quotas.clone().call(request)
            }
            Method::CheckMcpRequest => {
                let policy = self.mcp_policy.clone();
                unary!(request, sender, |call| policy.check_request(&call).await)
            }
            Method::CheckMcpResponse => {
                let policy = self.mcp_policy.clone();
                unary!(request, sender, |call| policy.check_response(&call).await)
            }
        }
    }

    /// tonic's side of a stream.
    fn streaming<C: Codec>(&self, codec: C) -> Grpc<C> {
        let grpc = Grpc::new(codec);
        grpc.apply_max_message_size_config(Some(self.body_limit_bytes), None)
    }

    /// The answer of a service that belongs to gRPC itself.
    fn of_the_protocol(&self, request: Request<Incoming>) -> Answer {
        let path = request.uri().path();
        let service = path
            .strip_prefix('/')
            .and_then(|path| path.split_once('/'))
            .map(|(service, _)| service);
        match service {
            Some("grpc.health.v1.Health") => (self.health)(request),
            Some("grpc.reflection.v1.ServerReflection") => (self.reflection_v1)(request),
            Some("grpc.reflection.v1alpha.ServerReflection") => (self.reflection_v1alpha)(request),
            _ => refused(Status::unimplemented(format!(
                "unknown method `{path}`; expected one of `callgate.decision.v1.DecisionService`, such as \
                 `/callgate.decision.v1.DecisionService/Check`"
            ))),
        }
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
