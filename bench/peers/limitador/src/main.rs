//! limitador's library behind a plain tonic handler. Crate registries have the library, but not limitador's server.
//!
//! `callgate-bench-limitador LISTEN LIMITS.json` counts in memory. It does less than the server (no spans, no metrics, no
//! reload), so the server is no faster than this.

use std::collections::HashMap;
use std::error::Error;
use std::net::SocketAddr;

use envoy_types::pb::envoy::service::ratelimit::v3::rate_limit_response::Code;
use envoy_types::pb::envoy::service::ratelimit::v3::rate_limit_service_server::{
    RateLimitService, RateLimitServiceServer,
};
use envoy_types::pb::envoy::service::ratelimit::v3::{RateLimitRequest, RateLimitResponse};
use limitador::RateLimiter;
use limitador::limit::{Context, Limit};
use serde::Deserialize;
use tonic::transport::Server;
use tonic::{Request, Response, Status, async_trait};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const COUNTERS: u64 = 100_000;

/// One limit, with the keys of limitador's own file.
#[derive(Deserialize)]
struct Entry {
    namespace: String,
    max_value: u64,
    seconds: u64,
    conditions: Vec<String>,
    variables: Vec<String>,
}

impl Entry {
    fn limit(self) -> Result<Limit, Box<dyn Error>> {
        let conditions: Result<Vec<_>, _> = self.conditions.into_iter().map(TryInto::try_into).collect();
        let variables: Result<Vec<_>, _> = self.variables.into_iter().map(TryInto::try_into).collect();
        Ok(Limit::new(
            self.namespace,
            self.max_value,
            self.seconds,
            conditions?,
            variables?,
        ))
    }
}

struct Limitador(RateLimiter);

#[async_trait]
impl RateLimitService for Limitador {
    async fn should_rate_limit(
        &self,
        request: Request<RateLimitRequest>,
    ) -> Result<Response<RateLimitResponse>, Status> {
        let request = request.into_inner();
        let hits = u64::from(request.hits_addend.max(1));
        let descriptors: Vec<HashMap<String, String>> = request
            .descriptors
            .into_iter()
            .map(|descriptor| {
                let entries = descriptor.entries.into_iter();
                entries.map(|entry| (entry.key, entry.value)).collect()
            })
            .collect();
        let mut context = Context::default();
        context.list_binding("descriptors".to_owned(), descriptors);
        let checked = self
            .0
            .check_rate_limited_and_update(&request.domain.into(), &context, hits)
            .map_err(|error| Status::unavailable(error.to_string()))?;
        let code = if checked.limited { Code::OverLimit } else { Code::Ok };
        Ok(Response::new(RateLimitResponse {
            overall_code: code.into(),
            ..RateLimitResponse::default()
        }))
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [listen, limits] = words.as_slice() else {
        return Err("expected LISTEN and LIMITS.json".into());
    };
    let listen: SocketAddr = listen.parse()?;
    let entries: Vec<Entry> = serde_json::from_slice(&std::fs::read(limits)?)?;
    let limiter = RateLimiter::new(COUNTERS);
    for entry in entries {
        limiter.add_limit(entry.limit()?);
    }
    let service = RateLimitServiceServer::new(Limitador(limiter));
    Ok(Server::builder()
        .tcp_nodelay(true)
        .add_service(service)
        .serve(listen)
        .await?)
}
