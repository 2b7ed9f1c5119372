//! `envoy.service.ext_proc.v3.ExternalProcessor`: Envoy's external processing.
//!
//! One stream is one request and its reply. The request is judged as external authorization judges it; then, where units
//! were taken, Envoy tells whether the call ever reached the upstream, and where a list of tools may come back, hidden ones
//! are taken out of it.

mod context;
mod exchange;
mod head;
mod messages;
mod reach;
mod reply;
mod responder;
mod stream;

use std::sync::Arc;
use std::time::Duration;

use callgate_proto::pb::envoy::service::ext_proc::v3::ProcessingRequest;
use callgate_proto::pb::envoy::service::ext_proc::v3::external_processor_server::ExternalProcessor;
use tokio::sync::watch;
use tonic::{Request, Response, Status, Streaming};

use crate::doors::unary::Sender;
use crate::gate::Gate;
use crate::limits::Limits;
use crate::phase::Phase;
use context::Context;
use exchange::Exchange;
use stream::Answers;

/// The service.
#[derive(Clone, Debug)]
pub(crate) struct Processor {
    gate: Arc<Gate>,
    phase: watch::Receiver<Phase>,
    limits: Limits,
}

impl Processor {
    pub(crate) fn new(gate: Arc<Gate>, phase: watch::Receiver<Phase>, limits: Limits) -> Self {
        Self { gate, phase, limits }
    }
}

#[tonic::async_trait]
impl ExternalProcessor for Processor {
    type ProcessStream = Answers;

    async fn process(
        &self,
        request: Request<Streaming<ProcessingRequest>>,
    ) -> Result<Response<Answers>, Status> {
        let (opened_with, extensions, messages) = request.into_parts();
        let sender = Sender::of(&extensions)?;
        let context = Context {
            gate: Arc::clone(&self.gate),
            asker: sender.asker.clone(),
            share: Arc::clone(&sender.share),
            body_limit_bytes: self.limits.body_limit_bytes,
            deadline: sender.deadline,
        };
        let answers = Answers::new(
            Exchange::new(context, opened_with),
            messages,
            Arc::clone(&self.gate),
            Duration::from_millis(self.limits.message_timeout_ms),
            sender.deadline,
            self.phase.clone(),
        );
        Ok(Response::new(answers))
    }
}
