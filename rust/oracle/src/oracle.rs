//! The plain evaluator: a policy, a catalogue, freezes and all admissions so far.

use crate::call::{Call, Facts};
use crate::count::Log;
use crate::decide::{decided, verdicts};
use crate::freeze::Freeze;
use crate::json::Json;
use crate::policy::Policy;
use crate::reply::Reply;
use crate::settle::settled;
use crate::verdict::{Answer, Verdict};

/// The deepest nesting of documents that is read; the engine refuses much shallower ones.
const MAX_DEPTH: usize = 1_000;

/// Decides calls one after the other.
#[derive(Clone, Debug)]
pub struct Oracle {
    policy: Policy,
    catalogue: Json,
    freezes: Vec<Freeze>,
    log: Log,
}

impl Oracle {
    /// Reads a JSON policy and catalogue that the engine has accepted.
    ///
    /// # Errors
    ///
    /// The part that could not be read; it means that the oracle is incomplete.
    pub fn new(policy: &str, catalogue: &str, freezes: &[Freeze]) -> Result<Self, String> {
        let read =
            |text: &str| Json::read(text.as_bytes(), MAX_DEPTH).map_err(|refused| refused.0.to_owned());
        Ok(Self {
            policy: Policy::read(&read(policy)?)?,
            catalogue: read(catalogue)?,
            freezes: freezes.to_vec(),
            log: Log::default(),
        })
    }

    /// Every decision that the contract allows for this call; more than one only if counts may be late.
    pub fn verdicts(&self, call: &Call) -> Vec<Verdict> {
        let frozen = self.freezes.iter().any(|freeze| freeze.stops(call));
        verdicts(&self.policy, &self.facts(call), &self.log, call, frozen)
    }

    /// Every decision that the contract allows for a call that asked with the verdict `asked`, with its reply. `later` is the
    /// call at the time of the reply; freezes are those of that time.
    pub fn settled(&self, call: &Call, later: &Call, reply: Reply, asked: &Verdict) -> Vec<Verdict> {
        if reply.is_frozen || self.freezes.iter().any(|freeze| freeze.stops(later)) {
            return vec![decided(Answer::new("deny", "(frozen)"))];
        }
        let replied = (reply.kind, asked);
        settled(&self.policy, &self.facts(call), &self.log, (call, later), replied)
    }

    /// Records the decision: one of [`Oracle::verdicts`] or [`Oracle::settled`] of the same call at this time.
    pub fn settle(&mut self, call: &Call, verdict: &Verdict) {
        for (count, units) in &verdict.takes {
            self.log.take(count, *units, call);
        }
    }

    fn facts(&self, call: &Call) -> Facts {
        let tool = self
            .catalogue
            .get("servers")
            .and_then(|servers| servers.get(&call.server)?.get("tools")?.get(&call.tool));
        let text = |name| tool?.get(name)?.text().map(str::to_owned);
        Facts {
            category: text("category"),
            risk: text("risk"),
            input_schema: tool.and_then(|tool| tool.get("input_schema")).cloned(),
        }
    }
}
