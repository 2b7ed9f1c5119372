//! Looks at approvals: enforcement points ask for the state of one, or wait until it changes.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use super::listener::Listener;

/// The greatest number of looks that wait at once.
const MAX_LOOKS: usize = 12_000;

/// The state of an approval (`docs/policy.md` section 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApprovalState {
    /// People have not answered yet.
    Pending,
    /// The same call may be made once.
    Approved,
    /// A person has denied the call.
    Denied,
    /// A call has used it, or a permit was made of it.
    Consumed,
    /// The time of its former state is over.
    Expired,
    /// Withdrawn, or what it was asked for is not in force.
    Ended,
}

impl ApprovalState {
    /// All states.
    pub const ALL: [Self; 6] = [
        Self::Pending,
        Self::Approved,
        Self::Denied,
        Self::Consumed,
        Self::Expired,
        Self::Ended,
    ];

    /// The word of the contract.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Approved => "approved",
            Self::Denied => "denied",
            Self::Consumed => "consumed",
            Self::Expired => "expired",
            Self::Ended => "ended",
        }
    }

    /// The state with this word.
    pub fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == word)
    }
}

/// The part of an approval that enforcement points see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApprovalView {
    /// Its id.
    pub id: String,
    /// Its state.
    pub state: ApprovalState,
    /// The rule pointer of the first need that lacks answers, while it is pending; else empty.
    pub rule: String,
    /// The groups that this need asks; empty for any approver.
    pub approvers: Vec<String>,
    /// The reason of a denial; else empty.
    pub reason: String,
    /// The end of the state in Unix microseconds, while it is pending, approved or denied; else 0.
    pub until_us: u64,
    /// The id of the permit that was made of it; else empty.
    pub permit: String,
}

/// The answer to a look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// The approval.
    Approval(ApprovalView),
    /// There is no approval with this id.
    Nothing,
    /// The store of approvals does not answer.
    Unavailable,
}

/// A reason for which a look cannot begin, or has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LookError {
    /// The store of approvals has not answered in time, or there is none.
    Unavailable,
    /// Too many looks wait.
    TooMany,
}

/// The looks that wait.
#[derive(Debug, Default)]
pub(super) struct Looks {
    next_number: u64,
    held: HashMap<u64, Look>,
    by_approval: HashMap<Arc<str>, Vec<u64>>,
    due: VecDeque<u64>,
    parked: usize,
}

#[derive(Debug)]
struct Look {
    id: Arc<str>,
    known: Option<ApprovalView>,
    listener: Listener<Found>,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// To be taken.
    Due,
    /// Taken, and not answered yet.
    Taken {
        /// The approval has changed since: the answer may be the state of before.
        has_changed: bool,
    },
    /// Answered with the state that is known: waits for a change.
    Parked,
}

impl Looks {
    /// Adds a look and returns its number; `None` if it is a new one and too many wait.
    pub(super) fn begin(
        &mut self,
        id: &str,
        (known, is_new): (Option<ApprovalView>, bool),
        listener: Listener<Found>,
    ) -> Option<u64> {
        if is_new && self.held.len() >= MAX_LOOKS {
            return None;
        }
        let number = self.next_number;
        self.next_number += 1;
        let id = self
            .by_approval
            .get_key_value(id)
            .map_or_else(|| Arc::from(id), |(id, _)| Arc::clone(id));
        self.by_approval.entry(Arc::clone(&id)).or_default().push(number);
        self.held.insert(
            number,
            Look {
                id,
                known,
                listener,
                stage: Stage::Due,
            },
        );
        self.due.push_back(number);
        Some(number)
    }

    /// Takes up to `most` looks to answer.
    pub(super) fn take(&mut self, most: usize) -> Vec<(u64, Arc<str>)> {
        let mut taken = Vec::new();
        while taken.len() < most {
            let Some(number) = self.due.pop_front() else { break };
            // One that has ended is still in the queue.
            if let Some(look) = self.held.get_mut(&number) {
                look.stage = Stage::Taken { has_changed: false };
                taken.push((number, Arc::clone(&look.id)));
            }
        }
        taken
    }

    /// Answers a look, or parks it if its approval is as it is known. Returns true if it has to be taken once more.
    pub(super) fn show(&mut self, number: u64, found: Option<ApprovalView>) -> bool {
        let Some(look) = self.held.get_mut(&number) else {
            return false;
        };
        if found.is_none() || found != look.known {
            let found = found.map_or(Found::Nothing, Found::Approval);
            self.answer(number, found);
            return false;
        }
        let is_due = look.stage == (Stage::Taken { has_changed: true });
        if is_due {
            look.stage = Stage::Due;
            self.due.push_back(number);
        } else if look.stage != Stage::Parked {
            look.stage = Stage::Parked;
            self.parked += 1;
        }
        is_due
    }

    /// Answers a look without a state.
    pub(super) fn fail(&mut self, number: u64) {
        self.answer(number, Found::Unavailable);
    }

    /// Repeats the looks at these approvals; at all of them without ids.
    pub(super) fn repeat(&mut self, changed: Option<&[String]>) {
        let numbers: Vec<u64> = match changed {
            None => self.held.keys().copied().collect(),
            Some(ids) => {
                let known = ids.iter().filter_map(|id| self.by_approval.get(id.as_str()));
                known.flatten().copied().collect()
            }
        };
        for number in numbers {
            let Some(look) = self.held.get_mut(&number) else {
                continue;
            };
            match look.stage {
                Stage::Due => {}
                Stage::Taken { .. } => look.stage = Stage::Taken { has_changed: true },
                Stage::Parked => {
                    look.stage = Stage::Due;
                    self.parked -= 1;
                    self.due.push_back(number);
                }
            }
        }
    }

    /// Ends a look whose listener waits no more.
    pub(super) fn end(&mut self, number: u64) {
        drop(self.remove(number));
    }

    /// Returns true if a look waits for a change.
    pub(super) const fn has_parked(&self) -> bool {
        self.parked > 0
    }

    fn answer(&mut self, number: u64, found: Found) {
        if let Some(look) = self.remove(number) {
            look.listener.send(found);
        }
    }

    fn remove(&mut self, number: u64) -> Option<Look> {
        let look = self.held.remove(&number)?;
        if look.stage == Stage::Parked {
            self.parked -= 1;
        }
        if let Some(numbers) = self.by_approval.get_mut(&look.id) {
            numbers.retain(|one| *one != number);
            if numbers.is_empty() {
                self.by_approval.remove(&look.id);
            }
        }
        Some(look)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, sync_channel};

    use super::*;

    fn view(state: ApprovalState) -> ApprovalView {
        ApprovalView {
            id: "a".to_owned(),
            state,
            rule: String::new(),
            approvers: Vec::new(),
            reason: String::new(),
            until_us: 0,
            permit: String::new(),
        }
    }

    fn pending() -> ApprovalView {
        view(ApprovalState::Pending)
    }

    fn begin(looks: &mut Looks, known: Option<ApprovalView>) -> (u64, Receiver<Found>) {
        let (listener, found) = sync_channel(1);
        let number = looks
            .begin("a", (known, true), Listener::Thread(listener))
            .unwrap();
        (number, found)
    }

    fn numbers(looks: &mut Looks) -> Vec<u64> {
        looks.take(10).into_iter().map(|(number, _)| number).collect()
    }

    #[test]
    fn a_first_look_is_answered_with_any_state() {
        let mut looks = Looks::default();
        let (number, found) = begin(&mut looks, None);
        assert_eq!(numbers(&mut looks), [number]);
        assert!(!looks.show(number, Some(pending())));
        assert_eq!(found.recv(), Ok(Found::Approval(pending())));
        let (number, found) = begin(&mut looks, None);
        looks.show(number, None);
        assert_eq!(found.recv(), Ok(Found::Nothing));
        assert!(looks.held.is_empty() && looks.by_approval.is_empty());
    }

    #[test]
    fn a_look_at_a_known_state_waits_for_another_one() {
        let mut looks = Looks::default();
        let (number, found) = begin(&mut looks, Some(pending()));
        assert_eq!(numbers(&mut looks), [number]);
        assert!(!looks.show(number, Some(pending())));
        assert!(looks.has_parked() && found.try_recv().is_err());
        looks.repeat(Some(&["b".to_owned()]));
        assert!(numbers(&mut looks).is_empty());
        looks.repeat(Some(&["a".to_owned()]));
        assert!(!looks.has_parked());
        assert_eq!(numbers(&mut looks), [number]);
        looks.show(number, Some(view(ApprovalState::Approved)));
        assert_eq!(found.recv(), Ok(Found::Approval(view(ApprovalState::Approved))));
    }

    #[test]
    fn a_change_while_a_state_is_read_is_not_lost() {
        let mut looks = Looks::default();
        let (number, _found) = begin(&mut looks, Some(pending()));
        assert_eq!(numbers(&mut looks), [number]);
        looks.repeat(None);
        assert!(
            looks.show(number, Some(pending())),
            "the state of before the change"
        );
        assert_eq!(numbers(&mut looks), [number]);
        assert!(!looks.show(number, Some(pending())));
    }

    #[test]
    fn a_look_that_has_ended_leaves_nothing() {
        let mut looks = Looks::default();
        let (parked, _found) = begin(&mut looks, Some(pending()));
        numbers(&mut looks);
        looks.show(parked, Some(pending()));
        let (due, _found) = begin(&mut looks, None);
        looks.end(parked);
        looks.end(due);
        assert!(!looks.has_parked() && looks.held.is_empty() && looks.by_approval.is_empty());
        assert!(numbers(&mut looks).is_empty());
        looks.show(due, Some(pending()));
        looks.fail(due);
        looks.repeat(None);
    }

    #[test]
    fn the_number_of_looks_is_bounded() {
        let mut looks = Looks::default();
        let found: Vec<_> = (0..MAX_LOOKS).map(|_| begin(&mut looks, None)).collect();
        let begin_full = |looks: &mut Looks, is_new| {
            let (listener, _) = sync_channel(1);
            looks.begin("a", (None, is_new), Listener::Thread(listener))
        };
        assert_eq!(begin_full(&mut looks, true), None);
        let goes_on = begin_full(&mut looks, false).unwrap();
        looks.end(goes_on);
        looks.end(found[0].0);
        begin(&mut looks, None);
    }

    #[test]
    fn states_have_the_words_of_the_contract() {
        for state in ApprovalState::ALL {
            assert_eq!(ApprovalState::named(state.as_str()), Some(state));
        }
        assert_eq!(ApprovalState::named("unknown"), None);
    }
}
