"""A collector for tests: the services of OTLP over gRPC, and their paths over HTTP, on loopback."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2, logs_service_pb2_grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc
from opentelemetry.proto.common.v1.common_pb2 import KeyValue

from support.http_server import Handler, serving


@dataclass
class Collector:
    """What a collector was sent."""

    endpoint: str = ""
    traces: list[Any] = field(default_factory=list)
    logs_requests: list[Any] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)

    def spans(self, name: str = "") -> list[Any]:
        """The spans so far, or those of this name."""
        found = [
            span
            for request in list(self.traces)
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]
        return [span for span in found if name in {"", span.name}]

    def logs(self, event: str = "") -> list[Any]:
        """The logs so far, or those of this event."""
        found = [
            log
            for request in list(self.logs_requests)
            for resource in request.resource_logs
            for scope in resource.scope_logs
            for log in scope.log_records
        ]
        return [log for log in found if event in {"", log.event_name}]

    def wait(self, holds: Callable[[], object], patience_s: float = 30.0) -> None:
        """Waits until a condition holds."""
        end = time.monotonic() + patience_s
        while not holds():
            assert time.monotonic() < end, (self.spans(), self.logs())
            time.sleep(0.02)


def attributes(thing: Any) -> dict[str, Any]:
    """The attributes of a span, an event or a log."""
    return {one.key: _value(one) for one in thing.attributes}


def _value(one: KeyValue) -> Any:
    kind = one.value.WhichOneof("value")
    if kind == "array_value":
        return [item.string_value for item in one.value.array_value.values]
    return getattr(one.value, kind or "string_value")


class _Traces(trace_service_pb2_grpc.TraceServiceServicer):
    def __init__(self, collector: Collector) -> None:
        self._collector = collector

    def Export(self, request: Any, context: Any) -> Any:  # noqa: N802  the name of the method
        self._collector.headers.append(dict(context.invocation_metadata()))
        self._collector.traces.append(request)
        return trace_service_pb2.ExportTraceServiceResponse()


class _Logs(logs_service_pb2_grpc.LogsServiceServicer):
    def __init__(self, collector: Collector) -> None:
        self._collector = collector

    def Export(self, request: Any, context: Any) -> Any:  # noqa: ARG002, N802  likewise
        self._collector.logs_requests.append(request)
        return logs_service_pb2.ExportLogsServiceResponse()


@contextmanager
def grpc_collector(address: str = "127.0.0.1:0") -> Iterator[Collector]:
    """A collector over gRPC."""
    collector = Collector()
    server = grpc.server(ThreadPoolExecutor(4))
    # The library's functions have no types.
    add_traces: Any = trace_service_pb2_grpc.add_TraceServiceServicer_to_server
    add_logs: Any = logs_service_pb2_grpc.add_LogsServiceServicer_to_server
    add_traces(_Traces(collector), server)
    add_logs(_Logs(collector), server)
    port = server.add_insecure_port(address)
    collector.endpoint = f"http://127.0.0.1:{port}"
    server.start()
    try:
        yield collector
    finally:
        server.stop(0).wait()


@contextmanager
def http_collector() -> Iterator[Collector]:
    """A collector over HTTP."""
    collector = Collector()

    class Own(Handler):
        def do_POST(self) -> None:
            import gzip  # noqa: PLC0415  for this handler alone

            body = self.rfile.read(int(self.headers["content-length"]))
            if self.headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            collector.headers.append({key.lower(): value for key, value in self.headers.items()})
            if self.path == "/v1/traces":
                collector.traces.append(trace_service_pb2.ExportTraceServiceRequest.FromString(body))
            elif self.path == "/v1/logs":
                collector.logs_requests.append(logs_service_pb2.ExportLogsServiceRequest.FromString(body))
            self.answer(200 if self.path in {"/v1/traces", "/v1/logs"} else 404, "application/x-protobuf", b"")

    with serving(Own) as port:
        collector.endpoint = f"http://127.0.0.1:{port}"
        yield collector
