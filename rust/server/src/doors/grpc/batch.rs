//! `CheckBatch`: several calls in one message.

use callgate_proto::decision::v1 as pb;
use tonic::Status;

use crate::apart::apart;
use crate::bodies::HeldBytes;
use crate::deadline::{self, Deadline};
use crate::doors::grpc::decision::{Begun, Decisions};
use crate::doors::grpc::written::{WrittenBatch, WrittenDecision};
use crate::doors::turn::Turn;
use crate::identity::Asker;
use crate::ingress::Ingress;

/// Decides the calls in their order, each as `Check` would, and lets other callers in between. Those that need a person's
/// approval wait together, for one deadline in all; calls behind them are decided meanwhile.
///
/// Their number was bounded before they were decoded: see `CallCounter`. `held` counts their bytes.
pub(crate) async fn check(
    decisions: &Decisions,
    (asker, ingress): (Option<&Asker>, Ingress),
    (calls, mut held): (Vec<pb::CheckRequest>, HeldBytes),
    deadline: Option<Deadline>,
) -> Result<WrittenBatch, Status> {
    let mut answers = Vec::with_capacity(calls.len());
    let mut waiting = Vec::new();
    let mut turn = Turn::default();
    for call in calls {
        turn.go_on().await;
        apart(call.args_json.len()).await;
        // Before each: what nobody waits for any more must not take units.
        if deadline.is_some_and(Deadline::is_over) {
            return Err(deadline::over());
        }
        turn.spend(call.args_json.len());
        match decisions.begin((asker, ingress), &call)? {
            Begun::Answered(answer) => answers.push(answer),
            Begun::Waiting(begun, configuration) => {
                waiting.push((answers.len(), (call, begun, configuration)));
                answers.push(WrittenDecision::default());
            }
        }
    }
    // Those that are decided are kept no longer.
    held.set(
        waiting
            .iter()
            .map(|(_, (call, ..))| prost::Message::encoded_len(call))
            .sum(),
    )?;
    // Asked together, and settled in their order.
    let until = decisions.wait_until(deadline);
    let finish = |(index, begun)| (index, decisions.finish(asker.cloned(), ingress, begun, until));
    let finishing: Vec<_> = waiting.into_iter().map(finish).collect();
    for (index, answer) in finishing {
        let answer = answer.await?;
        if let Some(slot) = answers.get_mut(index) {
            *slot = answer;
        }
    }
    Ok(WrittenBatch(answers))
}
