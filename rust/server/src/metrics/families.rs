//! The metrics page: each metric of the data plane with its name, its help text, its labels and its values.

use super::{
    DurationHistogram, MetricsSnapshot, UpstreamNumbers, duration_bounds_ns, store_duration_bounds_ns,
};

/// One metric with its values at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetricFamily {
    /// The name, without a suffix such as `_total`, which follows from the kind.
    pub name: &'static str,
    /// The help text.
    pub help: &'static str,
    /// The names of the labels.
    pub labels: &'static [&'static str],
    /// The values, of the metric's kind.
    pub values: MetricValues,
}

/// The values of one metric; each sample has the values of all labels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MetricValues {
    /// Counts that never decrease.
    Counter(Vec<MetricSample>),
    /// Numbers of now.
    Gauge(Vec<MetricSample>),
    /// Labels alone; the number of each sample is 1.
    Info(Vec<MetricSample>),
    /// Durations in buckets.
    Histogram {
        /// Upper bounds of the buckets in nanoseconds, each inclusive; the last bucket has none.
        bounds_ns: &'static [u64],
        /// The numbers of the buckets, and the sum of the durations.
        durations: DurationHistogram,
    },
}

/// The values of the labels, and the number.
pub type MetricSample = (Vec<String>, u64);

impl MetricsSnapshot {
    /// Every metric, in the order of the page.
    #[expect(clippy::too_many_lines, reason = "the list of all metrics is read as one")]
    pub fn families(&self) -> Vec<MetricFamily> {
        let upstreams = &self.upstreams;
        vec![
            counter(
                "callgate_decisions",
                "Decisions.",
                &["server", "tool", "outcome"],
                self.decisions
                    .iter()
                    .map(|one| ([&*one.server, &*one.tool, one.outcome], one.count)),
            ),
            counter(
                "callgate_denials",
                "Decisions other than allow.",
                &["server", "rule"],
                self.denials
                    .iter()
                    .map(|one| ([&*one.server, &*one.rule], one.count)),
            ),
            counter(
                "callgate_candidate_decisions",
                "Decisions, by the outcome that was answered and by that of the server's candidate.",
                &["server", "live", "candidate"],
                self.candidates
                    .iter()
                    .map(|one| ([&*one.server, one.live, one.candidate], one.count)),
            ),
            counter(
                "callgate_requests",
                "Requests.",
                &["protocol", "code"],
                self.requests
                    .iter()
                    .map(|one| ([one.protocol, one.code], one.count)),
            ),
            counter(
                "callgate_rate_limits",
                "Answers of the rate limit service.",
                &["domain", "outcome"],
                self.rate_limits
                    .iter()
                    .map(|one| ([&*one.domain, one.outcome], one.count)),
            ),
            counter(
                "callgate_quota_assignments",
                "Assignments of the quota service.",
                &["assignment"],
                self.quota_assignments
                    .iter()
                    .map(|&(kind, count)| ([kind], count)),
            ),
            counter(
                "callgate_quota_tokens",
                "Tokens of the quota service.",
                &["event"],
                self.quota_tokens.iter().map(|&(event, count)| ([event], count)),
            ),
            histogram(
                "callgate_decision_duration_seconds",
                "How long decisions took, without the network.",
                duration_bounds_ns(),
                &self.duration,
            ),
            gauge(
                "callgate_counters",
                "Counters alive.",
                &[],
                one(number(self.counters)),
            ),
            gauge(
                "callgate_counter_capacity",
                "Counters that may be alive at once.",
                &[],
                one(number(self.counter_capacity)),
            ),
            gauge(
                "callgate_connections",
                "Connections open now.",
                &[],
                one(number(self.connections)),
            ),
            counter(
                "callgate_internal_errors",
                "Decisions answered with `(internal error)`.",
                &[],
                one(self.internal_errors),
            ),
            counter(
                "callgate_tls_handshakes_failed",
                "TLS handshakes that failed.",
                &[],
                one(self.tls_handshakes_failed),
            ),
            counter(
                "callgate_log_events_dropped",
                "Log events dropped because the queue was full.",
                &[],
                one(self.events_dropped),
            ),
            counter(
                "callgate_audit_dropped",
                "Decisions whose line the decision log could not take.",
                &[],
                one(self.audit_dropped),
            ),
            gauge(
                "callgate_audit_signed_entries",
                "Entries of the signed decision log under its newest checkpoint.",
                &[],
                some(self.signed_log.map(|log| log.entries)),
            ),
            gauge(
                "callgate_audit_contested",
                "1 if somebody else writes the stream of the signed decision log or has continued it otherwise, else 0.",
                &[],
                some(self.signed_log.map(|log| u64::from(log.is_contested))),
            ),
            gauge(
                "callgate_audit_key_expires_timestamp_seconds",
                "When the key of the signed decision log expires.",
                &[],
                some(self.signed_log.and_then(|log| log.key_expires_unix_s)),
            ),
            gauge(
                "callgate_freezes",
                "Freezes in force.",
                &["scope"],
                self.freezes
                    .iter()
                    .map(|&(scope, count)| ([scope], number(count))),
            ),
            gauge(
                "callgate_freezes_refused",
                "1 if the file of freezes cannot be read and those from before stay in force, else 0.",
                &[],
                one(u64::from(self.are_freezes_refused)),
            ),
            counter(
                "callgate_http2_floods",
                "Connections ended because of too many frames of a kind.",
                &["frames"],
                self.http2_floods.iter().map(|&(frames, count)| ([frames], count)),
            ),
            counter(
                "callgate_store_errors",
                "Failures of a store.",
                &["store", "operation"],
                self.store_errors
                    .iter()
                    .map(|one| ([one.store, one.operation], one.count)),
            ),
            histogram(
                "callgate_store_duration_seconds",
                "How long a store took; for counters in a file, to be written to disk.",
                store_duration_bounds_ns(),
                &self.store_duration,
            ),
            gauge(
                "callgate_upstream_requests",
                "Requests open at servers behind the gateway.",
                &["server"],
                upstreams
                    .iter()
                    .map(|one| ([&*one.server], number(one.open_requests))),
            ),
            counter(
                "callgate_upstream_failures",
                "Requests to which a server behind the gateway gave no reply that could be passed on.",
                &["server", "kind"],
                by_server(upstreams, |one| &one.failures),
            ),
            counter(
                "callgate_upstream_sent",
                "Requests sent to a server behind the gateway, by whether their connection was new or reused.",
                &["server", "connection"],
                by_server(upstreams, |one| &one.sent),
            ),
            counter(
                "callgate_upstream_retries",
                "Requests sent once more on a new connection, as nothing of them had been written.",
                &["server"],
                upstreams.iter().map(|one| ([&*one.server], one.retries)),
            ),
            gauge(
                "callgate_tools",
                "Tools, by what pinning says of them.",
                &["server", "state"],
                by_server(upstreams, |one| &one.tools).map(|(labels, tools)| (labels, number(tools))),
            ),
            counter(
                "callgate_tools_changed",
                "Tools that a list has made changed or new.",
                &["server", "state"],
                by_server(upstreams, |one| &one.tools_changed),
            ),
            MetricFamily {
                name: "callgate_policy",
                help: "Policies in force.",
                labels: &["server", "policy", "version"],
                values: MetricValues::Info(samples(
                    self.policies
                        .iter()
                        .map(|one| ([&*one.server, &*one.policy, &*one.version], 1)),
                )),
            },
        ]
    }
}

fn counter<'a, const N: usize>(
    name: &'static str,
    help: &'static str,
    labels: &'static [&'static str; N],
    values: impl Iterator<Item = ([&'a str; N], u64)>,
) -> MetricFamily {
    MetricFamily {
        name,
        help,
        labels,
        values: MetricValues::Counter(samples(values)),
    }
}

fn gauge<'a, const N: usize>(
    name: &'static str,
    help: &'static str,
    labels: &'static [&'static str; N],
    values: impl Iterator<Item = ([&'a str; N], u64)>,
) -> MetricFamily {
    MetricFamily {
        name,
        help,
        labels,
        values: MetricValues::Gauge(samples(values)),
    }
}

fn histogram(
    name: &'static str,
    help: &'static str,
    bounds_ns: &'static [u64],
    durations: &DurationHistogram,
) -> MetricFamily {
    MetricFamily {
        name,
        help,
        labels: &[],
        values: MetricValues::Histogram {
            bounds_ns,
            durations: durations.clone(),
        },
    }
}

fn samples<'a, const N: usize>(values: impl Iterator<Item = ([&'a str; N], u64)>) -> Vec<MetricSample> {
    values
        .map(|(labels, number)| (labels.map(str::to_owned).to_vec(), number))
        .collect()
}

/// Numbers of each server behind the gateway, with the server and the name of the number as labels.
fn by_server<'a, N: Copy + 'a>(
    upstreams: &'a [UpstreamNumbers],
    numbers: impl Fn(&UpstreamNumbers) -> &[(&'static str, N)],
) -> impl Iterator<Item = ([&'a str; 2], N)> {
    upstreams.iter().flat_map(move |one| {
        let numbers = numbers(one).iter();
        numbers.map(|&(name, number)| ([&*one.server, name], number))
    })
}

/// The only sample of a metric without labels.
fn one(value: u64) -> impl Iterator<Item = ([&'static str; 0], u64)> {
    std::iter::once(([], value))
}

fn some(value: Option<u64>) -> impl Iterator<Item = ([&'static str; 0], u64)> {
    value.into_iter().map(|value| ([], value))
}

fn number(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}
