"""The panels of the dashboard, which `dashboard.py` writes in Grafana's form.

In an expression, `@` stands for the matchers of the targets that are chosen above the panels.
"""

from __future__ import annotations

from dataclasses import dataclass

SERVER = 'server=~"$server"'


@dataclass(frozen=True)
class Panel:
    """One panel: a diagram over time, unless `kind` says otherwise."""

    title: str
    description: str
    unit: str
    queries: dict[str, str]
    """Each expression by the legend of its series."""
    kind: str = "timeseries"
    width: int = 8
    height: int = 8
    is_stacked: bool = False
    highest: float | None = None
    """Upper end of the axis; by default that of the values."""
    is_alarming: bool = False
    """True if every value but 0 is red."""


def stat(title: str, description: str, unit: str, query: str) -> Panel:
    """A single number of now."""
    return Panel(title, description, unit, {title: query}, kind="stat", width=4, height=4)


def by_rate(metric: str, *labels: str, matchers: str = "@") -> str:
    """The rate of a counter by labels."""
    return f"sum by ({', '.join(labels)}) (rate({metric}{{{matchers}}}[$__rate_interval]))"


def by_server(metric: str, *labels: str) -> str:
    """The rate of a counter by server and labels, of the servers that are chosen."""
    return by_rate(metric, "server", *labels, matchers=f"@,{SERVER}")


def quantiles(metric: str, *labels: str, of: tuple[float, ...] = (0.5, 0.9, 0.99, 0.999)) -> dict[str, str]:
    """Quantiles of a histogram."""
    buckets = by_rate(f"{metric}_bucket", "le", *labels)
    names = "".join(f" {{{{{label}}}}}" for label in labels)
    return {f"p{100 * one:g}{names}": f"histogram_quantile({one:g}, {buckets})" for one in of}


NOW = [
    stat(
        "Ready replicas",
        "Callgates whose `/readyz` answers 200.",
        "none",
        "sum(callgate_ready{@})",
    ),
    stat(
        "Replicas",
        "Callgates that answer Prometheus.",
        "none",
        "count(callgate_build_info{@})",
    ),
    stat(
        "Decisions",
        "Decisions a second, over all replicas.",
        "reqps",
        "sum(rate(callgate_decisions_total{@}[$__rate_interval]))",
    ),
    stat(
        "Refused",
        "Share of the decisions that are not `allow`.",
        "percentunit",
        'sum(rate(callgate_decisions_total{@,outcome!="allow"}[$__rate_interval]))'
        " / sum(rate(callgate_decisions_total{@}[$__rate_interval]))",
    ),
    stat(
        "Decision, p99",
        "99 of 100 decisions take no longer, without the network and without waits for people or Redis.",
        "s",
        f"histogram_quantile(0.99, {by_rate('callgate_decision_duration_seconds_bucket', 'le')})",
    ),
    stat(
        "Waiting for people",
        "Approvals that nobody has answered yet.",
        "none",
        'max(callgate_approvals{@,state="pending"})',
    ),
]

DECISIONS = [
    Panel(
        "Decisions by outcome",
        "Decisions a second. `approval_required` waits for people; `rate_limited` is a limit that is used up.",
        "reqps",
        {"{{outcome}}": by_rate("callgate_decisions_total", "outcome", matchers=f"@,{SERVER}")},
        is_stacked=True,
    ),
    Panel(
        "Busiest tools",
        "The ten tools with the most decisions. A tool that a policy names by a pattern stands under the pattern.",
        "reqps",
        {"{{server}} {{tool}}": f"topk(10, {by_server('callgate_decisions_total', 'tool')})"},
    ),
    Panel(
        "Requests by protocol and status",
        "Requests to the decision port. A stream of gRPC counts once, when it ends.",
        "reqps",
        {"{{protocol}} {{code}}": by_rate("callgate_requests_total", "protocol", "code")},
    ),
]

DENIALS = [
    Panel(
        "Refused calls by rule",
        "The ten rules that refuse the most calls. Rules in parentheses are callgate's own; the others are places in"
        " the policy.",
        "reqps",
        {"{{server}} {{rule}}": f"topk(10, {by_server('callgate_denials_total', 'rule')})"},
        width=12,
    ),
    Panel(
        "Refused share by server",
        "Share of the decisions of each server that are not `allow`.",
        "percentunit",
        {
            "{{server}}": by_rate("callgate_decisions_total", "server", matchers=f'@,{SERVER},outcome!="allow"')
            + " / "
            + by_server("callgate_decisions_total")
        },
        width=12,
        highest=1,
    ),
    Panel(
        "Decisions of candidates",
        "Decisions a second at servers with a candidate, by the answer that was given and by the candidate's.",
        "reqps",
        {"{{server}} {{live}} -> {{candidate}}": by_server("callgate_candidate_decisions_total", "live", "candidate")},
        width=24,
    ),
]

LATENCY = [
    Panel(
        "Decision, quantiles",
        "The time of the decision alone: without the network, and without waits for people or Redis.",
        "s",
        quantiles("callgate_decision_duration_seconds"),
        width=12,
    ),
    Panel(
        "Decision, distribution",
        "How many decisions took how long.",
        "s",
        {"{{le}}": by_rate("callgate_decision_duration_seconds_bucket", "le")},
        kind="heatmap",
        width=12,
    ),
]

COUNTERS = [
    Panel(
        "Counters",
        "Counters alive, and how many may be. At the cap, calls that need a new one are denied, `(counter capacity)`.",
        "none",
        {"alive {{instance}}": "callgate_counters{@}", "cap {{instance}}": "callgate_counter_capacity{@}"},
    ),
    Panel(
        "Rate-limited calls by server",
        "Calls a second for which a limit was used up.",
        "reqps",
        {"{{server}}": by_rate("callgate_decisions_total", "server", matchers=f'@,{SERVER},outcome="rate_limited"')},
    ),
    Panel(
        "Rate limit service",
        "Answers to Envoy's rate limit filter, by domain and outcome.",
        "reqps",
        {"{{domain}} {{outcome}}": by_rate("callgate_rate_limits_total", "domain", "outcome")},
    ),
    Panel(
        "Quotas of Envoys",
        "What Envoys were told of their buckets: `deny_all` is a tool that gets no quota, see the log.",
        "ops",
        {"{{assignment}}": by_rate("callgate_quota_assignments_total", "assignment")},
        width=12,
    ),
    Panel(
        "Tokens of Envoys",
        "Tokens lent to Envoys, and what became of them: `unexpected` are calls that were admitted without one.",
        "ops",
        {"{{event}}": by_rate("callgate_quota_tokens_total", "event")},
        width=12,
    ),
    Panel(
        "Stores, p99",
        "Time of 99 of 100 operations of each store: `file` is the file of counters, the others hold approvals.",
        "s",
        quantiles("callgate_store_duration_seconds", "store", "operation", of=(0.99,)),
        width=12,
    ),
    Panel(
        "Failures of stores",
        "Failed operations: `file` is the file of counters, the others hold approvals.",
        "ops",
        {"{{store}} {{operation}}": by_rate("callgate_store_errors_total", "store", "operation")},
        width=12,
        is_alarming=True,
    ),
]

SHARED = [
    Panel(
        "Shared store in use",
        "1 while the Redis of shared counters is used, 0 while it is not. Without such a store there is no value.",
        "none",
        {"{{instance}}": "callgate_shared_store_up{@}"},
        highest=1,
        width=6,
    ),
    Panel(
        "Calls to the shared store",
        "Calls to Redis a second, by result.",
        "reqps",
        {"{{result}}": by_rate("callgate_shared_store_calls_total", "result")},
        width=6,
    ),
    Panel(
        "Calls for each decision",
        "Calls to Redis, divided by decisions. `leased` limits need few, `strict` ones up to one for each decision.",
        "none",
        {
            "calls": "sum(rate(callgate_shared_store_calls_total{@}[$__rate_interval]))"
            " / sum(rate(callgate_decisions_total{@}[$__rate_interval]))"
        },
        width=6,
    ),
    Panel(
        "Leased counts",
        "Counts of which a callgate has a share.",
        "none",
        {"{{instance}}": "callgate_leased_counts{@}"},
        width=6,
    ),
]

APPROVALS = [
    Panel(
        "Approvals by state",
        "Approvals that wait for people, or can be used, over all replicas that share the store.",
        "none",
        {"{{state}}": "max by (state) (callgate_approvals{@})"},
    ),
    Panel(
        "Longest wait",
        "For how long the oldest approval that waits has waited.",
        "s",
        {"{{job}}": "time() - min by (job) (callgate_oldest_pending_approval_timestamp_seconds{@})"},
    ),
    Panel(
        "Store of approvals",
        "1 if the store answers, else 0: then calls that need an approval are denied.",
        "none",
        {"{{instance}} {{store}}": "callgate_store_available{@}"},
        highest=1,
    ),
]

POLICIES = [
    Panel(
        "Reloads",
        "Attempts to change the configuration, by result.",
        "short",
        {"{{result}}": "sum by (result) (increase(callgate_policy_reloads_total{@}[$__rate_interval]))"},
        width=6,
    ),
    Panel(
        "Refused changes",
        "1 while something newer is refused and what was before is in force.",
        "none",
        {
            "configuration {{instance}}": "callgate_configuration_refused{@}",
            "documents of the store {{instance}}": "callgate_documents_refused{@}",
            "freezes {{instance}}": "callgate_freezes_refused{@}",
        },
        width=6,
        highest=1,
        is_alarming=True,
    ),
    Panel(
        "Age of the policies",
        "Time since the policies in force were read.",
        "s",
        {"{{instance}}": "time() - callgate_policy_last_reload_timestamp_seconds{@}"},
        width=6,
    ),
    Panel(
        "Freezes in force",
        "Stops by operators, by what they stop.",
        "none",
        {"{{scope}}": "max by (scope) (callgate_freezes{@})"},
        width=6,
    ),
    Panel(
        "Policies in force",
        "The number of replicas for each version of each policy. Two versions of one policy should not last.",
        "none",
        {"replicas": f"count by (server, policy, version) (callgate_policy_info{{@,{SERVER}}})"},
        kind="table",
        width=16,
    ),
    Panel(
        "Versions of callgate",
        "The number of replicas for each version of the program.",
        "none",
        {"replicas": "count by (version) (callgate_build_info{@})"},
        kind="table",
    ),
]

GATEWAY = [
    Panel(
        "Requests sent to servers",
        "Requests to servers behind the gateway, on new and on kept connections.",
        "reqps",
        {"{{server}} {{connection}}": by_server("callgate_upstream_sent_total", "connection")},
    ),
    Panel(
        "Failures of servers",
        "Requests without a reply that could be passed on, and requests that were sent once more.",
        "reqps",
        {
            "{{server}} {{kind}}": by_server("callgate_upstream_failures_total", "kind") + " > 0",
            "{{server}} sent again": by_server("callgate_upstream_retries_total") + " > 0",
        },
    ),
    Panel(
        "Open requests",
        "Requests open at servers behind the gateway, streams included.",
        "none",
        {"{{server}}": f"sum by (server) (callgate_upstream_requests{{@,{SERVER}}})"},
    ),
    Panel(
        "Tools by state",
        "Tools of servers that are `pinned`, or `changed` or `new` and wait for a person.",
        "none",
        {"{{server}} {{state}}": f"max by (server, state) (callgate_tools{{@,{SERVER}}})"},
        width=12,
    ),
    Panel(
        "Changed and new tools",
        "How often a list of a server has made a tool changed or new.",
        "short",
        {
            "{{server}} {{state}}": "sum by (server, state)"
            f" (increase(callgate_tools_changed_total{{@,{SERVER}}}[$__rate_interval]))"
        },
        width=12,
        is_alarming=True,
    ),
]

PROCESS = [
    Panel(
        "CPU",
        "Cores in use.",
        "none",
        {"{{instance}}": "rate(process_cpu_seconds_total{@}[$__rate_interval])"},
        width=6,
    ),
    Panel(
        "Memory",
        "Resident memory.",
        "bytes",
        {"{{instance}}": "process_resident_memory_bytes{@}"},
        width=6,
    ),
    Panel(
        "Connections and file descriptors",
        "Open connections, open file descriptors, and how many of them there may be.",
        "none",
        {
            "connections {{instance}}": "callgate_connections{@}",
            "open {{instance}}": "process_open_fds{@}",
            "limit {{instance}}": "process_max_fds{@}",
        },
        width=6,
    ),
    Panel(
        "Time since the start",
        "A line that falls to 0 is a restart.",
        "s",
        {"{{instance}}": "time() - process_start_time_seconds{@}"},
        width=6,
    ),
    Panel(
        "Lost lines and internal errors",
        "Decisions without a line in the decision log, log events that were dropped, and decisions that failed inside.",
        "ops",
        {
            "decision log {{instance}}": "rate(callgate_audit_dropped_total{@}[$__rate_interval])",
            "log events {{instance}}": "rate(callgate_log_events_dropped_total{@}[$__rate_interval])",
            "internal errors {{instance}}": "rate(callgate_internal_errors_total{@}[$__rate_interval])",
        },
        is_alarming=True,
    ),
    Panel(
        "Signed decision log",
        "Entries that are signed each second, and logs with a second writer, which nobody can call whole.",
        "short",
        {
            "signed {{instance}}": "deriv(callgate_audit_signed_entries{@}[$__rate_interval])",
            "contested {{instance}}": "callgate_audit_contested{@}",
        },
    ),
    Panel(
        "Time until the audit key expires",
        "From then on nothing is signed.",
        "s",
        {"{{instance}}": "callgate_audit_key_expires_timestamp_seconds{@} - time()"},
    ),
    Panel(
        "Connections that were refused",
        "Failed TLS handshakes, and HTTP/2 connections that were ended because of too many frames of a kind.",
        "ops",
        {
            "TLS {{instance}}": "rate(callgate_tls_handshakes_failed_total{@}[$__rate_interval])",
            "{{frames}} {{instance}}": "rate(callgate_http2_floods_total{@}[$__rate_interval])",
        },
    ),
    Panel(
        "Notices",
        "Notices in the outboxes of receivers, and what became of others; `dead` ones wait for a person.",
        "short",
        {
            "{{state}} {{receiver}}": "max by (receiver, state) (callgate_notices{@})",
            "{{result}} {{receiver}}": "sum by (receiver, result)"
            " (increase(callgate_notice_results_total{@}[$__rate_interval])) > 0",
        },
    ),
    Panel(
        "Age of the oldest notice that waits",
        "One that grows is of a receiver that takes nothing: the log says why (`notice_failed`).",
        "s",
        {"{{receiver}}": "time() - min by (receiver) (callgate_oldest_notice_timestamp_seconds{@})"},
    ),
    Panel(
        "Telemetry",
        "Spans and logs that the collector has taken, and what was not sent.",
        "ops",
        {
            "{{signal}} {{instance}}": "rate(callgate_telemetry_exported_total{@}[$__rate_interval])",
            "dropped {{signal}} {{instance}}": "rate(callgate_telemetry_dropped_total{@}[$__rate_interval])",
        },
    ),
    Panel(
        "Logins",
        "Logins on the admin port by method and outcome; `slowed` came during the wait after failed ones.",
        "short",
        {
            "{{method}} {{outcome}}": "sum by (method, outcome)"
            " (increase(callgate_logins_total{@}[$__rate_interval])) > 0"
        },
    ),
]

ROWS = {
    "Now": NOW,
    "Decisions and outcomes": DECISIONS,
    "Refused calls": DENIALS,
    "Latency": LATENCY,
    "Limits and counters": COUNTERS,
    "Shared counters": SHARED,
    "Approvals": APPROVALS,
    "Reloads, policies and freezes": POLICIES,
    "Gateway": GATEWAY,
    "Process and protocols": PROCESS,
}
