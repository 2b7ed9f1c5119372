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
from callgate.control.logins import Logins
from callgate.control.notice_numbers import NoticeNumbers
from callgate.control.reload_numbers import ReloadNumbers
from callgate.control.store_numbers import DURATION, ERRORS, StoreNumbers
from callgate.control.telemetry_numbers import TelemetryNumbers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from callgate._callgate import MetricFamily, Server

_NS: Final = 1e9


class ServerCollector(Collector):
    """Reads a server's numbers at every scrape, so that nothing is counted twice."""

    def __init__(self, server: Server, store: StoreNumbers | None = None, reloads: ReloadNumbers | None = None) -> None:
        """Takes a started server, the numbers of the store of approvals, and those of reloads."""
        self._server = server
        self._store = StoreNumbers() if store is None else store
        self.logins = Logins()
        """The logins on the admin port."""
        self.notices = NoticeNumbers()
        """The notices."""
        self.telemetry = TelemetryNumbers()
        """The spans and logs for a collector."""
        self.reloads = ReloadNumbers() if reloads is None else reloads
        """The reloads."""
        self.is_ready: Callable[[], bool] = lambda: False
        """Returns true while `/readyz` answers 200."""

    def describe(self) -> Iterator[Metric]:
        """The names alone, so that registration needs no started server."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """All metric families."""
        yield InfoMetricFamily("callgate_build", "The running build.", value={"version": version()})
        yield GaugeMetricFamily("callgate_ready", "1 while `/readyz` answers 200, else 0.", value=int(self.is_ready()))
        for family in self._server.metric_families():
            yield self._with_store(_metric(family))
        yield from self._store.families()
        yield from self._shared_families()
        yield from self.logins.families()
        yield from self.notices.families()
        yield from self.telemetry.families()
        reloads = CounterMetricFamily("callgate_policy_reloads", "Attempts to change the policies.", labels=["result"])
        for result, count in self.reloads.counts.items():
            reloads.add_metric([result], count)
        yield reloads
        yield GaugeMetricFamily(
            "callgate_configuration_refused",
            "1 if the newest configuration is refused and an older one is in force, else 0.",
            value=int(self.reloads.is_refused),
        )
        yield GaugeMetricFamily(
            "callgate_documents_refused",
            "1 if a grant, server or policy of the store is not served in its newest version, else 0.",
            value=int(self.reloads.are_documents_refused),
        )
        if self.reloads.reloaded_at_s is not None:
            yield GaugeMetricFamily(
                "callgate_policy_last_reload_timestamp_seconds",
                "Unix time at which the policies in force were read.",
                value=self.reloads.reloaded_at_s,
            )

    def _shared_families(self) -> Iterator[Metric]:
        """The numbers of the store of shared counters; without one, only what counts stands at 0."""
        state = self._server.shared_store
        up = "1 while the store of shared counters is used, else 0."
        yield GaugeMetricFamily(
            "callgate_shared_store_up", up, value=None if state is None else int(state["fault"] is None)
        )
        calls = CounterMetricFamily(
            "callgate_shared_store_calls", "Calls to the store of shared counters.", labels=["result"]
        )
        calls.add_metric(["answered"], 0 if state is None else state["calls"])
        calls.add_metric(["failed"], 0 if state is None else state["failures"])
        yield calls
        leased = "Counts of which this callgate has a share."
        yield GaugeMetricFamily("callgate_leased_counts", leased, value=0 if state is None else state["leased"])

    def _with_store(self, family: Metric) -> Metric:
        """Adds the store of approvals to the families that it shares with the file of counters."""
        if family.name == ERRORS and isinstance(family, CounterMetricFamily):
            self._store.add_errors(family)
        elif family.name == DURATION and isinstance(family, HistogramMetricFamily):
            self._store.add_durations(family)
        return family


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
        # Other stores have the same family, so that the file of counters is told apart.
        labels = {"store": "file", "operation": "flush"} if family.name == DURATION else {}
        histogram = HistogramMetricFamily(family.name, family.help, labels=list(labels))
        buckets = list(zip(shown, accumulate(counts), strict=True))
        histogram.add_metric(list(labels.values()), buckets, family.sum_ns / _NS)
        return histogram
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
