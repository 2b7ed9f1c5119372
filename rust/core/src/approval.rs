//! Approvals as the engine sees them: the question about a call that needs one, and the answer (`docs/policy.md` section 6).

use std::sync::Arc;

use callgate_counters::Demand;
use callgate_counters::lease::{CountScopes, Counted, SharedPolicy};

use crate::compile::{AppliedEntry, Need};
use crate::decision::Fingerprint;
use crate::eval::Looked;
use crate::policy::ast::{Category, Risk};
use crate::{Decision, LimitState};

/// A call that waits: the state of its decision, the question for people, and what the store of shared counts is asked for.
#[derive(Debug)]
pub struct HeldCall {
    /// To be settled with the answers.
    pub looked: Looked<'static, 'static>,
    /// The question; `None` if nobody has to be asked.
    pub question: Option<Question>,
    /// To be asked once people have approved; `None` if no count is shared.
    pub store: Option<StoreAsk>,
}

/// The units that a call wants from the store of shared counts.
#[derive(Clone, Debug)]
pub struct StoreAsk {
    /// The policy.
    pub policy: Arc<SharedPolicy>,
    /// The grant that is charged.
    pub grant: Arc<str>,
    /// The counts.
    pub demands: Vec<Demand>,
    /// By what they are kept.
    pub scopes: CountScopes,
}

/// The answer of that store to a call.
#[derive(Debug)]
pub struct StoreAnswer {
    /// The units that it was asked for.
    pub asked: StoreAsk,
    /// Its verdict, and the state of the counts.
    pub counted: Counted,
}

/// A call, as the store of approvals receives it.
#[derive(Clone, Debug)]
pub struct Question {
    /// The fingerprint of the exact call.
    pub fingerprint: Fingerprint,
    /// The grant that is charged.
    pub grant: String,
    /// The labels of the grant.
    pub labels: Vec<(String, String)>,
    /// The server.
    pub server: String,
    /// The tool.
    pub tool: String,
    /// Its category in the catalogue.
    pub category: Option<Category>,
    /// Its risk in the catalogue.
    pub risk: Option<Risk>,
    /// The session, if there is one.
    pub session: Option<String>,
    /// The arguments as compact JSON; numbers are as the caller wrote them.
    pub args_json: String,
    /// The name of the policy that asks.
    pub policy: String,
    /// Its digest, 64 hex digits.
    pub policy_digest: String,
    /// The digest of what was accepted of the tool; `None` where nothing is pinned.
    pub pin_digest: Option<[u8; 32]>,
    /// The rules that ask, in their order; at least one.
    pub needs: Vec<Arc<Need>>,
    /// The entries that apply to the call.
    pub entries: Vec<Arc<AppliedEntry>>,
    /// The state of the limits before the call.
    pub limits: Vec<LimitState<'static>>,
}

/// The answer of the store of approvals.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The call may be made: an approval or a use of a permit was consumed for it.
    Approved {
        /// The id of the approval or permit.
        id: String,
    },
    /// A person has denied the call.
    Denied {
        /// The id of the approval.
        id: String,
        /// The rule that asked.
        rule: String,
        /// The person's reason; may be empty.
        reason: String,
        /// The end of the denial, in Unix microseconds.
        until_us: u64,
    },
    /// The call waits for people.
    Waiting {
        /// The id of the approval.
        id: String,
        /// The first rule that lacks answers.
        rule: String,
        /// The groups that this rule asks; empty for any approver.
        approvers: Vec<String>,
        /// The end of the wait, in Unix microseconds.
        until_us: u64,
    },
    /// Too many approvals are pending.
    AtCapacity {
        /// True if this grant has too many; false if all grants together have.
        of_grant: bool,
    },
    /// Nobody was asked: too many calls of this process wait for answers.
    TooManyWait {
        /// True if this grant has its share of them; false if there is no place for any call.
        of_grant: bool,
    },
    /// The store has not answered in time, or there is none.
    Unavailable,
}

/// The decision on a call, or what it has to wait for.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "nearly every call has a decision, which must not be allocated"
)]
pub enum Decided<'s> {
    /// A decision that needs no approval.
    Decision(Decision<'s>),
    /// People have to be asked first, or the store of shared counts.
    Asked(Box<HeldCall>),
}
