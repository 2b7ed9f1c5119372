//! Services without a network, for benches alone. Anybody may ask them.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use callgate_core::{Engine, Outcome};
use callgate_proto::pb::envoy::service::auth::v3::{CheckRequest, CheckResponse};
use callgate_proto::pb::envoy::service::ratelimit::v3::{RateLimitRequest, RateLimitResponse};
use tonic::Status;

use super::unary::UnaryCall;

use crate::clock::Clock;
use crate::doors::envoy::Authorizer;
use crate::doors::envoy::rate_limit::RateLimits;
use crate::gate::Gate;
use crate::identity::Peps;
use crate::in_force::Parts;
use crate::proxy::ProxyConfig;

/// Envoy's external authorization.
pub fn authorization(
    engine: Arc<Engine>,
    clock: Clock,
    proxies: ProxyConfig,
) -> impl Fn(CheckRequest) -> Result<CheckResponse, Status> {
    let authorizer = authorizer(engine, clock, proxies);
    move |message| at_once(authorizer.check(&UnaryCall::of_anybody(message)))
}

/// The same up to the decision: returns it without making an answer for Envoy.
pub fn outcomes(
    engine: Arc<Engine>,
    clock: Clock,
    proxies: ProxyConfig,
) -> impl Fn(&CheckRequest) -> Result<Outcome, Status> {
    let authorizer = authorizer(engine, clock, proxies);
    move |message: &CheckRequest| authorizer.outcome(message)
}

/// Envoy's rate limit service.
pub fn rate_limits(
    engine: Arc<Engine>,
    clock: Clock,
) -> impl Fn(RateLimitRequest) -> Result<RateLimitResponse, Status> {
    let limits = RateLimits::new(Arc::new(Gate::new(engine, clock, Parts::default())));
    move |message| limits.should_rate_limit(&UnaryCall::of_anybody(message))
}

/// The answer of a service that has nothing to wait for.
fn at_once<T>(answer: impl Future<Output = Result<T, Status>>) -> Result<T, Status> {
    match pin!(answer).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(answer) => answer,
        Poll::Pending => Err(Status::internal("the answer is not there at once")),
    }
}

fn authorizer(engine: Arc<Engine>, clock: Clock, proxies: ProxyConfig) -> Authorizer {
    let parts = Parts::new(Peps::anybody(), proxies);
    Authorizer::new(Arc::new(Gate::new(engine, clock, parts)))
}
