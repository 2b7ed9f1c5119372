"""The numbers of the store for Prometheus and `callgate status`: failures, durations, approvals and permits."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, defaultdict
from itertools import accumulate
from threading import Lock
from typing import TYPE_CHECKING, Any, Final

from prometheus_client.core import GaugeMetricFamily, HistogramMetricFamily

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client.core import CounterMetricFamily, Metric

    from callgate.store.live import LiveCounts

ERRORS: Final = "callgate_store_errors"
DURATION: Final = "callgate_store_duration_seconds"

OPERATIONS: Final = ("open", "read", "write")
_BOUNDS_S: Final = (0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
"""The bounds of the data plane's histogram of the same name, in `rust/server/src/metrics/store.rs`."""


class StoreNumbers:
    """Counts of one process; every thread may add to them."""

    def __init__(self) -> None:
        """Begins with zeros."""
        self._lock = Lock()
        self._store: str | None = None
        self._is_available = False
        self._errors: Counter[str] = Counter()
        self._counts: defaultdict[str, list[int]] = defaultdict(lambda: [0] * (len(_BOUNDS_S) + 1))
        self._sums: defaultdict[str, float] = defaultdict(float)
        self._live: LiveCounts | None = None

    def took(self, operation: str, seconds: float, *, failed: bool) -> None:
        """Counts one operation, one of `OPERATIONS`."""
        with self._lock:
            self._errors[operation] += failed
            self._counts[operation][bisect_left(_BOUNDS_S, seconds)] += 1
            self._sums[operation] += seconds

    def set_store(self, store: str) -> None:
        """Takes the kind of the store, ``sqlite`` or ``postgresql``; before, there are no numbers."""
        with self._lock:
            self._store = store

    def set_available(self, *, is_available: bool) -> None:
        """Takes whether the store answers now."""
        with self._lock:
            self._is_available = is_available

    def set_live(self, counts: LiveCounts) -> None:
        """Takes the approvals and permits that can be answered or used, as they were counted last."""
        with self._lock:
            self._live = counts

    def approvals(self, now_us: int) -> dict[str, Any] | None:
        """The approvals that wait for people and the active permits, for the status; None if the store is not open."""
        with self._lock:
            live = self._live if self._is_available else None
        if live is None:
            return None
        oldest_us = live.oldest_pending_us
        return {
            "pending": live.approvals["pending"],
            "oldest_pending_s": None if oldest_us is None else max(now_us - oldest_us, 0) // 1_000_000,
            "active_permits": live.permits,
        }

    def families(self) -> Iterator[Metric]:
        """The families that are the control plane's own."""
        with self._lock:
            store, is_available, live = self._store, self._is_available, self._live
        if store is not None:
            available = GaugeMetricFamily(
                "callgate_store_available", "1 if the store of approvals answers, else 0.", labels=["store"]
            )
            available.add_metric([store], int(is_available))
            yield available
        if live is not None:
            states = GaugeMetricFamily(
                "callgate_approvals", "Approvals that wait, or can be used, by state.", labels=["state"]
            )
            for state, count in live.approvals.items():
                states.add_metric([state], count)
            yield states
            oldest_us = live.oldest_pending_us
            yield GaugeMetricFamily(
                "callgate_oldest_pending_approval_timestamp_seconds",
                "Unix time at which the oldest approval that waits for people was asked for; no value if none waits.",
                value=None if oldest_us is None else oldest_us / 1e6,
            )

    def add_errors(self, family: CounterMetricFamily) -> None:
        """Adds the failures to the family of all stores."""
        with self._lock:
            for operation in OPERATIONS if self._store is not None else ():
                family.add_metric([str(self._store), operation], self._errors[operation])

    def add_durations(self, family: HistogramMetricFamily) -> None:
        """Adds the durations to the family of all stores."""
        with self._lock:
            for operation in OPERATIONS if self._store is not None else ():
                counts = accumulate(self._counts[operation])
                buckets = list(zip([*(f"{bound:g}" for bound in _BOUNDS_S), "+Inf"], counts, strict=True))
                family.add_metric([str(self._store), operation], buckets, self._sums[operation])
