//! `envoy.service.auth.v3.Authorization`: Envoy's external authorization.

mod judge;
mod reading;
mod reply;

use std::sync::Arc;

use callgate_mcp::Methods;
use envoy_types::pb::envoy::service::auth::v3::authorization_server::Authorization;
use envoy_types::pb::envoy::service::auth::v3::{CheckRequest, CheckResponse};
use tonic::{Request, Response, Status};

use super::super::deadline::{self, Deadline};
use crate::gate::{Gate, aside};
use crate::identity::Asker;
use crate::proxy::ProxyConfig;
use judge::Judge;

/// The service.
#[derive(Clone, Debug)]
pub(in super::super) struct Authorizer {
    gate: Arc<Gate>,
    proxies: Arc<ProxyConfig>,
    methods: Arc<Methods>,
}

impl Authorizer {
    pub(in super::super) fn new(gate: Arc<Gate>, proxies: ProxyConfig) -> Self {
        Self {
            gate,
            proxies: Arc::new(proxies),
            methods: Arc::default(),
        }
    }
}

#[tonic::async_trait]
impl Authorization for Authorizer {
    async fn check(&self, request: Request<CheckRequest>) -> Result<Response<CheckResponse>, Status> {
        let deadline: Option<&Deadline> = request.extensions().get();
        if deadline.copied().is_some_and(Deadline::is_over) {
            return Err(deadline::over());
        }
        let asker: Option<&Asker> = request.extensions().get();
        let (state, pep) = self
            .gate
            .admit(asker)
            .map_err(|unknown| Status::unauthenticated(unknown.message()))?;
        let judge = Judge {
            gate: &self.gate,
            proxies: &self.proxies,
            state: &state,
            pep,
            methods: &self.methods,
        };
        let context = request.get_ref().attributes.as_ref();
        let body = context.and_then(|context| Some(&*context.request.as_ref()?.http.as_ref()?.raw_body));
        let answer = aside(body.unwrap_or_default(), || judge.answer(context));
        Ok(Response::new(answer))
    }
}
