"""Records of the admin audit as logs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from opentelemetry._logs import LogRecord, SeverityNumber

if TYPE_CHECKING:
    from callgate.store.audit import Recorded
    from callgate.telemetry.outlet import Outlet

_US: Final = 1_000
"""Nanoseconds of a microsecond."""

CHANGED: Final = "callgate.admin_change"


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
