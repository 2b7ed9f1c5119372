//! One decision: the order of `docs/policy.md` section 2, in three steps.
//!
//! *Weigh* asks the compiled state alone: rules, the counts that limits meet, the approval. *Look* reads those counts and takes
//! nothing. *Settle* takes all units or none. Most calls go through all three at once. A call that has to wait for an answer
//! from elsewhere does so between look and settle; [`Looked`] then holds all that is left of it.

mod admission;
mod call;
pub(crate) mod carry;
mod condition;
pub(crate) mod explain;
mod fingerprint;
mod folder;
pub(crate) mod frozen;
mod limits;
mod listing;
mod look;
mod message;
mod need;
mod operand;
mod operators;
pub(crate) mod peek;
mod question;
pub(crate) mod quota;
pub mod replay;
mod ruling;
mod schema;
pub(crate) mod seen;
mod settle;
mod stages;
mod store;
#[cfg(test)]
mod tests;
mod trace;
mod truth;
mod url;
mod walk;
mod weigh;

use std::borrow::Cow;
use std::sync::Arc;

use arc_swap::Guard;
use callgate_counters::{Counters, Reservations, Resets};

use self::admission::Decider;
use self::explain::{StepKind, StepResult};
use crate::compile::CompiledPolicy;
use crate::freeze::Freezes;
use crate::state::State;
use crate::{Decision, Now, Outcome, Request};

pub use listing::Listing;
pub use look::Looked;
pub(crate) use trace::{Peeking, Silent, Trace};
pub(crate) use weigh::Weighed;

/// The rule of a denial because the request is malformed.
const INVALID: &str = "(invalid request)";

/// One request, and the compiled state that judges it.
#[derive(Debug)]
pub(crate) struct Evaluation<'e, 's, 'r> {
    pub(crate) state: &'s State,
    pub(crate) request: &'e Request<'r>,
    pub(crate) now: Now,
    pub(crate) hash_key: [u8; 16],
    /// The key of the identities that nodes share; `None` where there is no shared store.
    pub(crate) shared_key: Option<[u8; 16]>,
    pub(crate) resets: Option<Arc<Resets>>,
    /// `None` if there are none.
    pub(crate) freezes: Option<Guard<Arc<Freezes>>>,
}

/// The counters, and the compiled state by which a call was weighed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Counting<'e, 's> {
    pub(crate) state: &'s State,
    pub(crate) counters: &'e Counters,
    pub(crate) reservations: &'e Reservations,
    pub(crate) now: Now,
}

impl<'s> Evaluation<'_, 's, '_> {
    /// The keys of a policy with these resets of its shared counts.
    fn keys<'k>(&'k self, shared_resets: Option<&'k Resets>) -> limits::Keys<'k> {
        limits::Keys {
            hash_key: &self.hash_key,
            shared_key: self.shared_key.as_ref(),
            resets: self.resets.as_deref(),
            shared_resets,
            early: &[],
        }
    }

    /// The resets of the counts of a policy that nodes share; `None` if there are none.
    fn shared_resets(&self, policy: &CompiledPolicy) -> Option<Arc<Resets>> {
        self.shared_key?;
        policy.shared.get()?.resets.current()
    }

    /// Performs step 1 alone, for a request without a tool: identifies the caller and the policy that would decide.
    pub(crate) fn recognise(&self) -> Decision<'s> {
        let fault = self.request.name_fault_without_tool();
        if let Some(fault) = fault.or_else(|| self.caller_fault()) {
            return self.refuse_request(INVALID, Cow::Borrowed(fault), &mut Silent);
        }
        match self.admit() {
            Ok((admitted, Decider { policy, policy_index })) => Decision {
                policy: Cow::Borrowed(&policy.name),
                policy_version: Cow::Borrowed(policy.version()),
                grant_index: admitted.grant_index(),
                policy_index: Some(policy_index),
                ..Decision::bare(Outcome::Allow, "".into(), "".into(), self.now.unix_us())
            },
            Err(refusal) => Decision {
                grant_index: refusal.grant_index,
                ..self.refuse_request(refusal.rule, refusal.message, &mut Silent)
            },
        }
    }

    /// Returns the rules for the caller's lists of tools; `None` if the caller is not admitted.
    pub(crate) fn listing<'l>(&self) -> Option<Listing<'l>>
    where
        Self: 'l,
        's: 'l,
    {
        let fault = self.request.name_fault_without_tool();
        if fault.or_else(|| self.caller_fault()).is_some() {
            return None;
        }
        let (admitted, Decider { policy, .. }) = self.admit().ok()?;
        Some(Listing {
            policy,
            facts: self.state.facts(),
            server: admitted.server,
        })
    }

    fn refuse_request<T: Trace>(
        &self,
        rule: &'static str,
        message: Cow<'s, str>,
        trace: &mut T,
    ) -> Decision<'s> {
        trace.step(StepKind::Request, rule, false, StepResult::Stopped);
        Decision::bare(Outcome::Deny, Cow::Borrowed(rule), message, self.now.unix_us())
    }
}
