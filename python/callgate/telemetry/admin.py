"""Records of the admin audit as logs, and calls of the admin API as spans."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.trace import SpanKind, Status, StatusCode

if TYPE_CHECKING:
    from callgate.store.audit import Recorded
    from callgate.telemetry.outlet import Outlet

_US: Final = 1_000
"""Nanoseconds of a microsecond."""

CHANGED: Final = "callgate.admin_change"
_OK: Final = "OK"


class EndedCall(Protocol):
    """A call of the admin API that has ended, `admin.calls.call.CallReport`, which stands above this room."""

    @property
    def method(self) -> str:
        """The full name of the method."""

    @property
    def principal(self) -> str:
        """The name of the caller."""

    @property
    def source(self) -> str:
        """The address of the caller."""

    @property
    def began_ns(self) -> int:
        """Unix time."""

    @property
    def ended_ns(self) -> int:
        """Likewise."""

    @property
    def code(self) -> str:
        """The word of gRPC for the result."""


def export_change(outlet: Outlet, record: Recorded) -> None:
    """Makes the log of one change."""
    change = record.change
    outlet.logger.emit(
        LogRecord(
            timestamp=record.at_us * _US,
            observed_timestamp=record.at_us * _US,
            severity_number=SeverityNumber.INFO,
            severity_text="INFO",
            body=f"{change.action} {change.kind} {change.object_id}",
            attributes={
                "callgate.audit.number": record.number,
                "callgate.audit.action": change.action,
                "callgate.audit.kind": change.kind,
                "callgate.audit.object": change.object_id,
                "callgate.audit.actor": change.by.name,
                "callgate.audit.source": change.by.source,
            },
            event_name=CHANGED,
        )
    )


def export_call(outlet: Outlet, call: EndedCall) -> None:
    """Makes the span of a call that may have changed something."""
    span = outlet.tracer.start_span(
        call.method,
        kind=SpanKind.SERVER,
        attributes={
            "rpc.system.name": "grpc",
            "rpc.method": call.method,
            "rpc.response.status_code": call.code,
            "client.address": call.source,
            "callgate.principal": call.principal,
        },
        start_time=call.began_ns,
    )
    if call.code != _OK:
        span.set_status(Status(StatusCode.ERROR, call.code))
    span.end(end_time=max(call.began_ns, call.ended_ns))
