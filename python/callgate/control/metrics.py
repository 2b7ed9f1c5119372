"""Prometheus metrics: the data plane's numbers under the names of `docs/operations.md`."""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING, Final

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from callgate._callgate import version

if TYPE_CHECKING:
    from collections.abc import Iterator

    from callgate._callgate import Metrics, Server

_NS: Final = 1e9


class ServerCollector(Collector):
    """Reads a server's numbers at every scrape, so that nothing is counted twice."""

    def __init__(self, server: Server) -> None:
        """Takes a started server."""
        self._server = server
        self._reloads = {"success": 0, "failure": 0}
        self._reloaded_at_s: float | None = None

    def reloaded(self, *, ok: bool, at_s: float) -> None:
        """Counts a reload at Unix time `at_s`; only success moves the timestamp."""
        self._reloads["success" if ok else "failure"] += 1
        if ok:
            self._reloaded_at_s = at_s

    def describe(self) -> Iterator[Metric]:
        """The names alone, so that registration needs no started server."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """All metric families."""
        numbers = self._server.metrics()
        yield InfoMetricFamily("callgate_build", "The running build.", value={"version": version()})
        yield from _decisions(numbers)
        yield _duration(numbers)
        yield from _state(numbers)
        yield from _store(numbers)
        yield from _upstreams(numbers)
        yield from self._policies(numbers)

    def _policies(self, numbers: Metrics) -> Iterator[Metric]:
        info = InfoMetricFamily("callgate_policy", "Policies in force.", labels=["server"])
        for server, policy, digest in numbers.policies:
            info.add_metric([server], {"policy": policy, "version": digest})
        yield info
        reloads = CounterMetricFamily("callgate_policy_reloads", "Attempts to change the policies.", labels=["result"])
        for result, count in self._reloads.items():
            reloads.add_metric([result], count)
        yield reloads
        if self._reloaded_at_s is not None:
            yield GaugeMetricFamily(
                "callgate_policy_last_reload_timestamp_seconds",
                "Unix time at which the policies in force were read.",
                value=self._reloaded_at_s,
            )


def registry(collector: ServerCollector) -> CollectorRegistry:
    """A separate registry with the server's numbers and those of this process."""
    own = CollectorRegistry()
    own.register(collector)
    ProcessCollector(registry=own)
    return own


def _decisions(numbers: Metrics) -> Iterator[Metric]:
    decisions = CounterMetricFamily("callgate_decisions", "Decisions.", labels=["server", "tool", "outcome"])
    for server, tool, outcome, count in numbers.decisions:
        decisions.add_metric([server, tool, outcome], count)
    yield decisions
    denials = CounterMetricFamily("callgate_denials", "Decisions other than allow.", labels=["server", "rule"])
    for server, rule, count in numbers.denials:
        denials.add_metric([server, rule], count)
    yield denials
    requests = CounterMetricFamily("callgate_requests", "Requests.", labels=["protocol", "code"])
    for protocol, code, count in numbers.requests:
        requests.add_metric([protocol, code], count)
    yield requests
    limited = CounterMetricFamily(
        "callgate_rate_limits", "Answers of the rate limit service.", labels=["domain", "outcome"]
    )
    for domain, outcome, count in numbers.rate_limits:
        limited.add_metric([domain, outcome], count)
    yield limited


def _duration(numbers: Metrics) -> Metric:
    bounds = [f"{bound / _NS:g}" for bound in numbers.duration_bounds_ns] + ["+Inf"]
    summed = accumulate(numbers.duration_counts)
    return HistogramMetricFamily(
        "callgate_decision_duration_seconds",
        "How long decisions took, without the network.",
        buckets=list(zip(bounds, summed, strict=True)),
        sum_value=numbers.duration_sum_ns / _NS,
    )


def _store(numbers: Metrics) -> Iterator[Metric]:
    errors = CounterMetricFamily("callgate_store_errors", "Failures of a store.", labels=["store", "operation"])
    for store, operation, count in numbers.store_errors:
        errors.add_metric([store, operation], count)
    yield errors
    bounds = [f"{bound / _NS:g}" for bound in numbers.store_duration_bounds_ns] + ["+Inf"]
    yield HistogramMetricFamily(
        "callgate_store_duration_seconds",
        "How long a store took; for counters in a file, to be written to disk.",
        buckets=list(zip(bounds, accumulate(numbers.store_duration_counts), strict=True)),
        sum_value=numbers.store_duration_sum_ns / _NS,
    )


def _upstreams(numbers: Metrics) -> Iterator[Metric]:
    requests = GaugeMetricFamily(
        "callgate_upstream_requests", "Requests open at servers behind the gateway.", labels=["server"]
    )
    for server, count in numbers.upstream_requests:
        requests.add_metric([server], count)
    yield requests
    failures = CounterMetricFamily(
        "callgate_upstream_failures",
        "Requests to which a server behind the gateway gave no reply that could be passed on.",
        labels=["server", "kind"],
    )
    for server, kind, count in numbers.upstream_failures:
        failures.add_metric([server, kind], count)
    yield failures
    sent = CounterMetricFamily(
        "callgate_upstream_sent",
        "Requests sent to a server behind the gateway, by whether their connection was new or reused.",
        labels=["server", "connection"],
    )
    for server, connection, count in numbers.upstream_sent:
        sent.add_metric([server, connection], count)
    yield sent
    retries = CounterMetricFamily(
        "callgate_upstream_retries",
        "Requests sent once more on a new connection, as nothing of them had been written.",
        labels=["server"],
    )
    for server, count in numbers.upstream_retries:
        retries.add_metric([server], count)
    yield retries
    tools = GaugeMetricFamily("callgate_tools", "Tools, by what pinning says of them.", labels=["server", "state"])
    for server, state, count in numbers.tools:
        tools.add_metric([server, state], count)
    yield tools
    changed = CounterMetricFamily(
        "callgate_tools_changed", "Tools that a list has made changed or new.", labels=["server", "state"]
    )
    for server, state, count in numbers.tools_changed:
        changed.add_metric([server, state], count)
    yield changed


def _state(numbers: Metrics) -> Iterator[Metric]:
    gauges = [
        ("callgate_counters", "Counters alive.", numbers.counters),
        ("callgate_counter_capacity", "Counters that may be alive at once.", numbers.counter_capacity),
        ("callgate_connections", "Connections open now.", numbers.connections),
    ]
    for name, text, value in gauges:
        yield GaugeMetricFamily(name, text, value=value)
    counts = [
        ("callgate_internal_errors", "Decisions answered with `(internal error)`.", numbers.internal_errors),
        ("callgate_tls_handshakes_failed", "TLS handshakes that failed.", numbers.tls_handshakes_failed),
        ("callgate_log_events_dropped", "Log events dropped because the queue was full.", numbers.events_dropped),
        ("callgate_audit_dropped", "Decisions whose line the decision log could not take.", numbers.audit_dropped),
    ]
    for name, text, value in counts:
        yield CounterMetricFamily(name, text, value=value)
    floods = CounterMetricFamily(
        "callgate_http2_floods", "Connections ended because of too many frames of a kind.", labels=["frames"]
    )
    for frames, value in numbers.http2_floods:
        floods.add_metric([frames], value)
    yield floods
