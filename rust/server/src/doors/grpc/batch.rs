//! `CheckBatch`: several calls in one message.

use callgate_proto::decision::v1 as pb;
use tonic::Status;

use crate::deadline::{self, Deadline};
use crate::doors::grpc::decision::Decisions;
use crate::doors::turn::Turn;
use crate::identity::Asker;
use crate::ingress::Ingress;

/// Decides the calls in their order, each as `Check` would, and lets other callers in between.
///
/// Their number was bounded before they were decoded: see `CallCounter`.
pub(crate) async fn check(
    decisions: &Decisions,
    asker: Option<&Asker>,
    ingress: Ingress,
    calls: Vec<pb::CheckRequest>,
    deadline: Option<Deadline>,
) -> Result<pb::CheckBatchResponse, Status> {
    let mut answers = Vec::with_capacity(calls.len());
    let mut turn = Turn::default();
    for call in calls {
        turn.go_on().await;
        // Before each: what nobody waits for any more must not take units.
        if deadline.is_some_and(Deadline::is_over) {
            return Err(deadline::over());
        }
        answers.push(decisions.decide(asker, ingress, &call)?);
        turn.spend(call.args_json.len());
    }
    Ok(pb::CheckBatchResponse { decisions: answers })
}
