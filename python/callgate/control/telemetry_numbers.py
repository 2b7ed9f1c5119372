"""The numbers of telemetry for Prometheus."""

from __future__ import annotations

from collections import Counter
from threading import Lock
from typing import TYPE_CHECKING, Final

from prometheus_client.core import CounterMetricFamily

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from prometheus_client.core import Metric

_SIGNALS: Final = ("spans", "logs", "decisions")
"""Decisions are dropped before they are spans."""


class TelemetryNumbers:
    """Spans and logs of one process; every thread may add to them."""

    def __init__(self) -> None:
        """Begins with zeros."""
        self._lock = Lock()
        self._is_on = False
        self._exported: Counter[str] = Counter()
        self._dropped: Counter[str] = Counter()

    def switch_on(self) -> None:
        """Takes that there is a collector; before, there are no numbers."""
        with self._lock:
            self._is_on = True

    def count(self, exported: Mapping[str, int], dropped: Mapping[str, int]) -> None:
        """Counts what a collector has taken, and what was dropped, by signal."""
        with self._lock:
            self._exported.update(exported)
            self._dropped.update(dropped)

    def families(self) -> Iterator[Metric]:
        """The numbers for Prometheus; none without a collector."""
        with self._lock:
            if not self._is_on:
                return
            exported, dropped = dict(self._exported), dict(self._dropped)
        taken = CounterMetricFamily(
            "callgate_telemetry_exported", "Spans and logs that the collector has taken.", labels=["signal"]
        )
        lost = CounterMetricFamily(
            "callgate_telemetry_dropped", "Spans, logs and decisions that were not sent.", labels=["signal"]
        )
        for signal in _SIGNALS:
            if signal != _SIGNALS[-1]:
                taken.add_metric([signal], exported.get(signal, 0))
            lost.add_metric([signal], dropped.get(signal, 0))
        yield taken
        yield lost
