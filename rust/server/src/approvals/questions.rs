//! Questions that wait for the control plane, and uses that it has to give back.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak, mpsc};
use std::time::{Duration, Instant};

use callgate_core::approval::{Answer, Question};
use tokio::sync::oneshot;

use super::listener::Listener;
use super::looks::{ApprovalView, Found, LookError, Looks};
use super::shares::{NoRoom, Shares};
use crate::random::random_reservation_id;

/// The number of uses to give back that are kept for a control plane that does not take them. What is beyond stays used, so that
/// nothing is admitted twice.
const MAX_GIVEN_BACK: usize = 10_000;

/// The number of looks that are taken at once: calls that come meanwhile wait for their answers.
const LOOKS_AT_ONCE: usize = 64;

/// Questions of doors, answered by another thread.
#[derive(Debug, Default)]
pub struct Questions {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    is_closed: bool,
    next_number: u64,
    untaken: VecDeque<OpenQuestion>,
    asked: HashMap<u64, AwaitedAnswer>,
    shares: Shares,
    given_back: VecDeque<GivenBack>,
    looks: Looks,
}

/// A question whose answer a door waits for.
#[derive(Debug)]
struct AwaitedAnswer {
    answer: Listener<Reply>,
    use_id: String,
    grant: Arc<str>,
    bytes: usize,
    until: Instant,
}

/// A question, as its answerer gets it.
#[derive(Clone, Debug)]
pub struct OpenQuestion {
    /// Its number, for [`Questions::answer`].
    pub number: u64,
    /// The id of the use of an approval by this call, 32 hex digits.
    pub use_id: String,
    /// The protocol by which the call came.
    pub protocol: &'static str,
    /// The question.
    pub question: Arc<Question>,
}

/// A use that was consumed for a call that was not made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GivenBack {
    /// The approval or permit.
    pub id: String,
    /// The use.
    pub use_id: String,
    /// True for a permit.
    pub is_permit: bool,
}

/// The work that an answerer of questions takes at once.
#[derive(Debug, Default)]
pub struct QuestionsTaken {
    /// Questions to answer, in the order of their calls.
    pub questions: Vec<OpenQuestion>,
    /// Uses to give back.
    pub given_back: Vec<GivenBack>,
    /// Looks at approvals to answer: the number of each, and the id of its approval.
    pub looks: Vec<(u64, Arc<str>)>,
}

impl QuestionsTaken {
    const fn is_empty(&self) -> bool {
        self.questions.is_empty() && self.given_back.is_empty() && self.looks.is_empty()
    }
}

/// A use of an approval. Dropped, it is given back.
pub(crate) struct Use {
    given_back: Option<GivenBack>,
    questions: Weak<Questions>,
}

/// The answer to a question, and the use that was consumed for it. Dropped, the use is given back.
#[derive(Debug)]
pub struct Reply {
    /// The answer.
    pub answer: Answer,
    used: Option<Use>,
}

/// A look that has begun. Dropped, it ends.
#[derive(Debug)]
pub(super) struct LookGuard {
    number: u64,
    questions: Weak<Questions>,
}

impl Questions {
    /// Adds a question of a task; the error is the answer where too many wait already.
    pub(super) fn push(
        &self,
        question: Question,
        protocol: &'static str,
        until: Instant,
    ) -> Result<oneshot::Receiver<Reply>, Answer> {
        let (answer, answered) = oneshot::channel();
        self.add(question, protocol, until, Listener::Task(answer))?;
        Ok(answered)
    }

    /// Adds a question of a thread that blocks.
    pub(super) fn push_blocking(
        &self,
        question: Question,
        protocol: &'static str,
        until: Instant,
    ) -> Result<mpsc::Receiver<Reply>, Answer> {
        let (answer, answered) = mpsc::sync_channel(1);
        self.add(question, protocol, until, Listener::Thread(answer))?;
        Ok(answered)
    }

    fn add(
        &self,
        question: Question,
        protocol: &'static str,
        until: Instant,
        answer: Listener<Reply>,
    ) -> Result<(), Answer> {
        let use_id = random_reservation_id().map_err(|_| Answer::Unavailable)?;
        let use_id = use_id.to_string();
        let bytes = question.args_json.len();
        let mut state = self.lock();
        if state.is_closed {
            return Err(Answer::Unavailable);
        }
        let grant = state.shares.take(&question.grant, bytes).or_else(|_| {
            state.forget_unheard();
            state.shares.take(&question.grant, bytes)
        });
        let grant = grant.map_err(|reason| Answer::TooManyWait {
            of_grant: reason == NoRoom::OfGrant,
        })?;
        let number = state.next_number;
        state.next_number += 1;
        state.asked.insert(
            number,
            AwaitedAnswer {
                answer,
                use_id: use_id.clone(),
                grant,
                bytes,
                until,
            },
        );
        state.untaken.push_back(OpenQuestion {
            number,
            use_id,
            protocol,
            question: Arc::new(question),
        });
        drop(state);
        self.changed.notify_one();
        Ok(())
    }

    /// Begins a look at an approval, which is answered once its state differs from the known one.
    ///
    /// The error says that too many looks wait, or that nobody answers any more. A look that goes on with a wait gets a
    /// place in any case: newcomers do not take it.
    pub(super) fn look(
        self: &Arc<Self>,
        id: &str,
        (known, is_new): (Option<ApprovalView>, bool),
        listener: Listener<Found>,
    ) -> Result<LookGuard, LookError> {
        let mut state = self.lock();
        if state.is_closed {
            return Err(LookError::Unavailable);
        }
        let number = state
            .looks
            .begin(id, (known, is_new), listener)
            .ok_or(LookError::TooMany)?;
        drop(state);
        self.changed.notify_one();
        Ok(LookGuard {
            number,
            questions: Arc::downgrade(self),
        })
    }

    /// Answers a look with the present state of its approval; `None` if there is no such approval.
    pub fn show(&self, number: u64, found: Option<ApprovalView>) {
        let is_due_again = self.lock().looks.show(number, found);
        if is_due_again {
            self.changed.notify_one();
        }
    }

    /// Answers a look: the store of approvals cannot be reached.
    pub fn fail_look(&self, number: u64) {
        self.lock().looks.fail(number);
    }

    /// Repeats the looks at approvals that have changed; at all of them without ids.
    pub fn repeat_looks(&self, changed: Option<&[String]>) {
        self.lock().looks.repeat(changed);
        self.changed.notify_one();
    }

    /// Returns true if a look waits for a change of its approval.
    pub fn has_watchers(&self) -> bool {
        self.lock().looks.has_parked()
    }

    /// Takes up to `most` questions, some looks, and all uses to give back; waits up to this time while there is nothing to do. `None` once
    /// the questions are closed and nothing is left to do.
    pub fn take(&self, most: usize, patience: Duration) -> Option<QuestionsTaken> {
        let until = Instant::now() + patience;
        let mut state = self.lock();
        loop {
            let taken = state.take(most);
            if !taken.is_empty() {
                return Some(taken);
            }
            if state.is_closed {
                return None;
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Some(taken);
            }
            let waited = self.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Answers a question. An approval that was consumed for a call that does not wait any more is given back.
    pub fn answer(self: &Arc<Self>, number: u64, answer: Answer, is_permit: bool) {
        let Some(asked) = self.lock().remove(number) else {
            return;
        };
        let used = match &answer {
            Answer::Approved { id } => Some(Use {
                given_back: Some(GivenBack {
                    id: id.clone(),
                    use_id: asked.use_id,
                    is_permit,
                }),
                questions: Arc::downgrade(self),
            }),
            _ => None,
        };
        // Who waits no more drops the reply, and with it the use.
        asked.answer.send(Reply { answer, used });
    }

    /// Takes no more questions: nobody will answer.
    pub fn close(&self) {
        let mut state = self.lock();
        state.is_closed = true;
        state.untaken.clear();
        state.asked.clear();
        state.shares = Shares::default();
        state.looks = Looks::default();
        drop(state);
        self.changed.notify_all();
    }

    fn give_back(&self, used: GivenBack) {
        let mut state = self.lock();
        if state.given_back.len() < MAX_GIVEN_BACK {
            state.given_back.push_back(used);
        }
        drop(state);
        self.changed.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No method leaves it half-done.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn take(&mut self, most: usize) -> QuestionsTaken {
        let mut questions = Vec::new();
        while questions.len() < most {
            let Some(question) = self.untaken.pop_front() else {
                break;
            };
            let is_heard = self
                .asked
                .get(&question.number)
                .is_some_and(|asked| !asked.is_unheard());
            if is_heard {
                questions.push(question);
            } else {
                // Nobody is asked about a call that nobody waits for.
                self.remove(question.number);
            }
        }
        QuestionsTaken {
            questions,
            given_back: self.given_back.drain(..).collect(),
            looks: self.looks.take(most.min(LOOKS_AT_ONCE)),
        }
    }

    fn remove(&mut self, number: u64) -> Option<AwaitedAnswer> {
        let asked = self.asked.remove(&number)?;
        self.shares.give_back(&asked.grant, asked.bytes);
        Some(asked)
    }

    /// Forgets questions whose doors do not wait any more. Those that are with the control plane keep their place until they
    /// are answered: a use may have been consumed for them.
    fn forget_unheard(&mut self) {
        let untaken = std::mem::take(&mut self.untaken);
        for question in untaken {
            let is_unheard = self
                .asked
                .get(&question.number)
                .is_none_or(AwaitedAnswer::is_unheard);
            if is_unheard {
                self.remove(question.number);
            } else {
                self.untaken.push_back(question);
            }
        }
    }
}

impl AwaitedAnswer {
    fn is_unheard(&self) -> bool {
        self.answer.is_gone() || self.until <= Instant::now()
    }
}

impl Drop for LookGuard {
    fn drop(&mut self) {
        if let Some(questions) = self.questions.upgrade() {
            questions.lock().looks.end(self.number);
        }
    }
}

impl Use {
    /// The call was made.
    pub(crate) fn spend(mut self) {
        self.given_back = None;
    }
}

impl fmt::Debug for Use {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Use").field(&self.given_back).finish()
    }
}

impl Drop for Use {
    fn drop(&mut self) {
        if let (Some(used), Some(questions)) = (self.given_back.take(), self.questions.upgrade()) {
            questions.give_back(used);
        }
    }
}

impl Reply {
    /// True if the call may be made.
    pub(crate) const fn is_approval(&self) -> bool {
        matches!(self.answer, Answer::Approved { .. })
    }

    pub(crate) const fn without_use(answer: Answer) -> Self {
        Self { answer, used: None }
    }

    pub(crate) fn into_use(self) -> Option<Use> {
        self.used
    }
}
