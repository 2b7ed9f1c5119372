//! The numbers of the metrics page, counted without locks on the way of a call.

mod families;
mod histogram;
mod labels;
mod pace;
mod parts;
mod quotas;
mod rates;
mod requests;
mod store;
mod upstreams;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use callgate_core::rate::{RateAnswer, RateError};
use callgate_core::{Decision, Outcome, State};
use http::StatusCode;
use tonic::Code;

pub use families::{MetricFamily, MetricSample, MetricValues};
pub use histogram::{DurationHistogram, duration_bounds_ns};
pub(crate) use pace::Pace;
pub(crate) use quotas::QuotaAssignment;
pub use rates::RateLimitCount;
pub use requests::RequestCount;
pub use store::{StoreErrorCount, store_duration_bounds_ns};
pub use upstreams::UpstreamNumbers;

use crate::flood::Flood;

use histogram::Histogram;
use labels::{Registry, Table, count};
use quotas::QuotaMetrics;
use rates::{Domains, RateMetrics};
use requests::Requests;
use store::StoreMetrics;

/// Rule of calls that are no well-formed requests (`docs/policy.md` section 2).
pub(crate) const INVALID_REQUEST: &str = "(invalid request)";
/// Rule of decisions that failed inside (`docs/policy.md` section 5).
pub(crate) const INTERNAL_ERROR: &str = "(internal error)";

/// Decisions with one set of labels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecisionCount {
    /// A configured server, `(any)` where one policy serves every server, `(unknown)` for other servers and for requests
    /// that name none.
    pub server: String,
    /// A tool that the policy names, the pattern by which it names the tool, or `(other)`.
    pub tool: String,
    /// `allow`, `deny`, `rate_limited` or `approval_required`.
    pub outcome: &'static str,
    /// The number.
    pub count: u64,
}

/// Decisions other than `allow`, with one set of labels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DenialCount {
    /// Name of the server, as in [`DecisionCount::server`].
    pub server: String,
    /// The rule pointer.
    pub rule: String,
    /// The number.
    pub count: u64,
}

/// Decisions of a server with the outcome that was answered and that of its candidate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CandidateCount {
    /// Name of the server.
    pub server: String,
    /// The outcome that was answered.
    pub live: &'static str,
    /// The outcome of the candidate.
    pub candidate: &'static str,
    /// The number.
    pub count: u64,
}

/// Numbers about a signed log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignedLogNumbers {
    /// The entries under the newest checkpoint that is on the disk.
    pub entries: u64,
    /// True if somebody else writes its stream or has continued it otherwise.
    pub is_contested: bool,
    /// The Unix time, in seconds, from which on the key signs nothing more; `None` for a key without an end.
    pub key_expires_unix_s: Option<u64>,
}

/// A policy that is in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyInfo {
    /// Name of the server, as in [`DecisionCount::server`].
    pub server: String,
    /// Its name.
    pub policy: String,
    /// First 12 hex digits of the SHA-256 of the canonical document.
    pub version: String,
}

/// Plain numbers. Counts only grow while the server lives, also across reloads.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MetricsSnapshot {
    /// Decisions by server, tool and outcome; only those that were met.
    pub decisions: Vec<DecisionCount>,
    /// Every outcome other than `allow`, by server and rule.
    pub denials: Vec<DenialCount>,
    /// Decisions at servers with a candidate; only those that were met.
    pub candidates: Vec<CandidateCount>,
    /// The time that decisions took.
    pub duration: DurationHistogram,
    /// Requests by protocol and status; only those that were met.
    pub requests: Vec<RequestCount>,
    /// Answers of the rate limit service by domain and outcome; only those that were met.
    pub rate_limits: Vec<RateLimitCount>,
    /// Assignments of the quota service, by kind.
    pub quota_assignments: Vec<(&'static str, u64)>,
    /// Tokens of the quota service, by what became of them.
    pub quota_tokens: Vec<(&'static str, u64)>,
    /// Policies in force now.
    pub policies: Vec<PolicyInfo>,
    /// Counters alive.
    pub counters: usize,
    /// Counters that may be alive at once.
    pub counter_capacity: usize,
    /// Decisions that failed inside and were answered with `(internal error)`.
    pub internal_errors: u64,
    /// Connections open now.
    pub connections: usize,
    /// TLS handshakes that failed.
    pub tls_handshakes_failed: u64,
    /// Connections that were ended because their clients sent too many frames, by kind: `resets`, `control_frames`.
    pub http2_floods: Vec<(&'static str, u64)>,
    /// Events dropped because nobody drained them.
    pub events_dropped: u64,
    /// Freezes in force, by kind: `all`, `server`, `grant`, `tool`.
    pub freezes: Vec<(&'static str, usize)>,
    /// True if the file of freezes cannot be read, and those from before are in force.
    pub are_freezes_refused: bool,
    /// Decisions whose line could not be written to the decision log.
    pub audit_dropped: u64,
    /// Of the decision log, if it is signed.
    pub signed_log: Option<SignedLogNumbers>,
    /// Failures of the file of counters, by operation; empty where they are in memory.
    pub store_errors: Vec<StoreErrorCount>,
    /// The time of writing the file to disk; bounds are [`store_duration_bounds_ns`].
    pub store_duration: DurationHistogram,
    /// Servers behind the gateway, by name.
    pub upstreams: Vec<UpstreamNumbers>,
}

/// The fate of a denial's log line.
pub(crate) enum Logged {
    /// To be logged, with this `server` label.
    Yes(String),
    /// To be counted, and not logged.
    No,
}

/// The numbers that calls change on their way.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    registry: Registry,
    duration: Histogram,
    requests: Requests,
    rates: RateMetrics,
    quotas: QuotaMetrics,
    invalid_requests: AtomicU64,
    internal_errors: AtomicU64,
    tls_handshakes_failed: AtomicU64,
    http2_floods: [AtomicU64; Flood::ALL.len()],
    pub(crate) store: StoreMetrics,
}

/// The cells of one compiled state, by its indexes.
#[derive(Debug)]
pub(crate) struct StateCells {
    labels: Table,
    domains: Domains,
}

impl Metrics {
    /// The cells of a state: those whose labels are known go on counting.
    pub(crate) fn cells(&self, state: &State) -> StateCells {
        StateCells {
            labels: self.registry.table(state),
            domains: self.rates.domains(state),
        }
    }

    /// Counts one decision by the state of these cells, and says whether it is to be logged. `asked` says which server was
    /// meant; empty for none.
    pub(crate) fn decided<'s>(
        &self,
        cells: &StateCells,
        decision: &Decision<'_>,
        asked: impl FnOnce() -> &'s str,
        duration: Duration,
        second: u64,
    ) -> Logged {
        self.duration.observe(duration);
        let server = cells.labels.server(decision, asked);
        server.tool(decision).count(decision.outcome);
        if decision.outcome == Outcome::Allow {
            return Logged::No;
        }
        match decision.rule.as_ref() {
            INVALID_REQUEST => count(&self.invalid_requests),
            INTERNAL_ERROR => count(&self.internal_errors),
            _ => {}
        }
        let rule = server.rule(&decision.rule);
        count(&rule.count);
        if rule.pace.admits(second) {
            Logged::Yes(server.server.clone())
        } else {
            Logged::No
        }
    }

    pub(crate) fn grpc(&self, code: Code) {
        self.requests.grpc(code);
    }

    pub(crate) fn http(&self, status: StatusCode) {
        self.requests.http(status);
    }

    pub(crate) fn mcp(&self, status: StatusCode) {
        self.requests.mcp(status);
    }

    /// Counts one answer of the rate limit service.
    pub(crate) fn rate_limited(&self, cells: &StateCells, answer: &RateAnswer<'_>) {
        cells.domains.count(answer);
        if answer.error == Some(RateError::Internal) {
            count(&self.internal_errors);
        }
    }

    /// Counts a request to it about a domain that nobody configured.
    /// Counts an assignment of the quota service.
    pub(crate) fn quota_assigned(&self, assignment: QuotaAssignment) {
        self.quotas.assigned(assignment);
    }

    /// Counts tokens of the quota service.
    pub(crate) fn quota_tokens(&self, leased: u64, used: u64, returned: u64, unexpected: u64) {
        self.quotas.tokens([leased, used, returned, unexpected]);
    }

    pub(crate) fn rate_limit_unknown(&self) {
        self.rates.unknown_domain();
    }

    pub(crate) fn tls_handshake_failed(&self) {
        count(&self.tls_handshakes_failed);
    }

    pub(crate) fn http2_flooded(&self, flood: Flood) {
        for (known, cell) in Flood::ALL.into_iter().zip(&self.http2_floods) {
            if known == flood {
                count(cell);
            }
        }
    }

    /// Invalid requests so far.
    pub(crate) fn invalid_requests(&self) -> u64 {
        // Relaxed: a count that publishes nothing else.
        self.invalid_requests.load(Ordering::Relaxed)
    }

    /// Tells of every rule whose denials were too many to be logged, since this was last asked.
    pub(crate) fn take_suppressed(&self, mut tell: impl FnMut(&str, &str, u64)) {
        self.registry.each_rule(|server, rule, cell| {
            let suppressed = cell.pace.take_suppressed();
            if suppressed > 0 {
                tell(server, rule, suppressed);
            }
        });
    }

    /// The numbers of this crate; the engine's and the server's are filled in by who knows them.
    pub(crate) fn snapshot(&self, state: &State) -> MetricsSnapshot {
        let mut snapshot = MetricsSnapshot {
            duration: self.duration.snapshot(),
            requests: self.requests.snapshot(),
            rate_limits: self.rates.snapshot(),
            quota_assignments: self.quotas.assignments(),
            quota_tokens: self.quotas.events(),
            // Relaxed, here and below: counts that publish nothing else.
            internal_errors: self.internal_errors.load(Ordering::Relaxed),
            tls_handshakes_failed: self.tls_handshakes_failed.load(Ordering::Relaxed),
            http2_floods: Flood::ALL
                .into_iter()
                .zip(&self.http2_floods)
                .map(|(flood, cell)| (flood.as_str(), cell.load(Ordering::Relaxed)))
                .collect(),
            ..MetricsSnapshot::default()
        };
        self.registry.each_tool(|server, tool, cell| {
            for outcome in Outcome::ALL {
                let count = cell.decisions(outcome);
                if count > 0 {
                    let (server, tool) = (server.to_owned(), tool.to_owned());
                    snapshot.decisions.push(DecisionCount {
                        server,
                        tool,
                        outcome: outcome.as_str(),
                        count,
                    });
                }
            }
        });
        self.registry.each_rule(|server, rule, cell| {
            let count = cell.count.load(Ordering::Relaxed);
            let (server, rule) = (server.to_owned(), rule.to_owned());
            snapshot.denials.push(DenialCount { server, rule, count });
        });
        snapshot.policies = labels::policies(state);
        snapshot
    }
}
