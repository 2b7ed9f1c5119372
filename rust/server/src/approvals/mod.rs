//! Calls that need a person's approval (`docs/policy.md` section 6): their questions to the control plane, and its answers.
//!
//! A door decides in passes. The first one ends with a question instead of a decision where a call needs an approval; then the
//! door waits, for a bounded time, and a second pass settles the call with the answer. So nothing of a thread is held
//! meanwhile, and calls that need nobody never come here.

mod asking;
mod fault;
mod listener;
mod looks;
mod questions;
mod shares;
mod uses;
mod watch;

use std::sync::Arc;
use std::time::{Duration, Instant};

use callgate_core::ReservationId;
use callgate_core::approval::{Answer, Question};
use listener::Listener;
use tokio::sync::oneshot;

pub(crate) use asking::{AnsweredCall, Asking, WaitingCall};
pub(crate) use fault::ApprovalFault;
use looks::Found;
pub use looks::{ApprovalState, ApprovalView, LookError};
pub use questions::{GivenBack, OpenQuestion, Questions, QuestionsTaken, Reply};
use uses::ReservedUses;
pub(crate) use watch::ApprovalWatch;

use crate::deadline::Deadline;
use crate::protocol::Protocol;

/// The time that a caller needs to get its answer before its own deadline.
pub(crate) const MARGIN: Duration = Duration::from_millis(50);

/// The way to the store of approvals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ApprovalsConfig {
    /// The longest wait for an answer, in milliseconds.
    pub deadline_ms: u64,
    /// The length of the longest arguments, with the names of tool and session, that people are asked about.
    pub max_args_bytes: usize,
}

impl Default for ApprovalsConfig {
    fn default() -> Self {
        Self {
            deadline_ms: 400,
            max_args_bytes: 64 * 1024,
        }
    }
}

/// Questions, and the bounds of calls that ask them. Whoever has it can ask, or take the questions and answer them.
#[derive(Clone, Debug, Default)]
pub struct ApprovalChannel {
    /// The bounds.
    pub config: ApprovalsConfig,
    /// The questions.
    pub questions: Arc<Questions>,
}

/// The questions of one server, and the uses of approvals that can still be given back.
#[derive(Debug)]
pub struct Approvals {
    config: ApprovalsConfig,
    questions: Arc<Questions>,
    uses: ReservedUses,
}

impl Approvals {
    /// Creates the way to whoever takes the questions.
    pub fn new(ApprovalChannel { config, questions }: ApprovalChannel) -> Self {
        Self {
            config,
            questions,
            uses: ReservedUses::default(),
        }
    }

    /// Returns the length of the longest call that people are asked about.
    pub const fn max_args_bytes(&self) -> usize {
        self.config.max_args_bytes
    }

    /// The moment until which a call with this deadline of its own waits.
    pub(crate) fn wait_until(&self, deadline: Option<Deadline>) -> Instant {
        let now = Instant::now();
        let ours = now + Duration::from_millis(self.config.deadline_ms);
        let callers = deadline.and_then(|deadline| deadline.at().checked_sub(MARGIN));
        callers.map_or(ours, |at| at.max(now).min(ours))
    }

    /// Asks a question at once, whose answer is of use until this moment; the error is the answer if too many wait already.
    pub(crate) fn ask(
        &self,
        question: Question,
        protocol: Protocol,
        until: Instant,
    ) -> Result<oneshot::Receiver<Reply>, Answer> {
        self.questions.push(question, protocol.as_str(), until)
    }

    /// Asks a question, and blocks until the answer is there or the deadline is over.
    pub fn ask_blocking(&self, question: Question, protocol: &'static str) -> Reply {
        let until = self.wait_until(None);
        let left = || until.saturating_duration_since(Instant::now());
        match self.questions.push_blocking(question, protocol, until) {
            Ok(answered) => answered
                .recv_timeout(left())
                .unwrap_or_else(|_| Reply::without_use(Answer::Unavailable)),
            Err(answer) => Reply::without_use(answer),
        }
    }

    /// Prepares to follow an approval.
    pub(crate) fn watch(&self, id: String) -> ApprovalWatch {
        let patience = Duration::from_millis(self.config.deadline_ms);
        ApprovalWatch::new(Arc::clone(&self.questions), patience, id)
    }

    /// Looks at an approval, and blocks until the answer is there or the deadline is over.
    pub fn look_blocking(&self, id: &str) -> Result<Option<ApprovalView>, LookError> {
        let (listener, found) = std::sync::mpsc::sync_channel(1);
        let guard = self
            .questions
            .look(id, (None, true), Listener::Thread(listener))?;
        let found = found.recv_timeout(Duration::from_millis(self.config.deadline_ms));
        drop(guard);
        match found {
            Ok(Found::Approval(view)) => Ok(Some(view)),
            Ok(Found::Nothing) => Ok(None),
            Ok(Found::Unavailable) | Err(_) => Err(LookError::Unavailable),
        }
    }

    /// Keeps the use of an allowed call as long as its units can be given back, until this moment at the latest.
    pub fn spend(&self, reply: Reply, reservation: Option<ReservationId>, until: Instant) {
        match (reply.into_use(), reservation) {
            (Some(used), Some(reservation)) => self.uses.keep(reservation, used, until),
            (Some(used), None) => used.spend(),
            (None, _) => {}
        }
    }

    /// The call with this reservation was not made: its use is given back.
    pub fn roll_back(&self, reservation: ReservationId) {
        drop(self.uses.take(reservation));
    }

    /// The call with this reservation was made.
    pub fn commit(&self, reservation: ReservationId) {
        if let Some(used) = self.uses.take(reservation) {
            used.spend();
        }
    }

    /// Forgets the uses whose reservations have ended.
    pub fn sweep(&self) {
        self.uses.sweep(Instant::now());
    }
}
