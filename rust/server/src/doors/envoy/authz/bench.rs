//! Decisions without answers, for benches alone.

use callgate_core::{Decision, Outcome};
use callgate_proto::pb::envoy::service::auth::v3::CheckRequest;
use tonic::Status;

use super::super::attributes::HttpAttributes;
use super::Authorizer;
use crate::approvals::Asking;
use crate::judging::{Admission, Denial, JudgedRequest, Responder};
use crate::protocol::Protocol;

/// Keeps nothing of a decision but its outcome.
struct OutcomeAlone;

impl Responder for OutcomeAlone {
    type Answer = Outcome;

    const PROTOCOL: Protocol = Protocol::ExtAuthz;

    fn allowed(&self, _: &JudgedRequest<'_>, decision: &Decision<'_>) -> Outcome {
        decision.outcome
    }

    fn denied(&self, decision: &Decision<'_>, _: Denial<'_>) -> Outcome {
        decision.outcome
    }
}

impl Authorizer {
    /// All that is done about a message up to the decision, and no more.
    pub(crate) fn outcome(&self, message: &CheckRequest) -> Result<Outcome, Status> {
        let configuration = self.gate.configuration();
        let asking = Asking::default();
        let admission = Admission::of_call(&configuration, &asking, (None, None))?;
        let attributes = message.attributes.as_ref().and_then(HttpAttributes::of);
        Ok(self.judge(&admission, attributes.as_ref(), &OutcomeAlone))
    }
}
