//! The stage of one call between the passes of its door.

use std::cell::RefCell;
use std::time::Duration;

use callgate_core::Looked;
use callgate_core::approval::{HeldCall, Question, StoreAnswer, StoreAsk};

use super::Reply;
use crate::protocol::Protocol;

/// The stage of one call between its passes.
#[derive(Debug, Default)]
pub(crate) struct Asking(RefCell<Stage>);

#[derive(Debug, Default)]
enum Stage {
    /// The first pass: a call that needs an approval becomes a question.
    #[default]
    First,
    /// The call became a question. The answer of this pass is thrown away.
    Asked(Box<HeldCall>, Protocol, Duration),
    /// The second pass settles it.
    Answered(Box<AnsweredCall>),
    /// The call is settled.
    Settled,
}

/// A call, and the answers that it has waited for.
#[derive(Debug)]
pub(crate) struct AnsweredCall {
    pub(crate) looked: Looked<'static, 'static>,
    /// The answer of people; `None` if nobody had to be asked.
    pub(crate) reply: Option<Reply>,
    /// The answer of the store of shared counts; `None` if it did not have to be asked.
    pub(crate) store: Option<StoreAnswer>,
    /// The time that the first pass took.
    pub(crate) took: Duration,
}

impl Asking {
    /// Keeps a call that has to wait.
    pub(crate) fn wait(&self, asked: Box<HeldCall>, protocol: Protocol, took: Duration) {
        self.0.replace(Stage::Asked(asked, protocol, took));
    }

    /// The call that this pass has to settle.
    pub(crate) fn take_answered(&self) -> Option<Box<AnsweredCall>> {
        let is_answered = matches!(&*self.0.borrow(), Stage::Answered(_));
        if !is_answered {
            return None;
        }
        match self.0.replace(Stage::Settled) {
            Stage::Answered(answered) => Some(answered),
            _ => None,
        }
    }

    /// The question of the pass that has just ended, if there is one.
    pub(crate) fn take_question(&self) -> Option<WaitingCall> {
        if !matches!(&*self.0.borrow(), Stage::Asked(..)) {
            return None;
        }
        let Stage::Asked(asked, protocol, took) = self.0.replace(Stage::Settled) else {
            return None;
        };
        Some(WaitingCall {
            asked,
            protocol,
            took,
        })
    }
}

/// A call between its passes.
#[derive(Debug)]
pub(crate) struct WaitingCall {
    asked: Box<HeldCall>,
    protocol: Protocol,
    took: Duration,
}

impl WaitingCall {
    /// Takes out what is asked, and the call that the answers are for.
    pub(crate) fn into_parts(self) -> (Option<Question>, Option<StoreAsk>, Protocol, UnsettledCall) {
        let Self {
            asked,
            protocol,
            took,
        } = self;
        let HeldCall {
            looked,
            question,
            store,
        } = *asked;
        (question, store, protocol, UnsettledCall { looked, took })
    }
}

/// A call whose question was asked.
#[derive(Debug)]
pub(crate) struct UnsettledCall {
    looked: Looked<'static, 'static>,
    took: Duration,
}

impl UnsettledCall {
    /// Makes ready for the second pass.
    pub(crate) fn answered(self, reply: Option<Reply>, store: Option<StoreAnswer>) -> Asking {
        let Self { looked, took } = self;
        Asking(RefCell::new(Stage::Answered(Box::new(AnsweredCall {
            looked,
            reply,
            store,
            took,
        }))))
    }
}
