//! The effect of a rule that stops a call, enforced or in shadow (`docs/policy.md` section 1, Shadow).

use std::borrow::Cow;
use std::ops::ControlFlow;

use crate::{Outcome, Shadow};

/// An enforced refusal.
#[derive(Debug)]
pub(super) struct RuleRefusal<'s> {
    pub(super) outcome: Outcome,
    pub(super) rule: Cow<'s, str>,
    pub(super) message: Cow<'s, str>,
}

/// Continues the evaluation, or ends it with an enforced refusal.
pub(super) type Flow<'s, C = ()> = ControlFlow<RuleRefusal<'s>, C>;

/// The answer of full enforcement so far. Rules are evaluated in the order of full enforcement, so its first refusal is
/// its answer.
#[derive(Debug, Default)]
pub(super) struct Shadowing<'s> {
    answer: Option<Shadow<'s>>,
}

impl<'s> Shadowing<'s> {
    /// True if full enforcement has refused the call already, so that no later rule in shadow matters.
    pub(super) const fn has_answer(&self) -> bool {
        self.answer.is_some()
    }

    /// Records a refusal by full enforcement, unless there was one before.
    pub(super) fn note(&mut self, outcome: Outcome, rule: impl Into<Cow<'s, str>>) {
        self.answer.get_or_insert_with(|| Shadow {
            outcome,
            rule: rule.into(),
        });
    }

    /// The same with owned data.
    pub(super) fn into_owned(self) -> Shadowing<'static> {
        Shadowing {
            answer: self.answer.map(Shadow::into_owned),
        }
    }

    /// Denies the call by a rule: a rule in shadow records the denial, an enforced one ends the evaluation.
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
        ControlFlow::Break(RuleRefusal {
            outcome: Outcome::Deny,
            rule: Cow::Borrowed(rule),
            message: message(),
        })
    }

    /// Returns the answer that full enforcement would have given to a call that is allowed.
    pub(super) fn into_answer(self) -> Option<Shadow<'s>> {
        self.answer
    }
}
