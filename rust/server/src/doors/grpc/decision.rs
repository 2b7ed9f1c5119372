//! `callgate.decision.v1.DecisionService`.

use std::collections::BTreeMap;
use std::future::{Ready, ready};
use std::sync::Arc;
use std::time::Instant;

use arc_swap::Guard;
use callgate_core::engine::{Peek, PeekedLimit};
use callgate_core::{Args, Caller, Decision, LimitState, Outcome, Pep};
use callgate_counters::Micros;
use callgate_proto::decision::v1 as pb;
use http::{HeaderMap, HeaderValue};
use tokio::sync::watch;
use tonic::body::Body;
use tonic::server::{ServerStreamingService, StreamingService};
use tonic::{Code, Request, Response, Status, Streaming};

use crate::apart::apart;
use crate::approvals::{Asking, WaitingCall};
use crate::deadline::Deadline;
use crate::doors::grpc::batch;
use crate::doors::grpc::stream::Answers;
use crate::doors::grpc::watching::{self, ApprovalStates};
use crate::doors::grpc::written::{WrittenAnswer, WrittenBatch, WrittenDecision};
use crate::doors::unary::{Sender, UnaryCall};
use crate::gate::{Gate, work_on};
use crate::identity::Asker;
use crate::in_force::Configuration;
use crate::ingress::Ingress;
use crate::passes::{self, settled};
use crate::phase::Phase;
use crate::protocol::Protocol;
use crate::random::random_reservation_id;

/// One of several calls after its first pass.
pub(crate) enum Begun {
    Answered(WrittenDecision),
    /// People are asked about it; it is decided by the configuration of its begin.
    Waiting(WaitingCall, Arc<Configuration>),
}

/// The service.
#[derive(Clone, Debug)]
pub(crate) struct Decisions {
    gate: Arc<Gate>,
    phase: watch::Receiver<Phase>,
}

impl Decisions {
    pub(crate) const fn new(gate: Arc<Gate>, phase: watch::Receiver<Phase>) -> Self {
        Self { gate, phase }
    }

    /// Decides one call of any method for its sender, who must still be admitted: the configuration may have changed
    /// since a stream began.
    fn decide(
        &self,
        (configuration, asking): (&Configuration, &Asking),
        (asker, ingress): (Option<&Asker>, Ingress),
        call: &pb::CheckRequest,
    ) -> Result<WrittenDecision, Status> {
        let pep = pep(configuration, asker)?;
        with_request(call, pep, |request| {
            work_on(&call.args_json, |buffers| {
                let pass = (&mut buffers.scratch, asking);
                self.gate
                    .decide_over(ingress, configuration, request, pass, WrittenDecision::of)
            })
        })
    }

    /// Decides one of several calls, or asks people about it: its sender does not wait for each by itself.
    pub(crate) fn begin(
        &self,
        (asker, ingress): (Option<&Asker>, Ingress),
        call: &pb::CheckRequest,
    ) -> Result<Begun, Status> {
        let asking = Asking::default();
        let configuration = self.gate.configuration();
        let answer = self.decide((&configuration, &asking), (asker, ingress), call)?;
        Ok(match asking.take_question() {
            None => Begun::Answered(answer),
            Some(waiting) => Begun::Waiting(waiting, Guard::into_inner(configuration)),
        })
    }

    /// Waits for the answer about a call that was begun, and decides it.
    pub(crate) fn finish(
        &self,
        asker: Option<Asker>,
        ingress: Ingress,
        (call, waiting, configuration): (pb::CheckRequest, WaitingCall, Arc<Configuration>),
        until: Instant,
    ) -> impl Future<Output = Result<WrittenDecision, Status>> + Send + use<> {
        let answered = passes::answered(waiting, &self.gate, until);
        let decisions = self.clone();
        async move {
            let asking = answered.await;
            apart(call.args_json.len()).await;
            decisions.decide((&configuration, &asking), (asker.as_ref(), ingress), &call)
        }
    }

    /// The moment until which calls with this deadline wait for people's answers.
    pub(crate) fn wait_until(&self, deadline: Option<Deadline>) -> Instant {
        self.gate.wait_until(deadline)
    }

    /// Looks at what is left for the caller of a message.
    fn look(&self, asker: Option<&Asker>, call: &pb::PeekRequest) -> Result<pb::PeekResponse, Status> {
        let configuration = self.gate.configuration();
        let pep = pep(&configuration, asker)?;
        let labels = labels(&call.labels);
        let request = callgate_core::Request {
            caller: Caller::new(&call.grant, &call.grant_token, &labels),
            pep,
            tool: &call.tool,
            server: &call.server,
            session: Some(call.session.as_str()),
            args: Args::Json(&call.args_json),
            reserve: None,
            pins: None,
            unseen_member: None,
        };
        Ok(work_on(&call.args_json, |buffers| {
            self.gate
                .peek(&configuration, &request, &mut buffers.scratch, peeked)
        }))
    }

    /// Makes the denial of a message that holds no call.
    pub(crate) fn refuse(&self, ingress: Ingress, reason: &str) -> WrittenDecision {
        self.gate.refuse(ingress, reason.to_owned(), WrittenDecision::of)
    }

    /// The ingress of the calls of a request with these header fields.
    fn ingress(&self, headers: &HeaderMap) -> Ingress {
        self.gate.ingress(Protocol::Grpc, headers)
    }

    /// The part that calls, and everything else about them, are asked of.
    pub(crate) fn gate(&self) -> &Gate {
        &self.gate
    }

    /// Returns true if the server has begun to stop.
    pub(crate) fn is_stopping(&self) -> bool {
        *self.phase.borrow() >= Phase::Draining
    }

    /// Counts a stream that has ended; other requests are counted where they are answered.
    pub(crate) fn count_stream(&self, code: Code) {
        self.gate.metrics.grpc(code);
    }
}

/// The enforcement point that asks, under one configuration.
pub(crate) fn pep(configuration: &Configuration, asker: Option<&Asker>) -> Result<Pep, Status> {
    let pep = configuration.parts.peps.still(asker);
    pep.map_err(|unknown| Status::unauthenticated(unknown.message()))
}

/// Hands the call of a message to `decide`, as the core's request.
fn with_request<R>(
    call: &pb::CheckRequest,
    pep: Pep,
    decide: impl FnOnce(&callgate_core::Request<'_>) -> R,
) -> Result<R, Status> {
    let labels = labels(&call.labels);
    Ok(decide(&callgate_core::Request {
        caller: Caller::new(&call.grant, &call.grant_token, &labels),
        pep,
        tool: &call.tool,
        server: &call.server,
        session: Some(call.session.as_str()),
        args: Args::Json(&call.args_json),
        reserve: call
            .reserve
            .then(random_reservation_id)
            .transpose()
            .map_err(no_random)?,
        pins: None,
        unseen_member: None,
    }))
}

/// The labels of a message, as the core takes them.
fn labels(labels: &BTreeMap<String, String>) -> Vec<(&str, &str)> {
    let labels = labels.iter();
    labels
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect()
}

/// The methods of one message and one answer.
impl Decisions {
    pub(crate) async fn check(&self, call: &UnaryCall<pb::CheckRequest>) -> Result<WrittenDecision, Status> {
        call.in_time()?;
        let asked = (call.asker.as_ref(), self.ingress(&call.headers));
        let keep = || call.keep().map_err(|full| Box::new(Err(full)));
        let (message, bytes) = (&call.message, call.bytes);
        let answer = settled(&self.gate, call.deadline, bytes, keep, |configuration, asking| {
            self.decide((configuration, asking), asked, message)
        });
        answer.await
    }

    pub(crate) async fn check_batch(
        &self,
        call: UnaryCall<pb::CheckBatchRequest>,
    ) -> Result<WrittenBatch, Status> {
        let ingress = self.ingress(&call.headers);
        // From the beginning, because a refusal at the first call that waits would come after others took units.
        let held = call.keep()?;
        let calls = call.message.calls;
        batch::check(self, (call.asker.as_ref(), ingress), (calls, held), call.deadline).await
    }

    pub(crate) async fn peek(&self, call: &UnaryCall<pb::PeekRequest>) -> Result<pb::PeekResponse, Status> {
        apart(call.bytes).await;
        self.look(call.asker.as_ref(), &call.message)
    }

    pub(crate) async fn settle(
        &self,
        call: &UnaryCall<pb::SettleRequest>,
    ) -> Result<pb::SettleResponse, Status> {
        let settlement = &call.message;
        let id = settlement.reservation.parse().map_err(|_| {
            Status::invalid_argument("expected `reservation` as `Check` gave it: 32 hexadecimal digits")
        })?;
        let pep = pep(&self.gate.configuration(), call.asker.as_ref())?.id;
        let (is_settled, is_roll_back) = match settlement.action() {
            pb::SettleAction::Commit => (self.gate.commit(id, pep), false),
            pb::SettleAction::RollBack => (self.gate.roll_back(id, pep), true),
            pb::SettleAction::Unspecified => {
                return Err(Status::invalid_argument(
                    "expected `action` to say commit or roll back",
                ));
            }
        };
        if is_settled {
            return Ok(pb::SettleResponse { settled: true });
        }
        let elsewhere = self.gate.settle_elsewhere(id, pep, is_roll_back, call.deadline);
        let settled = elsewhere.await;
        let settled = settled.map_err(|error| Status::unavailable(error.to_string()))?;
        Ok(pb::SettleResponse { settled })
    }

    pub(crate) async fn get_approval(
        &self,
        call: &UnaryCall<pb::GetApprovalRequest>,
    ) -> Result<pb::GetApprovalResponse, Status> {
        let approval = watching::get(self, call.asker.as_ref(), call.deadline, &call.message.id).await?;
        Ok(pb::GetApprovalResponse {
            approval: Some(approval),
        })
    }
}

/// `CheckStream`, as tonic serves it.
impl StreamingService<pb::CheckStreamRequest> for Decisions {
    type Response = WrittenAnswer;
    type ResponseStream = Answers;
    type Future = Ready<Result<Response<Answers>, Status>>;

    fn call(&mut self, request: Request<Streaming<pb::CheckStreamRequest>>) -> Self::Future {
        let sender = Sender::of(request.extensions()).cloned();
        ready(sender.map(|sender| {
            let Sender {
                asker,
                deadline,
                share,
                ..
            } = sender;
            let (decisions, phase) = (self.clone(), self.phase.clone());
            let ingress = self.ingress(request.metadata().as_ref());
            let calls = (request.into_inner(), share);
            Response::new(Answers::new(decisions, (asker, ingress), calls, deadline, phase))
        }))
    }
}

/// `WatchApproval`, likewise.
impl ServerStreamingService<pb::WatchApprovalRequest> for Decisions {
    type Response = pb::WatchApprovalResponse;
    type ResponseStream = ApprovalStates;
    type Future = Ready<Result<Response<ApprovalStates>, Status>>;

    fn call(&mut self, request: Request<pb::WatchApprovalRequest>) -> Self::Future {
        ready(Sender::of(request.extensions()).and_then(|sender| {
            let until = (sender.deadline, self.phase.clone());
            let id = &request.get_ref().id;
            ApprovalStates::new(self.clone(), sender.asker.clone(), until, id).map(Response::new)
        }))
    }
}

/// The error if no random id can be made: an id that can be guessed would let others settle, so the call is not
/// decided.
fn no_random(error: getrandom::Error) -> Status {
    Status::unavailable(format!("no random numbers for a reservation id: {error}"))
}

/// Gives tonic's refusals the statuses that the API promises.
pub(crate) fn with_our_statuses(mut response: http::Response<Body>) -> http::Response<Body> {
    if let Some(status) = response.headers_mut().get_mut(Status::GRPC_STATUS) {
        let code = Code::from_bytes(status.as_bytes());
        let ours = our_code(code);
        if ours != code {
            *status = HeaderValue::from(i32::from(ours));
        }
    }
    response
}

/// A message above the limit is `OUT_OF_RANGE` to tonic, and one that does not decode is `INTERNAL`. The methods
/// themselves use neither of the two for anything that a caller sends.
pub(crate) const fn our_code(code: Code) -> Code {
    match code {
        Code::OutOfRange => Code::ResourceExhausted,
        Code::Internal => Code::InvalidArgument,
        code => code,
    }
}

pub(super) fn message(decision: &Decision<'_>) -> pb::CheckResponse {
    pb::CheckResponse {
        outcome: outcome(decision.outcome).into(),
        rule: decision.rule.to_string(),
        message: decision.message.to_string(),
        retry_after_ms: decision.retry_after_ms,
        limits: decision.limits.iter().map(limit).collect(),
        policy: decision.policy.to_string(),
        policy_version: decision.policy_version.to_string(),
        shadow: decision.shadow.as_ref().map(|shadow| pb::Shadow {
            outcome: outcome(shadow.outcome).into(),
            rule: shadow.rule.to_string(),
        }),
        fingerprint: decision
            .fingerprint
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default(),
        decided_at_us: decision.decided_at_us,
        reservation: decision.reservation.map(|id| id.to_string()).unwrap_or_default(),
        approval: decision.approval.to_string(),
    }
}

fn limit(limit: &LimitState<'_>) -> pb::LimitState {
    pb::LimitState {
        counter: limit.counter.to_string(),
        max: units(limit.max),
        remaining: units(limit.remaining),
        reset_after_ms: limit.reset_after_ms,
        over: units(limit.over),
    }
}

fn peeked(peek: &Peek<'_>) -> pb::PeekResponse {
    pb::PeekResponse {
        decision: peek.decision.as_ref().map(message),
        policy: peek.policy.to_owned(),
        policy_version: peek.policy_version.to_owned(),
        limits: peek.limits.iter().map(peeked_limit).collect(),
    }
}

fn peeked_limit(limit: &PeekedLimit<'_>) -> pb::PeekedLimit {
    pb::PeekedLimit {
        counter: limit.counter.to_owned(),
        rule: limit.rule.to_owned(),
        max: units(limit.max),
        count: limit.count.map(|count| pb::PeekedCount {
            remaining: units(count.remaining),
            reset_after_ms: count.reset_after_ms,
            retry_after_ms: count.retry_after_ms,
            window_ms: count.window_ms,
        }),
        shadow: limit.shadowed,
        missing: limit.missing.iter().map(|name| (*name).to_owned()).collect(),
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "the message says `double`: exact up to 2^53 millionths, near beyond"
)]
pub(super) const fn units(amount: Micros) -> f64 {
    amount.0 as f64 / 1e6
}

pub(super) const fn outcome(outcome: Outcome) -> pb::Outcome {
    match outcome {
        Outcome::Allow => pb::Outcome::Allow,
        Outcome::Deny => pb::Outcome::Deny,
        Outcome::RateLimited => pb::Outcome::RateLimited,
        Outcome::ApprovalRequired => pb::Outcome::ApprovalRequired,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tonic_statuses_become_ours() {
        let code = |status: Status| crate::doors::answer::grpc_code(&with_our_statuses(status.into_http()));
        assert_eq!(code(Status::out_of_range("")), Code::ResourceExhausted);
        assert_eq!(code(Status::internal("")), Code::InvalidArgument);
        assert_eq!(code(Status::unimplemented("")), Code::Unimplemented);
    }
}
