//! Services without a network, for benches alone. Anybody may ask them.

use std::sync::Arc;

use callgate_core::{Engine, Outcome};
use callgate_proto::pb::envoy::service::auth::v3::CheckRequest;
use callgate_proto::pb::envoy::service::auth::v3::authorization_server::Authorization;
use callgate_proto::pb::envoy::service::ratelimit::v3::rate_limit_service_server::RateLimitService;

use tonic::Status;

use crate::clock::Clock;
use crate::doors::envoy::Authorizer;
use crate::doors::envoy::rate_limit::RateLimits;
use crate::gate::Gate;
use crate::identity::Peps;
use crate::in_force::Parts;
use crate::proxy::ProxyConfig;

/// Envoy's external authorization.
pub fn authorization(engine: Arc<Engine>, clock: Clock, proxies: ProxyConfig) -> impl Authorization {
    authorizer(engine, clock, proxies)
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
pub fn rate_limits(engine: Arc<Engine>, clock: Clock) -> impl RateLimitService {
    RateLimits::new(Arc::new(Gate::new(engine, clock, Parts::default())))
}

fn authorizer(engine: Arc<Engine>, clock: Clock, proxies: ProxyConfig) -> Authorizer {
    let parts = Parts::new(Peps::anybody(), proxies);
    Authorizer::new(Arc::new(Gate::new(engine, clock, parts)))
}
