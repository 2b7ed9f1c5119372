"""Logins and refused tokens in the log and the metrics."""

from __future__ import annotations

from collections import Counter
from threading import Lock
from typing import TYPE_CHECKING, Final

from prometheus_client.core import CounterMetricFamily

from callgate.control import logs
from callgate.identity.reports import LoginMethod, LoginOutcome

if TYPE_CHECKING:
    from collections.abc import Iterator

    from callgate.identity.reports import LoginReport

_LOGINS: Final = frozenset({LoginMethod.PASSWORD, LoginMethod.LINK, LoginMethod.ISSUER})

# By successes, tokens would be counted at each request.
_PAIRS: Final = tuple(
    (method, outcome)
    for method in LoginMethod
    for outcome in LoginOutcome
    if outcome is LoginOutcome.FAILURE or method in _LOGINS
)


class Logins:
    """Counts of one process; every thread may add to them."""

    def __init__(self) -> None:
        """Begins with zeros."""
        self._lock = Lock()
        self._counts: Counter[tuple[LoginMethod, LoginOutcome]] = Counter()

    def report(self, report: LoginReport) -> None:
        """Counts a login; logs one that did not succeed."""
        with self._lock:
            self._counts[report.method, report.outcome] += 1
        if report.outcome is LoginOutcome.SUCCESS:
            if "missing_claim" in report.fields:
                logs.log("warning", logs.LOGIN_WITHOUT_GROUPS, {"source": report.source, **report.fields})
            return
        event = logs.TOKEN_REFUSED
        if report.method in _LOGINS:
            event = logs.LOGIN_SLOWED if report.outcome is LoginOutcome.SLOWED else logs.LOGIN_FAILED
        logs.log("warning", event, {"method": report.method.value, "source": report.source, **report.fields})

    def families(self) -> Iterator[CounterMetricFamily]:
        """The numbers for Prometheus."""
        family = CounterMetricFamily(
            "callgate_logins", "Logins on the admin port, and refused tokens there.", labels=["method", "outcome"]
        )
        with self._lock:
            for method, outcome in _PAIRS:
                family.add_metric([method.value, outcome.value], self._counts[method, outcome])
        yield family
