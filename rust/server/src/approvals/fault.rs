//! The faults of requests about approvals, the same for each protocol.

use super::looks::LookError;

/// The greatest length of an id, in bytes. Those that exist are shorter.
const MAX_ID_BYTES: usize = 128;

/// A reason for which a request about an approval has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ApprovalFault {
    /// The request names no approval.
    Invalid,
    /// There is no such approval.
    Unknown,
    /// The store does not answer, or there is none.
    Unavailable,
    /// Too many requests wait.
    TooMany,
}

impl ApprovalFault {
    /// Rejects what cannot be the id of an approval.
    pub(crate) const fn of_id(id: &str) -> Option<Self> {
        if id.is_empty() || id.len() > MAX_ID_BYTES {
            return Some(Self::Invalid);
        }
        None
    }

    /// The text for the caller.
    pub(crate) const fn message(self) -> &'static str {
        match self {
            Self::Invalid => "expected the id of an approval, as `approval_required` gave it",
            Self::Unknown => "there is no approval with this id",
            Self::Unavailable => "the store of approvals does not answer",
            Self::TooMany => "too many requests wait for approvals; ask again later",
        }
    }
}

impl From<LookError> for ApprovalFault {
    fn from(error: LookError) -> Self {
        match error {
            LookError::Unavailable => Self::Unavailable,
            LookError::TooMany => Self::TooMany,
        }
    }
}
