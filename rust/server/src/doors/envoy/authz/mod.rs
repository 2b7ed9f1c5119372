//! `envoy.service.auth.v3.Authorization`: Envoy's external authorization.

#[cfg(feature = "bench")]
mod bench;
mod reading;
mod reply;

pub(super) use reply::metadata;

use std::sync::Arc;

use callgate_proto::pb::envoy::service::auth::v3::{CheckRequest, CheckResponse};
use tonic::Status;

use super::attributes::HttpAttributes;
use super::mcp_metadata::ReadMessage;
use crate::doors::unary::UnaryCall;
use crate::gate::{Gate, work_on};
use crate::judging::{Admission, Judge, Responder};
use crate::passes::settled;
use crate::proxy::UnclearError;
use reply::ExtAuthz;

/// The service.
#[derive(Clone, Debug)]
pub(crate) struct Authorizer {
    gate: Arc<Gate>,
}

impl Authorizer {
    pub(crate) const fn new(gate: Arc<Gate>) -> Self {
        Self { gate }
    }

    /// Answers a request with these attributes by `responder`; `None` is a check that is not of an HTTP request.
    fn judge<D: Responder>(
        &self,
        admission: &Admission<'_>,
        attributes: Option<&HttpAttributes<'_>>,
        responder: &D,
    ) -> D::Answer {
        let judge = Judge::new(responder, &self.gate, admission);
        let Some(attributes) = attributes else {
            return judge.unclear(&UnclearError::new(
                "the check is of no HTTP request; ask about HTTP requests alone",
            ));
        };
        let read = ReadMessage::of(attributes.metadata, admission.proxies.mcp_metadata.as_deref());
        work_on(&attributes.http.raw_body, |buffers| {
            let carried = match &read {
                Ok(read) => reading::carried(attributes, read.as_ref()),
                Err(unclear) => Err(unclear.clone()),
            };
            judge.answer(attributes, carried, buffers)
        })
    }

    /// Answers one check.
    pub(crate) async fn check(&self, call: &UnaryCall<CheckRequest>) -> Result<CheckResponse, Status> {
        let attributes = call.message.attributes.as_ref().and_then(HttpAttributes::of);
        let attributes = attributes.as_ref();
        let keep = || call.keep().map_err(|full| Box::new(Err(full)));
        let answer = settled(
            &self.gate,
            call.deadline,
            call.bytes,
            keep,
            |configuration, asking| {
                let admission =
                    Admission::of_call(configuration, asking, (call.asker.as_ref(), call.deadline))?;
                Ok(self.judge(&admission, attributes, &ExtAuthz { attributes }))
            },
        );
        answer.await
    }
}
