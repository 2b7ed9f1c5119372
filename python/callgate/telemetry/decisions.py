"""Decisions as spans, and denials as logs beside them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from opentelemetry.context import Context

    from callgate.telemetry.outlet import Outlet

_US: Final = 1_000
"""Nanoseconds of a microsecond."""

SPAN: Final = "callgate.decide"
DENIED: Final = "callgate.denied"
ALLOW: Final = "allow"
WAITS: Final = "approval_required"

_MCP: Final = frozenset({"mcp", "stdio", "ext_mcp", "ext_proc"})
"""Protocols whose decisions are about a tool call of MCP."""


def export_decision(outlet: Outlet, line: str) -> tuple[str, SpanContext] | None:
    """Makes the span of a decision from its line, and a log of a denial.

    Returns:
        The id of the approval that the call waits for or has used, and the span; None without an approval.
    """
    logged = json.loads(line)
    began_ns = int(logged["decided_at_us"]) * _US
    attributes = dict(_attributes(logged))
    parent = parent_of(logged.get("traceparent"))
    span = outlet.tracer.start_span(
        SPAN, context=parent, kind=SpanKind.INTERNAL, attributes=attributes, start_time=began_ns
    )
    outcome = logged["outcome"]
    if outcome != ALLOW:
        span.set_status(Status(StatusCode.ERROR, f"{outcome} {logged['rule']}"))
        outlet.logger.emit(
            LogRecord(
                timestamp=began_ns,
                observed_timestamp=began_ns,
                context=set_span_in_context(span),
                severity_number=SeverityNumber.INFO if outcome == WAITS else SeverityNumber.WARN,
                severity_text="INFO" if outcome == WAITS else "WARN",
                body=f"{outcome} {logged['rule']}",
                attributes=attributes,
                event_name=DENIED,
            )
        )
    span.end(end_time=began_ns + int(logged["duration_ns"]))
    approval = logged.get("approval")
    return None if approval is None else (approval, span.get_span_context())


def parent_of(traceparent: str | None) -> Context | None:
    """The caller's span; None without one. The data plane has checked its form."""
    if traceparent is None:
        return None
    _, trace_id, span_id, flags = traceparent.split("-")
    remote = SpanContext(int(trace_id, 16), int(span_id, 16), is_remote=True, trace_flags=TraceFlags(int(flags, 16)))
    return set_span_in_context(NonRecordingSpan(remote))


def _attributes(logged: dict[str, Any]) -> Iterator[tuple[str, str | int]]:
    """The attributes of a decision. Names of callers are cut by the data plane; there are no arguments."""
    yield "callgate.outcome", logged["outcome"]
    if logged["tool"]:
        yield "gen_ai.operation.name", "execute_tool"
        yield "gen_ai.tool.name", logged["tool"]
        if logged["protocol"] in _MCP:
            yield "mcp.method.name", "tools/call"
    if logged["session"] and logged["protocol"] in _MCP:
        yield "mcp.session.id", logged["session"]
    for name, key in (
        ("callgate.rule", "rule"),
        ("callgate.server", "server"),
        ("callgate.grant", "grant"),
        ("callgate.protocol", "protocol"),
        ("callgate.policy.name", "policy"),
        ("callgate.policy.version", "policy_version"),
        ("callgate.retry_after_ms", "retry_after_ms"),
        ("callgate.approval.id", "approval"),
    ):
        if logged.get(key):
            yield name, logged[key]
    shadow = logged.get("shadow")
    if shadow is not None:
        yield "callgate.shadow.outcome", shadow["outcome"]
        yield "callgate.shadow.rule", shadow["rule"]
