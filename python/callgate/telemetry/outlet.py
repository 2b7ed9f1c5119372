"""The way to a collector: spans and logs wait here in a bounded number, and one thread sends them in batches.

The SDK's own batches drop without a count, so that the processors here keep what has ended, and `flush` sends it.
"""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import dataclass, field
from threading import Lock
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from opentelemetry.sdk._logs import LoggerProvider, LogRecordProcessor, ReadableLogRecord
from opentelemetry.sdk._logs.export import LogRecordExportResult
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.sdk.trace.sampling import ALWAYS_ON

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from opentelemetry._logs import Logger
    from opentelemetry.context import Context
    from opentelemetry.sdk._logs import ReadWriteLogRecord
    from opentelemetry.sdk._logs.export import LogRecordExporter
    from opentelemetry.sdk.trace import Span
    from opentelemetry.sdk.trace.export import SpanExporter
    from opentelemetry.trace import Tracer

_Item = TypeVar("_Item")

MOST_WAITING: Final = 8_192
"""Spans that wait for the collector, and logs likewise; more are dropped and counted."""

AT_ONCE: Final = 512
"""Most spans or logs of one request."""

_SCOPE: Final = "callgate"
_LONGEST_REASON: Final = 300

SPANS: Final = "spans"
LOGS: Final = "logs"


@dataclass(frozen=True)
class Collector:
    """The collector, as the configuration says."""

    endpoint: str
    protocol: str
    """`grpc` or `http/protobuf`."""
    headers: Mapping[str, str] = field(repr=False)
    ca_file: str | None
    ca: bytes | None = field(repr=False)
    timeout_s: float


@dataclass
class Sent:
    """The numbers since the last look."""

    exported: Counter[str] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)


class _Waiting(Generic[_Item]):
    """Ended spans or logs, in a bounded number."""

    def __init__(self) -> None:
        self._items: list[_Item] = []
        self._dropped = 0
        self._lock = Lock()

    def add(self, item: _Item) -> None:
        with self._lock:
            if len(self._items) < MOST_WAITING:
                self._items.append(item)
            else:
                self._dropped += 1

    def take(self) -> tuple[list[_Item], int]:
        """All that wait, and the number of those for which there was no room."""
        with self._lock:
            items, self._items = self._items, []
            dropped, self._dropped = self._dropped, 0
        return items, dropped


class _Spans(SpanProcessor):
    def __init__(self) -> None:
        self.waiting = _Waiting[ReadableSpan]()

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Keeps nothing of a span that has begun."""

    def on_end(self, span: ReadableSpan) -> None:
        """Keeps a span until it is sent."""
        self.waiting.add(span)


class _Logs(LogRecordProcessor):
    def __init__(self) -> None:
        self.waiting = _Waiting[ReadableLogRecord]()

    def on_emit(self, log_record: ReadWriteLogRecord) -> None:
        """Keeps a log until it is sent."""
        readable = ReadableLogRecord(
            log_record=log_record.log_record,
            resource=log_record.resource or Resource.get_empty(),
            instrumentation_scope=log_record.instrumentation_scope,
            limits=log_record.limits,
        )
        self.waiting.add(readable)

    def shutdown(self) -> None:
        """Does nothing: `Outlet.close` sends what waits."""

    def force_flush(self, timeout_millis: int = 30_000) -> bool:  # noqa: ARG002  the base's signature
        """Does nothing, likewise."""
        return True


class _LastWord(logging.Handler):
    """Keeps the last message of a library."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.text = ""

    def emit(self, record: logging.LogRecord) -> None:
        self.text = record.getMessage()


class Outlet:
    """Takes spans and logs of any thread; one thread flushes."""

    def __init__(self, collector: Collector, resource: Mapping[str, str]) -> None:
        """Takes the collector and the facts about this process; connects at the first flush."""
        # The SDK writes its failures to a logger of its own, and so to stderr; they are told by `flush`.
        self._word = _LastWord()
        library = logging.getLogger("opentelemetry")
        library.addHandler(self._word)
        library.propagate = False
        self._spans, self._logs = _Spans(), _Logs()
        self._endpoint = collector.endpoint
        facts = Resource.create(dict(resource))
        # What is left out was left out before: see `decisions.py`.
        tracers = TracerProvider(sampler=ALWAYS_ON, resource=facts, shutdown_on_exit=False)
        tracers.add_span_processor(self._spans)
        loggers = LoggerProvider(resource=facts, shutdown_on_exit=False)
        loggers.add_log_record_processor(self._logs)
        self.tracer: Tracer = tracers.get_tracer(_SCOPE)
        self.logger: Logger = loggers.get_logger(_SCOPE)
        self._span_exporter, self._log_exporter = _exporters(collector)

    def flush(self) -> Sent:
        """Sends what waits; blocks no longer than the timeout of a request for each batch that fails."""
        sent = Sent()
        spans, lost = self._spans.waiting.take()
        sent.dropped[SPANS] += lost
        self._send(SPANS, spans, lambda batch: self._span_exporter.export(batch) is SpanExportResult.SUCCESS, sent)
        logs, lost = self._logs.waiting.take()
        sent.dropped[LOGS] += lost
        self._send(LOGS, logs, lambda batch: self._log_exporter.export(batch) is LogRecordExportResult.SUCCESS, sent)
        return sent

    def failure(self) -> str:
        """The reason why the last batch was not taken, as far as the library has told it."""
        reason = (
            self._word.text.partition("\n")[0][:_LONGEST_REASON] or "it does not answer, or refuses what it is sent"
        )
        return f"the collector `{self._endpoint}` has not taken spans or logs, which are dropped: {reason}"

    def close(self) -> None:
        """Ends the connections, also under a request that still waits."""
        self._span_exporter.shutdown()
        self._log_exporter.shutdown()  # type: ignore[no-untyped-call]  # the base has no types

    @staticmethod
    def _send(signal: str, items: Sequence[Any], export: Any, sent: Sent) -> None:  # noqa: ANN401  of either kind
        for begin in range(0, len(items), AT_ONCE):
            batch = items[begin : begin + AT_ONCE]
            try:
                is_taken = export(batch)
            except Exception:  # noqa: BLE001  whatever a library or a collector does, the process goes on
                is_taken = False
            if not is_taken:
                # The others would wait for as long.
                sent.dropped[signal] += len(items) - begin
                return
            sent.exported[signal] += len(batch)


def _exporters(collector: Collector) -> tuple[SpanExporter, LogRecordExporter]:
    """The exporters of the protocol, each an extra of the package."""
    if collector.protocol == "grpc":
        import grpc  # noqa: PLC0415  as below
        from opentelemetry.exporter.otlp.proto.grpc import _log_exporter as grpc_logs  # noqa: PLC0415  as needed
        from opentelemetry.exporter.otlp.proto.grpc import trace_exporter as grpc_spans  # noqa: PLC0415  likewise

        is_plain = collector.endpoint.startswith("http:")
        more: dict[str, Any] = {
            "endpoint": collector.endpoint,
            "insecure": is_plain,
            "credentials": None if is_plain else grpc.ssl_channel_credentials(collector.ca),
            "headers": dict(collector.headers),
            "timeout": collector.timeout_s,
        }
        return grpc_spans.OTLPSpanExporter(**more), grpc_logs.OTLPLogExporter(**more)
    from opentelemetry.exporter.otlp.proto.http import _log_exporter as http_logs  # noqa: PLC0415  likewise
    from opentelemetry.exporter.otlp.proto.http import trace_exporter as http_spans  # noqa: PLC0415  likewise

    base = collector.endpoint.rstrip("/")
    more = {"certificate_file": collector.ca_file, "headers": dict(collector.headers), "timeout": collector.timeout_s}
    return (
        http_spans.OTLPSpanExporter(endpoint=f"{base}/v1/traces", **more),
        http_logs.OTLPLogExporter(endpoint=f"{base}/v1/logs", **more),
    )
