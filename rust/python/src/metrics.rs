//! `Metrics`: the data plane's metrics as plain Python values.

use callgate_server::{
    MetricSample, MetricValues, MetricsSnapshot, UpstreamNumbers, duration_bounds_ns,
    store_duration_bounds_ns,
};
use pyo3::prelude::*;

/// One metric of the page with its values.
#[pyclass(frozen, get_all, module = "callgate._callgate")]
pub(crate) struct MetricFamily {
    name: &'static str,
    help: &'static str,
    kind: &'static str,
    labels: Vec<&'static str>,
    samples: Vec<MetricSample>,
    buckets: Vec<(Option<u64>, u64)>,
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

/// Numbers of one moment.
#[pyclass(frozen, get_all, module = "callgate._callgate")]
pub(crate) struct Metrics {
    decisions: Vec<(String, String, &'static str, u64)>,
    denials: Vec<(String, String, u64)>,
    duration_bounds_ns: Vec<u64>,
    duration_counts: Vec<u64>,
    duration_sum_ns: u64,
    requests: Vec<(&'static str, &'static str, u64)>,
    rate_limits: Vec<(String, &'static str, u64)>,
    policies: Vec<(String, String, String)>,
    counters: usize,
    counter_capacity: usize,
    internal_errors: u64,
    connections: usize,
    tls_handshakes_failed: u64,
    http2_floods: Vec<(&'static str, u64)>,
    events_dropped: u64,
    audit_dropped: u64,
    store_errors: Vec<(&'static str, &'static str, u64)>,
    store_duration_bounds_ns: Vec<u64>,
    store_duration_counts: Vec<u64>,
    store_duration_sum_ns: u64,
    upstream_requests: Vec<(String, usize)>,
    upstream_failures: Vec<(String, &'static str, u64)>,
    upstream_sent: Vec<(String, &'static str, u64)>,
    upstream_retries: Vec<(String, u64)>,
    tools: Vec<(String, &'static str, usize)>,
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
