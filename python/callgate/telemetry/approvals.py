"""Approvals as spans from the request to the end of the waiting."""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock
from typing import TYPE_CHECKING, Final

from opentelemetry.trace import Link, Status, StatusCode

from callgate.store.errors import UnknownIdError
from callgate.store.model import State

if TYPE_CHECKING:
    from opentelemetry.trace import SpanContext

    from callgate.store.model import Approval
    from callgate.store.store import Store
    from callgate.telemetry.outlet import Outlet

_US: Final = 1_000
"""Nanoseconds of a microsecond."""

SPAN: Final = "callgate.approval"
MOST_CALLS: Final = 10_000
"""Approvals whose calls are remembered, as many as may wait by default; beyond it, the oldest is forgotten."""

_MOST_LINKS: Final = 32
"""Calls of one approval that its span is linked to."""


class ApprovalCalls:
    """The calls of this replica that wait for people, by approval; every thread may use them."""

    def __init__(self) -> None:
        """Begins without calls."""
        self._lock = Lock()
        self._calls: OrderedDict[str, list[SpanContext]] = OrderedDict()
        self._fresh: list[str] = []

    def add(self, approval_id: str, call: SpanContext) -> bool:
        """Remembers a call that waits; true if it is the first one of the approval."""
        with self._lock:
            is_new = approval_id not in self._calls
            calls = self._calls.setdefault(approval_id, [])
            if len(calls) < _MOST_LINKS:
                calls.append(call)
            if is_new:
                self._fresh.append(approval_id)
            if len(self._calls) > MOST_CALLS:
                self._calls.popitem(last=False)
            return is_new

    def fresh(self) -> list[str]:
        """The approvals that were added since the last call."""
        with self._lock:
            fresh, self._fresh = self._fresh, []
            return fresh

    def take(self, approval_id: str) -> list[SpanContext]:
        """The calls of an approval, which is forgotten."""
        with self._lock:
            return self._calls.pop(approval_id, [])


def export_approval(outlet: Outlet, store: Store, approval: Approval, calls: list[SpanContext]) -> None:
    """Makes the span of an approval that waits no longer, linked to its calls.

    Raises:
        StoreError: The store does not answer.
    """
    call = approval.call
    end_us = approval.decided_us or (
        approval.until_us if approval.state is State.EXPIRED and approval.until_us else approval.changed_us
    )
    span = outlet.tracer.start_span(
        SPAN,
        attributes={
            "callgate.approval.id": approval.id,
            "callgate.approval.state": approval.state.value,
            "callgate.grant": call.grant,
            "callgate.server": call.server,
            "gen_ai.tool.name": call.tool,
            "callgate.rules": [need.rule for need in approval.needs],
        },
        links=[Link(one) for one in calls],
        start_time=approval.created_us * _US,
    )
    try:
        answers = store.approvals.record(approval.id).answers
    except UnknownIdError:
        answers = ()
    for one in answers:
        # Without the reason: it is a person's own words, which the store has.
        facts = {"callgate.verdict": one.verdict.value, "callgate.person": str(one.person)}
        span.add_event("callgate.answer", facts, timestamp=one.answered_us * _US)
    if approval.decided_us is None or approval.state is State.DENIED:
        span.set_status(Status(StatusCode.ERROR, approval.state.value))
    span.end(end_time=max(end_us, approval.created_us) * _US)
