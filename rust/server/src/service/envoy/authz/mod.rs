//! `envoy.service.auth.v3.Authorization`: Envoy's external authorization.

mod reading;
mod reply;

pub(super) use reply::metadata;

use std::sync::Arc;

use envoy_types::pb::envoy::service::auth::v3::authorization_server::Authorization;
use envoy_types::pb::envoy::service::auth::v3::{CheckRequest, CheckResponse};
use tonic::{Request, Response, Status};

use super::super::deadline::{self, Deadline};
use super::super::judging::Judge;
use super::attributes::HttpAttributes;
use super::mcp_metadata::ReadMessage;
use crate::gate::{Gate, aside};
use crate::identity::Asker;
use crate::proxy::Unclear;
use reply::ExtAuthz;

/// The service.
#[derive(Clone, Debug)]
pub(in super::super) struct Authorizer {
    gate: Arc<Gate>,
}

impl Authorizer {
    pub(in super::super) const fn new(gate: Arc<Gate>) -> Self {
        Self { gate }
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
        let (state, pep, proxies) = self
            .gate
            .admit_proxied(asker)
            .map_err(|unknown| Status::unauthenticated(unknown.message()))?;
        let attributes = request.get_ref().attributes.as_ref().and_then(HttpAttributes::of);
        let judge = Judge {
            door: &ExtAuthz { attributes },
            gate: &self.gate,
            proxies: &proxies,
            state: &state,
            pep,
        };
        let answer = match &attributes {
            None => judge.unclear(&Unclear::new(
                "the check is of no HTTP request; ask about HTTP requests alone",
            )),
            Some(attributes) => {
                let read = ReadMessage::of(attributes.metadata, proxies.mcp_metadata.as_deref());
                aside(&attributes.http.raw_body, || {
                    let carried = match &read {
                        Ok(read) => reading::carried(attributes, read.as_ref()),
                        Err(unclear) => Err(unclear.clone()),
                    };
                    judge.answer(attributes, carried)
                })
            }
        };
        Ok(Response::new(answer))
    }
}
