"""Prometheus metrics. Those of the data plane are declared there, `rust/server/src/metrics/families.rs`."""

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

    from callgate._callgate import MetricFamily, Server

_NS: Final = 1e9


class ServerCollector(Collector):
    """Reads a server's numbers at every scrape, so that nothing is counted twice."""

    def __init__(self, server: Server) -> None:
        """Takes a started server."""
        self._server = server
        self._reloads = {"success": 0, "failure": 0}
        self._reloaded_at_s: float | None = None
        self._is_refused = False

    def reloaded(self, *, ok: bool, at_s: float) -> None:
        """Counts a reload at Unix time `at_s`; only success moves the timestamp."""
        self._reloads["success" if ok else "failure"] += 1
        self._is_refused = not ok
        if ok:
            self._reloaded_at_s = at_s

    def describe(self) -> Iterator[Metric]:
        """The names alone, so that registration needs no started server."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """All metric families."""
        yield InfoMetricFamily("callgate_build", "The running build.", value={"version": version()})
        for family in self._server.metric_families():
            yield _metric(family)
        reloads = CounterMetricFamily("callgate_policy_reloads", "Attempts to change the policies.", labels=["result"])
        for result, count in self._reloads.items():
            reloads.add_metric([result], count)
        yield reloads
        yield GaugeMetricFamily(
            "callgate_configuration_refused",
            "1 if the newest configuration is refused and an older one is in force, else 0.",
            value=int(self._is_refused),
        )
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


def _metric(family: MetricFamily) -> Metric:
    if family.kind == "histogram":
        bounds, counts = zip(*family.buckets, strict=True)
        shown = ["+Inf" if bound is None else f"{bound / _NS:g}" for bound in bounds]
        return HistogramMetricFamily(
            family.name,
            family.help,
            buckets=list(zip(shown, accumulate(counts), strict=True)),
            sum_value=family.sum_ns / _NS,
        )
    if family.kind == "info":
        info = InfoMetricFamily(family.name, family.help)
        for values, _ in family.samples:
            info.add_metric([], dict(zip(family.labels, values, strict=True)))
        return info
    kind = CounterMetricFamily if family.kind == "counter" else GaugeMetricFamily
    metric = kind(family.name, family.help, labels=family.labels)
    for values, number in family.samples:
        metric.add_metric(values, number)
    return metric
