//! What a rule that stops a call comes to, enforced or in shadow (`docs/policy.md` section 1, Shadow).

use std::borrow::Cow;
use std::ops::ControlFlow;

use crate::{Outcome, Shadow};

/// An enforced refusal.
#[derive(Debug)]
pub(super) struct Refused<'s> {
    pub(super) outcome: Outcome,
    pub(super) rule: Cow<'s, str>,
    pub(super) message: Cow<'s, str>,
}

/// Goes on, or ends with an enforced refusal.
pub(super) type Flow<'s, C = ()> = ControlFlow<Refused<'s>, C>;

/// What full enforcement has come to so far. Rules are asked in the order of full enforcement, so its first refusal is
/// its answer.
#[derive(Debug, Default)]
pub(super) struct Shadowing<'s> {
    answer: Option<Shadow<'s>>,
}

impl<'s> Shadowing<'s> {
    /// Full enforcement has refused the call already, so nothing in shadow can matter any more.
    pub(super) const fn has_answer(&self) -> bool {
        self.answer.is_some()
    }

    /// Full enforcement refuses here, unless it has before.
    pub(super) fn note(&mut self, outcome: Outcome, rule: &'s str) {
        self.answer.get_or_insert(Shadow {
            outcome,
            rule: Cow::Borrowed(rule),
        });
    }

    /// A rule denies: in shadow this is noted, enforced it ends the evaluation.
    pub(super) fn deny(
        &mut self,
        shadowed: bool,
        rule: &'s str,
        message: impl FnOnce() -> Cow<'s, str>,
    ) -> Flow<'s> {
        if shadowed {
            self.note(Outcome::Deny, rule);
            return ControlFlow::Continue(());
        }
        ControlFlow::Break(Refused {
            outcome: Outcome::Deny,
            rule: Cow::Borrowed(rule),
            message: message(),
        })
    }

    /// What full enforcement would have answered to a call that is allowed.
    pub(super) fn into_answer(self) -> Option<Shadow<'s>> {
        self.answer
    }
}
