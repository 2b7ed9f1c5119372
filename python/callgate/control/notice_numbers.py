"""The numbers of notices for Prometheus."""

from __future__ import annotations

from collections import Counter
from threading import Lock
from typing import TYPE_CHECKING, Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from prometheus_client.core import Metric

    from callgate.store.notices.model import ReceiverStatus

RESULTS: Final = ("sent", "failed", "dead", "obsolete", "dropped")


class NoticeNumbers:
    """Tries of one process, and the outboxes as they were counted last; every thread may add to them."""

    def __init__(self) -> None:
        """Begins with zeros."""
        self._lock = Lock()
        self._receivers: tuple[str, ...] = ()
        self._counts: Counter[tuple[str, str]] = Counter()
        self._statuses: tuple[ReceiverStatus, ...] = ()

    def set_receivers(self, receivers: Sequence[str]) -> None:
        """Takes the names of the configured receivers; others have no numbers."""
        with self._lock:
            self._receivers = tuple(receivers)

    def set_statuses(self, statuses: Sequence[ReceiverStatus]) -> None:
        """Takes the state of the outboxes."""
        with self._lock:
            self._statuses = tuple(statuses)

    def count(self, receiver: str, result: str, count: int = 1) -> None:
        """Counts a result, one of `RESULTS`."""
        with self._lock:
            self._counts[receiver, result] += count

    def families(self) -> Iterator[Metric]:
        """The numbers for Prometheus; none without receivers."""
        with self._lock:
            receivers, counts, statuses = self._receivers, dict(self._counts), self._statuses
        if not receivers:
            return
        tries = CounterMetricFamily(
            "callgate_notice_results", "Results of notices, by receiver.", labels=["receiver", "result"]
        )
        for receiver in receivers:
            for result in RESULTS:
                tries.add_metric([receiver, result], counts.get((receiver, result), 0))
        yield tries
        waiting = GaugeMetricFamily(
            "callgate_notices", "Notices in the outboxes of the store.", labels=["receiver", "state"]
        )
        oldest = GaugeMetricFamily(
            "callgate_oldest_notice_timestamp_seconds",
            "Unix time of the oldest notice that waits; no value if none waits.",
            labels=["receiver"],
        )
        for status in statuses:
            if status.name in receivers:
                waiting.add_metric([status.name, "waiting"], status.waiting)
                waiting.add_metric([status.name, "dead"], status.dead)
                if status.oldest_us is not None:
                    oldest.add_metric([status.name], status.oldest_us / 1e6)
        yield waiting
        yield oldest
