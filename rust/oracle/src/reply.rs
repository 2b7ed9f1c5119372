//! Answers to calls that need a person's approval (`docs/policy.md` section 6).

use crate::verdict::Answer;

/// The answer to a call, if it asks people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The kind of the answer.
    pub kind: ReplyKind,
    /// The number of later calls of the case that are decided while this one waits.
    pub calls_meanwhile: usize,
    /// A freeze of everything comes while the call waits.
    pub is_frozen: bool,
}

/// The kinds of answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplyKind {
    /// An approval, or a permit, is used for the call.
    Approved,
    /// A person has denied it.
    Denied,
    /// People have not answered.
    Waiting,
    /// Too many approvals are pending.
    AtCapacity,
    /// The store does not answer.
    Unavailable,
}

impl ReplyKind {
    /// All kinds.
    pub const ALL: [Self; 5] = [
        Self::Approved,
        Self::Denied,
        Self::Waiting,
        Self::AtCapacity,
        Self::Unavailable,
    ];

    /// The name of the kind in files of cases.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Approved => "approved",
            Self::Denied => "denied",
            Self::Waiting => "waiting",
            Self::AtCapacity => "at_capacity",
            Self::Unavailable => "unavailable",
        }
    }

    /// The decision on a call that asks by `rule`; `None` if it is approved, and its units have to be taken.
    pub(crate) fn decision(self, rule: &str) -> Option<Answer> {
        Some(match self {
            Self::Approved => return None,
            Self::Denied => Answer::new("deny", rule),
            Self::Waiting => Answer::new("approval_required", rule),
            Self::AtCapacity => Answer::new("deny", "(approval capacity)"),
            Self::Unavailable => Answer::new("deny", "(approval store unavailable)"),
        })
    }
}
