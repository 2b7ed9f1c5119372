//! Two Envoy services: external authorization and rate limits.

use callgate_proto::pb::envoy::service::auth::v3::authorization_server::Authorization;
use callgate_proto::pb::envoy::service::auth::v3::check_response::HttpResponse;
use callgate_proto::pb::envoy::service::auth::v3::{CheckRequest, CheckResponse, OkHttpResponse};
use callgate_proto::pb::envoy::service::ratelimit::v3::rate_limit_response::Code;
use callgate_proto::pb::envoy::service::ratelimit::v3::rate_limit_service_server::RateLimitService;
use callgate_proto::pb::envoy::service::ratelimit::v3::{RateLimitRequest, RateLimitResponse};
use callgate_proto::pb::google::rpc;
use tonic::{Request, Response, Status, async_trait};

use crate::reading::read_json;

/// Allows every request whose body is JSON.
pub(crate) struct BareAuthorization;

#[async_trait]
impl Authorization for BareAuthorization {
    async fn check(&self, request: Request<CheckRequest>) -> Result<Response<CheckResponse>, Status> {
        let attributes = request.get_ref().attributes.as_ref();
        let http = attributes.and_then(|attributes| attributes.request.as_ref()?.http.as_ref());
        let http =
            http.ok_or_else(|| Status::invalid_argument("expected the attributes of an HTTP request"))?;
        read_json(&http.raw_body)?;
        Ok(Response::new(CheckResponse {
            status: Some(rpc::Status::default()),
            http_response: Some(HttpResponse::OkResponse(OkHttpResponse::default())),
            ..CheckResponse::default()
        }))
    }
}

/// Limits nothing.
pub(crate) struct BareRateLimits;

#[async_trait]
impl RateLimitService for BareRateLimits {
    async fn should_rate_limit(
        &self,
        _request: Request<RateLimitRequest>,
    ) -> Result<Response<RateLimitResponse>, Status> {
        Ok(Response::new(RateLimitResponse {
            overall_code: Code::Ok.into(),
            ..RateLimitResponse::default()
        }))
    }
}
