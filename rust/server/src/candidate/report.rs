//! The results of a candidate so far.

use callgate_core::Outcome;

/// The results of the candidate of one server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CandidateReport {
    /// The server beside whose policy it is weighed.
    pub server: String,
    /// Name of the candidate, which ends with `#candidate`.
    pub policy: String,
    /// First 12 hex digits of the SHA-256 of the canonical document.
    pub version: String,
    /// Unix microseconds since when it counts.
    pub since_us: u64,
    /// Decisions by their outcome and by that of the candidate; only those that were met.
    pub counts: Vec<(Outcome, Outcome, u64)>,
    /// The calls that the candidate decides otherwise, the most frequent kind first.
    pub changes: Vec<CandidateChange>,
    /// Such calls of further kinds.
    pub other_changes: u64,
}

/// Calls of one tool that change alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CandidateChange {
    /// Name of the tool.
    pub tool: String,
    /// The outcome that was answered, with its rule.
    pub live: (Outcome, String),
    /// The outcome of the candidate, with its rule.
    pub candidate: (Outcome, String),
    /// Number of these calls.
    pub count: u64,
    /// Some of them.
    pub examples: Vec<CandidateExample>,
}

/// One call, without its arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CandidateExample {
    /// Unix microseconds of the decision.
    pub decided_at_us: u64,
    /// Id of the grant.
    pub grant: String,
}
