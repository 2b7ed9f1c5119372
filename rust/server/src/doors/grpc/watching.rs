//! `GetApproval` and `WatchApproval`: an enforcement point waits for people without asking for the call again.

use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use callgate_proto::decision::v1 as pb;
use tokio::sync::watch;
use tokio::time::{sleep, sleep_until, timeout_at};
use tokio_stream::Stream;
use tonic::{Code, Status};

use crate::approvals::{ApprovalFault, ApprovalState, ApprovalView, ApprovalWatch, MARGIN};
use crate::deadline::Deadline;
use crate::doors::grpc::decision::{Decisions, pep};
use crate::identity::Asker;
use crate::phase::Phase;

/// The longest time that a stream may take to read a state: a herd of streams begins when a server or a proxy restarts.
const PATIENCE: Duration = Duration::from_secs(10);

/// Interval at which the sender of a stream is checked.
const CHECK_INTERVAL: Duration = Duration::from_secs(2);

/// The state of an approval, for this sender.
pub(super) async fn get(
    decisions: &Decisions,
    asker: Option<&Asker>,
    deadline: Option<Deadline>,
    id: &str,
) -> Result<pb::Approval, Status> {
    pep(&decisions.gate().configuration(), asker)?;
    if deadline.is_some_and(Deadline::is_over) {
        return Err(over());
    }
    let mut watch = watch_of(decisions, id)?;
    let found = match deadline {
        None => watch.next().await,
        Some(deadline) => timeout_at(deadline.at().into(), watch.next())
            .await
            .map_err(|_| over())?,
    };
    let view = found.map_err(|error| status(error.into()))?;
    view.map(message).ok_or_else(|| status(ApprovalFault::Unknown))
}

fn watch_of(decisions: &Decisions, id: &str) -> Result<ApprovalWatch, Status> {
    if let Some(fault) = ApprovalFault::of_id(id) {
        return Err(status(fault));
    }
    let watch = decisions.gate().watch_approval(id);
    watch.ok_or_else(|| status(ApprovalFault::Unavailable))
}

/// The states of one approval, as a stream.
pub(crate) struct ApprovalStates {
    decisions: Decisions,
    /// `None` once the stream has ended.
    next: Option<NextState>,
}

type NextState = Pin<Box<dyn Future<Output = (Watching, Result<pb::Approval, Status>)> + Send>>;

/// One approval, and the bounds of its stream.
struct Watching {
    watch: ApprovalWatch,
    deadline: Option<Deadline>,
    phase: watch::Receiver<Phase>,
    decisions: Decisions,
    asker: Option<Asker>,
}

impl ApprovalStates {
    pub(super) fn new(
        decisions: Decisions,
        asker: Option<Asker>,
        (deadline, phase): (Option<Deadline>, watch::Receiver<Phase>),
        id: &str,
    ) -> Result<Self, Status> {
        pep(&decisions.gate().configuration(), asker.as_ref())?;
        let watching = Watching {
            watch: watch_of(&decisions, id)?.patient(PATIENCE),
            deadline,
            phase,
            decisions: decisions.clone(),
            asker,
        };
        Ok(Self {
            decisions,
            next: Some(Box::pin(watching.next())),
        })
    }
}

impl Watching {
    async fn next(mut self) -> (Self, Result<pb::Approval, Status>) {
        let state = self.state().await;
        (self, state)
    }

    /// The next state, if its receiver may still have it.
    async fn state(&mut self) -> Result<pb::Approval, Status> {
        let stopping = async {
            // A server that is gone has stopped.
            let _ = self.phase.wait_for(|phase| *phase >= Phase::Draining).await;
        };
        let deadline = async {
            match self.deadline {
                // Before the client resets the stream: many resets are a flood.
                Some(deadline) => {
                    let end = deadline.at().checked_sub(MARGIN).unwrap_or(deadline.at());
                    sleep_until(end.into()).await;
                }
                None => std::future::pending().await,
            }
        };
        let admitted = || pep(&self.decisions.gate().configuration(), self.asker.as_ref());
        let (mut next, mut stopping, mut deadline) =
            (pin!(self.watch.next()), pin!(stopping), pin!(deadline));
        let found = loop {
            tokio::select! {
                found = &mut next => break found,
                () = &mut stopping => return Err(Status::unavailable("the server stops; watch again")),
                () = &mut deadline => return Err(over()),
                () = sleep(CHECK_INTERVAL) => admitted()?,
            };
        };
        let view = found.map_err(|error| status(error.into()))?;
        let view = view.ok_or_else(|| status(ApprovalFault::Unknown))?;
        admitted()?;
        Ok(message(view))
    }
}

impl Stream for ApprovalStates {
    type Item = Result<pb::WatchApprovalResponse, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(next) = &mut self.next else {
            return Poll::Ready(None);
        };
        let Poll::Ready((watching, state)) = next.as_mut().poll(cx) else {
            return Poll::Pending;
        };
        self.next = None;
        match &state {
            Ok(_) if watching.watch.is_pending() => self.next = Some(Box::pin(watching.next())),
            Ok(_) => self.decisions.count_stream(Code::Ok),
            Err(status) => self.decisions.count_stream(status.code()),
        }
        Poll::Ready(Some(state.map(|approval| pb::WatchApprovalResponse {
            approval: Some(approval),
        })))
    }
}

fn over() -> Status {
    Status::deadline_exceeded("the deadline was over before the state of the approval was there")
}

fn status(fault: ApprovalFault) -> Status {
    let code = match fault {
        ApprovalFault::Invalid => Code::InvalidArgument,
        ApprovalFault::Unknown => Code::NotFound,
        ApprovalFault::Unavailable => Code::Unavailable,
        ApprovalFault::TooMany => Code::ResourceExhausted,
    };
    Status::new(code, fault.message())
}

fn message(view: ApprovalView) -> pb::Approval {
    let state = match view.state {
        ApprovalState::Pending => pb::ApprovalState::Pending,
        ApprovalState::Approved => pb::ApprovalState::Approved,
        ApprovalState::Denied => pb::ApprovalState::Denied,
        ApprovalState::Consumed => pb::ApprovalState::Consumed,
        ApprovalState::Expired => pb::ApprovalState::Expired,
        ApprovalState::Ended => pb::ApprovalState::Ended,
    };
    pb::Approval {
        id: view.id,
        state: state.into(),
        rule: view.rule,
        approvers: view.approvers,
        reason: view.reason,
        until_us: view.until_us,
        permit: view.permit,
    }
}
