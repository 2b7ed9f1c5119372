//! `Metrics`: the data plane's metrics as plain Python values.

use callgate_server::{
    MetricSample, MetricValues, MetricsSnapshot, UpstreamNumbers, duration_bounds_ns,
    store_duration_bounds_ns,
};
use pyo3::prelude::*;

/// One metric of the metrics page with its values at one moment.
#[pyclass(frozen, get_all, module = "callgate._callgate")]
pub(crate) struct MetricFamily {
    /// The name, without a suffix such as ``_total``, which follows from the kind.
    name: &'static str,
    /// The help text.
    help: &'static str,
    /// The kind; a histogram has no `samples`, and the other kinds have no `buckets`.
    kind: &'static str,
    /// The names of the labels.
    labels: Vec<&'static str>,
    /// The values of the labels, and the number.
    samples: Vec<MetricSample>,
    /// Upper bound of each bucket in nanoseconds, None for the last one, and its number, not cumulative.
    buckets: Vec<(Option<u64>, u64)>,
    /// The sum of all durations.
    sum_ns: u64,
}

impl From<callgate_server::MetricFamily> for MetricFamily {
    fn from(family: callgate_server::MetricFamily) -> Self {
        let (kind, samples, buckets, sum_ns) = match family.values {
            MetricValues::Counter(samples) => ("counter", samples, Vec::new(), 0),
            MetricValues::Gauge(samples) => ("gauge", samples, Vec::new(), 0),
            MetricValues::Info(samples) => ("info", samples, Vec::new(), 0),
            MetricValues::Histogram { bounds_ns, durations } => {
                let bounds = bounds_ns.iter().copied().map(Some).chain([None]);
                let buckets = bounds.zip(durations.counts).collect();
                ("histogram", Vec::new(), buckets, durations.sum_ns)
            }
        };
        Self {
            name: family.name,
            help: family.help,
            kind,
            labels: family.labels.to_vec(),
            samples,
            buckets,
            sum_ns,
        }
    }
}

/// The data plane's numbers at one moment. Counts never decrease while the server runs, even across reloads.
#[pyclass(frozen, get_all, module = "callgate._callgate")]
pub(crate) struct Metrics {
    /// Server, tool, outcome, count. A tool that the policy does not name exactly is ``(other)``.
    decisions: Vec<(String, String, &'static str, u64)>,
    /// Server, rule, count; every outcome other than `allow`.
    denials: Vec<(String, String, u64)>,
    /// Upper bounds of the duration buckets in nanoseconds; the last bucket has none.
    duration_bounds_ns: Vec<u64>,
    /// Decisions per bucket, not cumulative.
    duration_counts: Vec<u64>,
    /// The sum of all durations.
    duration_sum_ns: u64,
    /// Protocol (``grpc``, ``http``, ``mcp``), status code, count.
    requests: Vec<(&'static str, &'static str, u64)>,
    /// Domain, outcome, count: answers of the rate limit service.
    rate_limits: Vec<(String, &'static str, u64)>,
    /// Server, policy, version of each policy in force.
    policies: Vec<(String, String, String)>,
    /// The number of live counters.
    counters: usize,
    /// The highest number of live counters.
    counter_capacity: usize,
    /// Decisions with an internal failure, answered with ``(internal error)``.
    internal_errors: u64,
    /// The number of open connections.
    connections: usize,
    /// TLS handshakes that failed.
    tls_handshakes_failed: u64,
    /// Connections closed because of too many frames, by kind: ``resets`` or ``control_frames``.
    http2_floods: Vec<(&'static str, u64)>,
    /// Events dropped because they were not drained.
    events_dropped: u64,
    /// Kind (``all``, ``server``, ``grant``, ``tool``), number of freezes in force.
    freezes: Vec<(&'static str, usize)>,
    /// True if the file of freezes cannot be read, so that those from before stay in force.
    are_freezes_refused: bool,
    /// Decisions whose line could not be written to the decision log.
    audit_dropped: u64,
    /// Store (``file``), operation (``flush``, ``grow``), failures; empty for counters in memory.
    store_errors: Vec<(&'static str, &'static str, u64)>,
    /// Upper bounds of the buckets of flushes in nanoseconds; the last bucket has none.
    store_duration_bounds_ns: Vec<u64>,
    /// Flushes per bucket, not cumulative.
    store_duration_counts: Vec<u64>,
    /// The sum of the durations of all flushes.
    store_duration_sum_ns: u64,
    /// Server behind the gateway, number of its open requests.
    upstream_requests: Vec<(String, usize)>,
    /// Server, kind, count of failures to give a reply that can be forwarded; includes kinds with count 0.
    upstream_failures: Vec<(String, &'static str, u64)>,
    /// Server, connection (``new``, ``reused``), number of requests sent to it on such a connection.
    upstream_sent: Vec<(String, &'static str, u64)>,
    /// Server, number of requests sent again because no part of them had been written.
    upstream_retries: Vec<(String, u64)>,
    /// Server, state (``pinned``, ``changed``, ``new``), number of its tools in that state.
    tools: Vec<(String, &'static str, usize)>,
    /// Server, state (``changed``, ``new``), number of times that a list has put a tool into that state.
    tools_changed: Vec<(String, &'static str, u64)>,
}

impl From<MetricsSnapshot> for Metrics {
    fn from(snapshot: MetricsSnapshot) -> Self {
        let decisions = snapshot
            .decisions
            .into_iter()
            .map(|one| (one.server, one.tool, one.outcome, one.count));
        let denials = snapshot
            .denials
            .into_iter()
            .map(|one| (one.server, one.rule, one.count));
        let requests = snapshot
            .requests
            .into_iter()
            .map(|one| (one.protocol, one.code, one.count));
        let rate_limits = snapshot
            .rate_limits
            .into_iter()
            .map(|one| (one.domain, one.outcome, one.count));
        let policies = snapshot
            .policies
            .into_iter()
            .map(|one| (one.server, one.policy, one.version));
        let upstreams = snapshot.upstreams;
        let open = upstreams
            .iter()
            .map(|one| (one.server.clone(), one.open_requests));
        let retries = upstreams.iter().map(|one| (one.server.clone(), one.retries));
        Self {
            decisions: decisions.collect(),
            denials: denials.collect(),
            duration_bounds_ns: duration_bounds_ns().to_vec(),
            duration_counts: snapshot.duration.counts,
            duration_sum_ns: snapshot.duration.sum_ns,
            requests: requests.collect(),
            rate_limits: rate_limits.collect(),
            policies: policies.collect(),
            counters: snapshot.counters,
            counter_capacity: snapshot.counter_capacity,
            internal_errors: snapshot.internal_errors,
            connections: snapshot.connections,
            tls_handshakes_failed: snapshot.tls_handshakes_failed,
            http2_floods: snapshot.http2_floods,
            events_dropped: snapshot.events_dropped,
            freezes: snapshot.freezes,
            are_freezes_refused: snapshot.are_freezes_refused,
            audit_dropped: snapshot.audit_dropped,
            store_errors: snapshot
                .store_errors
                .into_iter()
                .map(|one| (one.store, one.operation, one.count))
                .collect(),
            store_duration_bounds_ns: store_duration_bounds_ns().to_vec(),
            store_duration_counts: snapshot.store_duration.counts,
            store_duration_sum_ns: snapshot.store_duration.sum_ns,
            upstream_requests: open.collect(),
            upstream_failures: by_server(&upstreams, |one| &one.failures),
            upstream_sent: by_server(&upstreams, |one| &one.sent),
            upstream_retries: retries.collect(),
            tools: by_server(&upstreams, |one| &one.tools),
            tools_changed: by_server(&upstreams, |one| &one.tools_changed),
        }
    }
}

/// A metric of each server, by the server's name.
fn by_server<N: Copy>(
    upstreams: &[UpstreamNumbers],
    numbers: impl Fn(&UpstreamNumbers) -> &[(&'static str, N)],
) -> Vec<(String, &'static str, N)> {
    let named = upstreams.iter().flat_map(|one| {
        let named = numbers(one).iter();
        named.map(|&(kind, number)| (one.server.clone(), kind, number))
    });
    named.collect()
}
