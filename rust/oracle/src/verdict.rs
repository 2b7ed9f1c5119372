//! The answers that the contract allows for one call.

use crate::count::Count;

/// `outcome` and `rule` of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// `allow`, `deny`, `rate_limited` or `approval_required`.
    pub outcome: &'static str,
    /// The rule pointer; empty for a plain allow.
    pub rule: String,
}

impl Answer {
    pub(crate) fn allow() -> Self {
        Self {
            outcome: "allow",
            rule: String::new(),
        }
    }

    pub(crate) fn new(outcome: &'static str, rule: impl Into<String>) -> Self {
        Self {
            outcome,
            rule: rule.into(),
        }
    }
}

/// Least and greatest value that the contract allows; equal except for the documented lateness.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds<T> {
    /// For waits, the value of an exact log; for remaining units, the latest reading.
    pub least: T,
    /// For waits, the latest reading; for remaining units, the value of an exact log.
    pub most: T,
}

impl<T: PartialOrd> Bounds<T> {
    /// Returns whether `value` is allowed.
    pub fn holds(&self, value: &T) -> bool {
        self.least <= *value && *value <= self.most
    }
}

/// One enforced count of the call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CountState {
    /// The limit's rule pointer.
    pub rule: String,
    /// Millionths of units.
    pub max: i128,
    /// Millionths of units left after the decision.
    pub remaining: Bounds<i128>,
    /// Millionths of units taken above `max`.
    pub over: Bounds<i128>,
}

/// One decision that the contract allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The answer.
    pub answer: Answer,
    /// The answer under full enforcement, if it differs.
    pub shadow: Option<Answer>,
    /// The wait, for `rate_limited`.
    pub retry_after_ms: Option<Bounds<u64>>,
    /// The enforced counts, if limits were examined.
    pub limits: Vec<CountState>,
    /// The rules that ask for an approval, in their order, if one is needed.
    pub needs: Vec<String>,
    /// The enforced counts that have too little left, and ask.
    pub(crate) asked_counts: Vec<String>,
    /// The first shadowed finding.
    pub(crate) first_shadowed: Option<Answer>,
    /// The units that an admission takes.
    pub(crate) takes: Vec<(Count, i128)>,
}
