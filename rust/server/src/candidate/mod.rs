//! Candidates: policies that are weighed beside those that decide, with counts of their own (`docs/replay.md`).
//!
//! A candidate changes nothing of a call: neither its answer nor its counts, approvals and log line, but for the field that names
//! another answer of the candidate.

mod report;
mod tally;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::SystemTime;

use callgate_core::engine::Candidate;
use callgate_core::{Caller, Decision, Engine, Now, Outcome, PepId, Request, ReservationId, Scratch, State};
use smallvec::SmallVec;

use crate::metrics::CandidateCount;

pub use report::{CandidateChange, CandidateExample, CandidateReport};
use tally::{Change, Tally};

/// Rules in parentheses that a policy decides by; every other one says what a policy has no part in.
const OF_POLICIES: [&str; 2] = ["(hidden)", "(default deny)"];

/// The other answer of a candidate, for the line of the call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CandidateAnswer {
    pub(crate) outcome: Outcome,
    pub(crate) rule: String,
    pub(crate) policy_version: String,
}

/// The candidates of a configuration, by the server beside whose policy each is weighed.
#[derive(Debug, Default)]
pub(crate) struct Candidates {
    /// The compiled ones, from which these were made.
    compiled: Arc<callgate_core::engine::Candidates>,
    by_server: HashMap<String, Weighed>,
}

/// The candidate of one server.
#[derive(Clone, Debug)]
struct Weighed {
    policy: Arc<CandidatePolicy>,
    tally: Arc<Tally>,
}

/// A policy with counters and reservations of its own, for all servers that name it.
#[derive(Debug)]
struct CandidatePolicy {
    name: String,
    version: String,
    digest_hex: String,
    engine: Engine,
}

impl Candidates {
    /// The candidates of a state that comes into force after `before`. One that stays keeps its counts; a changed one starts anew.
    pub(crate) fn of(state: &State, live: &Engine, before: &Self) -> Self {
        let compiled = Arc::clone(state.candidates());
        let mut by_server = HashMap::new();
        for candidate in compiled.list() {
            let known = candidate
                .servers()
                .iter()
                .find_map(|server| before.of_policy(server, candidate));
            let policy = known.map_or_else(
                || CandidatePolicy::new(candidate, live),
                |known| {
                    // Facts of the catalogue may have changed.
                    known.engine.reload(candidate.state().anew());
                    known
                },
            );
            for server in candidate.servers() {
                let tally = before
                    .by_server
                    .get(server)
                    .filter(|known| Arc::ptr_eq(&known.policy, &policy))
                    .map_or_else(
                        || Arc::new(Tally::new(SystemTime::now())),
                        |known| Arc::clone(&known.tally),
                    );
                let policy = Arc::clone(&policy);
                by_server.insert(server.clone(), Weighed { policy, tally });
            }
        }
        Self { compiled, by_server }
    }

    /// True if these were made from the candidates of a state.
    pub(crate) fn are_of(&self, state: &State) -> bool {
        Arc::ptr_eq(&self.compiled, state.candidates())
    }

    /// The policy that was weighed at a server before, if it is the same document.
    fn of_policy(&self, server: &str, candidate: &Candidate) -> Option<Arc<CandidatePolicy>> {
        let policy = &self.by_server.get(server)?.policy;
        let is_same = policy.digest_hex == candidate.digest_hex() && policy.name == candidate.name();
        is_same.then(|| Arc::clone(policy))
    }

    /// Weighs a call that the policy of its server has decided. Returns the answer of the candidate if it is another one.
    #[inline]
    pub(crate) fn weigh(
        &self,
        state: &State,
        request: &Request<'_>,
        decision: &Decision<'_>,
        now: Now,
        scratch: &mut Scratch,
    ) -> Option<CandidateAnswer> {
        if self.by_server.is_empty() {
            return None;
        }
        // Nothing that a panic could leave half-done is used again: the scratch is replaced, counts are atomics.
        let weighed = catch_unwind(AssertUnwindSafe(|| {
            self.weigh_call(state, request, decision, now, scratch)
        }));
        weighed.unwrap_or_else(|_| {
            *scratch = Scratch::default();
            None
        })
    }

    fn weigh_call(
        &self,
        state: &State,
        request: &Request<'_>,
        decision: &Decision<'_>,
        now: Now,
        scratch: &mut Scratch,
    ) -> Option<CandidateAnswer> {
        let identity = state.identity(request, decision);
        let Weighed { policy, tally } = self.by_server.get(identity.server)?;
        if decision.rule.starts_with('(') && !OF_POLICIES.contains(&&*decision.rule) {
            return None;
        }
        if !state.is_own_policy(identity.server, decision.policy_index?) {
            return None;
        }
        let labels = labels(state, request, decision);
        let request = Request {
            caller: Caller::Named {
                grant: identity.grant,
                labels: &labels,
            },
            server: identity.server,
            // Units of a call that was not made are settled by nobody.
            reserve: request.reserve.filter(|_| decision.outcome == Outcome::Allow),
            pins: None,
            unseen_member: None,
            ..*request
        };
        let snapshot = policy.engine.snapshot();
        let answer = policy.decide(&snapshot, &request, is_approved(decision), now, scratch);
        tally.count(decision.outcome, answer.outcome);
        if answer.outcome == decision.outcome {
            return None;
        }
        tally.note(Change {
            tool: request.tool,
            grant: identity.grant,
            live: (decision.outcome, &decision.rule),
            candidate: (answer.outcome, &answer.rule),
            decided_at_us: decision.decided_at_us,
        });
        Some(CandidateAnswer {
            outcome: answer.outcome,
            rule: answer.rule.clone().into_owned(),
            policy_version: policy.version.clone(),
        })
    }

    /// Gives back the units that candidates counted for a call.
    pub(crate) fn roll_back(&self, reservation: ReservationId, pep: PepId, now: Now) {
        for policy in self.policies() {
            policy.engine.roll_back(reservation, pep, now);
        }
    }

    /// Keeps the units that candidates counted for a call.
    pub(crate) fn commit(&self, reservation: ReservationId, pep: PepId, now: Now) {
        for policy in self.policies() {
            policy.engine.commit(reservation, pep, now);
        }
    }

    /// Reclaims idle counters, as [`Engine::sweep`] does.
    pub(crate) fn sweep(&self, now: Now, budget: usize) {
        for policy in self.policies() {
            policy.engine.sweep(now, budget);
            drop(policy.engine.take_retired());
        }
    }

    /// Each policy once.
    fn policies(&self) -> impl Iterator<Item = &CandidatePolicy> {
        let mut seen: SmallVec<[*const CandidatePolicy; 4]> = SmallVec::new();
        self.by_server.values().filter_map(move |weighed| {
            let pointer = Arc::as_ptr(&weighed.policy);
            let is_new = !seen.contains(&pointer);
            seen.push(pointer);
            is_new.then_some(&*weighed.policy)
        })
    }

    /// The decisions of each server by the outcome that was answered and by that of its candidate.
    pub(crate) fn counts(&self) -> Vec<CandidateCount> {
        let counts = self.by_server.iter().flat_map(|(server, weighed)| {
            weighed
                .tally
                .counts()
                .map(|(live, candidate, count)| CandidateCount {
                    server: server.clone(),
                    live: live.as_str(),
                    candidate: candidate.as_str(),
                    count,
                })
        });
        counts.collect()
    }

    /// The report of each server, by name.
    pub(crate) fn reports(&self) -> Vec<CandidateReport> {
        let mut reports: Vec<CandidateReport> = self
            .by_server
            .iter()
            .map(|(server, weighed)| {
                let CandidatePolicy { name, version, .. } = &*weighed.policy;
                weighed.tally.report(server, name, version)
            })
            .collect();
        reports.sort_by(|one, other| one.server.cmp(&other.server));
        reports
    }
}

impl CandidatePolicy {
    fn new(candidate: &Candidate, live: &Engine) -> Arc<Self> {
        Arc::new(Self {
            name: candidate.name().to_owned(),
            version: candidate.version().to_owned(),
            digest_hex: candidate.digest_hex().to_owned(),
            engine: live.beside(candidate.state().anew()),
        })
    }

    /// Decides a call and takes its units. What a person has approved is approved here as well, where the candidate asks.
    fn decide<'s: 'r, 'r>(
        &self,
        state: &'s State,
        request: &'r Request<'_>,
        is_approved: bool,
        now: Now,
        scratch: &mut Scratch,
    ) -> Decision<'s> {
        match self.engine.look(state, request, now, scratch, |_| ()) {
            ControlFlow::Break(decision) => decision,
            ControlFlow::Continue(looked) if is_approved => self.engine.settle(state, looked.approved(), now),
            ControlFlow::Continue(looked) => self.engine.settle(state, looked, now),
        }
    }
}

/// True if a person has approved the call.
fn is_approved(decision: &Decision<'_>) -> bool {
    decision.outcome == Outcome::Allow && !decision.approval.is_empty()
}

/// The labels by which the call was decided.
fn labels<'a>(
    state: &'a State,
    request: &Request<'a>,
    decision: &Decision<'_>,
) -> SmallVec<[(&'a str, &'a str); 8]> {
    let configured = decision.grant_index.and_then(|index| state.grants().get(index));
    match (configured, request.caller) {
        (Some(grant), _) => {
            let labels = grant.labels().iter();
            labels.map(|(name, value)| (&**name, &**value)).collect()
        }
        (None, Caller::Named { labels, .. } | Caller::Issued { labels, .. }) => {
            labels.iter().copied().collect()
        }
        (None, Caller::Token(_) | Caller::Contradictory) => SmallVec::new(),
    }
}
