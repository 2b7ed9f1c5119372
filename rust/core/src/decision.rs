//! The answer of [`crate::Engine::decide`]: `docs/policy.md` section 5.

mod fingerprint;
mod json;

use std::borrow::Cow;
use std::fmt;

use callgate_counters::{Micros, ReservationId};
use smallvec::SmallVec;

pub use fingerprint::Fingerprint;

/// The four answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The call may proceed; units were taken from every limit that applies.
    Allow,
    /// The call must not proceed, and an unchanged retry will not help.
    Deny,
    /// A limit has too few units left; `retry_after_ms` is the time until it has enough.
    RateLimited,
    /// A person must first approve this exact call.
    ApprovalRequired,
}

impl Outcome {
    /// Every outcome, in the order used for indexes.
    pub const ALL: [Self; 4] = [Self::Allow, Self::Deny, Self::RateLimited, Self::ApprovalRequired];

    /// The word in documents, on the wire and in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
            Self::RateLimited => "rate_limited",
            Self::ApprovalRequired => "approval_required",
        }
    }

    /// The HTTP status of this outcome (`docs/policy.md` section 5).
    pub const fn http_status(self) -> u16 {
        match self {
            Self::Allow => 200,
            Self::Deny | Self::ApprovalRequired => 403,
            Self::RateLimited => 429,
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One limit that applied to the call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitState<'a> {
    /// The limit's counter name.
    pub counter: Cow<'a, str>,
    /// Rule pointer of the limit.
    pub rule: Cow<'a, str>,
    /// Units per window.
    pub max: Micros,
    /// Units left after this decision.
    pub remaining: Micros,
    /// Units taken above `max`, which a person allowed.
    pub over: Micros,
    /// Milliseconds until the whole of `max` is free again, rounded up; 0 if it already is.
    pub reset_after_ms: u64,
    /// Window length in milliseconds, rounded up; for a calendar window the length of the current one.
    pub window_ms: u64,
}

/// The answer under full enforcement, if it differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shadow<'a> {
    /// The outcome of full enforcement.
    pub outcome: Outcome,
    /// Its rule pointer.
    pub rule: Cow<'a, str>,
}

/// The answer to one call. Borrows from the compiled state, so an allowed call allocates nothing.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision<'a> {
    /// Allow, deny, rate limited or approval required.
    pub outcome: Outcome,
    /// The rule pointer; empty for a plain allow.
    pub rule: Cow<'a, str>,
    /// A sentence that a model can act on; empty for a plain allow.
    pub message: Cow<'a, str>,
    /// For `rate_limited`: milliseconds until this call's units are free, rounded up.
    pub retry_after_ms: Option<u64>,
    /// The limits that applied, in the order in which they were examined.
    pub limits: SmallVec<[LimitState<'a>; 4]>,
    /// The name of the policy that decided; empty if none was reached.
    pub policy: Cow<'a, str>,
    /// First 12 hex digits of the SHA-256 of the canonical policy document; empty if no policy was reached.
    pub policy_version: Cow<'a, str>,
    /// The answer under full enforcement, if it differs from this allow.
    pub shadow: Option<Shadow<'a>>,
    /// For `approval_required`: the fingerprint of the exact call.
    pub fingerprint: Option<Fingerprint>,
    /// The id of the approval that the call waits for, that denies it or was used for it, or of the permit that was used for it;
    /// empty if there is none.
    pub approval: Cow<'a, str>,
    /// Unix microseconds at which the counters were stamped.
    pub decided_at_us: u64,
    /// The id under which the units can be returned, if the caller requested one and the call is allowed.
    pub reservation: Option<ReservationId>,
    /// Index of the configured grant in [`crate::State::grants`]; `None` if grants are not configured or the caller's
    /// is unknown.
    pub grant_index: Option<u32>,
    /// Index of the policy in [`crate::State::policies`]; `None` if no policy was reached.
    pub policy_index: Option<u32>,
    /// Index of the tool's name, or of the pattern that matches it, among those that the policy has
    /// ([`crate::engine::PolicyView::tools_and_patterns`]), for bounded metrics labels; `None` for every other tool.
    pub tool_index: Option<u32>,
}

impl<'a> Decision<'a> {
    /// A decision with only an outcome, its rule, its message and the instant in Unix microseconds.
    pub fn bare(outcome: Outcome, rule: Cow<'a, str>, message: Cow<'a, str>, decided_at_us: u64) -> Self {
        Self {
            outcome,
            rule,
            message,
            retry_after_ms: None,
            limits: SmallVec::new(),
            policy: Cow::Borrowed(""),
            policy_version: Cow::Borrowed(""),
            shadow: None,
            fingerprint: None,
            approval: Cow::Borrowed(""),
            decided_at_us,
            reservation: None,
            grant_index: None,
            policy_index: None,
            tool_index: None,
        }
    }

    /// The same decision with owned data, so that it outlives the compiled state.
    #[must_use]
    pub fn into_owned(self) -> Decision<'static> {
        Decision {
            outcome: self.outcome,
            rule: owned(self.rule),
            message: owned(self.message),
            retry_after_ms: self.retry_after_ms,
            limits: self.limits.into_iter().map(LimitState::into_owned).collect(),
            policy: owned(self.policy),
            policy_version: owned(self.policy_version),
            shadow: self.shadow.map(Shadow::into_owned),
            fingerprint: self.fingerprint,
            approval: owned(self.approval),
            decided_at_us: self.decided_at_us,
            reservation: self.reservation,
            grant_index: self.grant_index,
            policy_index: self.policy_index,
            tool_index: self.tool_index,
        }
    }
}

impl Shadow<'_> {
    /// The same answer with owned data.
    #[must_use]
    pub fn into_owned(self) -> Shadow<'static> {
        Shadow {
            outcome: self.outcome,
            rule: owned(self.rule),
        }
    }
}

impl LimitState<'_> {
    /// The same limit with owned data.
    #[must_use]
    pub fn into_owned(self) -> LimitState<'static> {
        LimitState {
            counter: owned(self.counter),
            rule: owned(self.rule),
            max: self.max,
            remaining: self.remaining,
            over: self.over,
            reset_after_ms: self.reset_after_ms,
            window_ms: self.window_ms,
        }
    }
}

fn owned(text: Cow<'_, str>) -> Cow<'static, str> {
    Cow::Owned(text.into_owned())
}
