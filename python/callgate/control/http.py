"""The admin HTTP port: ``/metrics``, ``/healthz`` and ``/readyz``."""

from __future__ import annotations

import ipaddress
import json
import socket
import sys
import time
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Condition, Thread
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from prometheus_client.exposition import choose_encoder

from callgate._callgate import descriptor_limit
from callgate.config.address import is_loopback
from callgate.control import logs
from callgate.errors import ConfigError
from callgate.text import quoted

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

    from callgate.control.readiness import Serving

_TIMEOUT_S: Final = 10.0
"""Longest silence of a connection, so that slow clients cannot occupy threads forever."""

_BACKLOG: Final = 1_024
"""Connections that the system keeps until they are accepted. Beyond them it drops the first packet, which the client
repeats after a second: a probe has timed out by then."""

_MOST_CONNECTIONS: Final = 64
"""Highest number of open connections, each with a thread: at most half of the file descriptors that the data plane
leaves free, because reloads need the others. A new connection beyond it closes the oldest idle one."""

_LEAST_CONNECTIONS: Final = 4
"""Highest number of open connections under the lowest limit of file descriptors."""

_REFUSED_PAUSE_S: Final = 0.1
_MAX_PORT: Final = 65_535
_TEXT: Final = "text/plain; charset=utf-8"
_JSON: Final = "application/json"


class AdminServer:
    """The admin HTTP server; answers on its own threads until it is stopped."""

    def __init__(self, listen: str, registry: CollectorRegistry) -> None:
        """Binds `listen`, such as ``127.0.0.1:9193``; `start` begins to answer.

        Raises:
            ConfigError: The address cannot be bound.
        """
        try:
            host, port = _split(listen)
        except ValueError:
            message = f"cannot listen on `{listen}`: expected an IP address and a port, such as `127.0.0.1:9193`"
            raise ConfigError(message) from None
        try:
            self._server = (_HTTPServer6 if ":" in host else _HTTPServer)(host, port, registry)
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            message = f"cannot listen on `{listen}`: {reason}; stop the other process or choose another with --admin"
            raise ConfigError(message) from None
        self._thread = Thread(target=self._server.serve_forever, name="callgate-admin", daemon=True)

    @property
    def address(self) -> str:
        """The bound address."""
        host, port = self._server.server_address[:2]
        shown = str(host)
        return f"[{shown}]:{port}" if ":" in shown else f"{shown}:{port}"

    def start(self) -> None:
        """Starts to answer; ``/readyz`` is 503 until `set_ready`."""
        self._thread.start()

    def set_ready(self, *, ready: bool) -> None:
        """Sets the answer of ``/readyz``."""
        self._server.ready = ready

    def set_serving(self, serving: Serving) -> None:
        """Sets the configuration that ``/readyz`` describes."""
        self._server.serving = serving

    def set_upstream_faults(self, faults: list[tuple[str, str]]) -> None:
        """Sets the servers, with the reasons, that ``/readyz`` names as no MCP servers; it stays as ready as it is."""
        self._server.upstream_faults = faults

    def set_failure(self, failure: str | None) -> None:
        """Sets the reason for which ``/readyz`` is 503, whatever `set_ready` says; None clears it."""
        self._server.failure = failure

    def stop(self) -> None:
        """Closes the port."""
        if self._thread.is_alive():
            self._server.shutdown()
        self._server.server_close()


def _split(listen: str) -> tuple[str, int]:
    host, _, port = listen.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    ipaddress.ip_address(host)
    number = int(port)
    if not 0 <= number <= _MAX_PORT:
        raise ValueError(port)
    return host, number


def _most_connections() -> int:
    limit = descriptor_limit()
    if limit is None:
        return _MOST_CONNECTIONS
    _, reserved = limit
    return max(_LEAST_CONNECTIONS, min(_MOST_CONNECTIONS, reserved // 2))


class _Connections:
    """The open connections, oldest first, each marked as idle or being answered."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._answered: dict[socket.socket, bool] = {}
        self._changed = Condition()

    def add(self, connection: socket.socket) -> None:
        """Adds a connection; if there is no room, closes another one first and waits for its end."""
        with self._changed:
            while len(self._answered) >= self._most:
                self._close_one()
                self._changed.wait(_REFUSED_PAUSE_S)
            self._answered[connection] = False

    def remove(self, connection: socket.socket) -> None:
        """Removes a closed connection."""
        with self._changed:
            self._answered.pop(connection, None)
            self._changed.notify()

    def mark(self, connection: socket.socket, *, answered: bool) -> None:
        """Marks a connection as being answered or as idle."""
        with self._changed:
            if connection in self._answered:
                self._answered[connection] = answered

    def _close_one(self) -> None:
        """Closes the oldest idle connection, else the oldest one, whose client may not read its answer."""
        idle = (one for one, answered in self._answered.items() if not answered)
        oldest = next(idle, None) or next(iter(self._answered))
        # The connection's own thread closes it when it reads the end or cannot write.
        with suppress(OSError):
            oldest.shutdown(socket.SHUT_RDWR)


class _HTTPServer(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = _BACKLOG

    def __init__(self, host: str, port: int, registry: CollectorRegistry) -> None:
        self.registry = registry
        self.ready = False
        self.failure: str | None = None
        self.serving: Serving | None = None
        self.upstream_faults: list[tuple[str, str]] = []
        self.connections = _Connections(_most_connections())
        self.answers_loopback_alone = is_loopback(host)
        super().__init__((host, port), _Handler)

    def get_request(self) -> tuple[socket.socket, Any]:
        try:
            return super().get_request()
        except OSError:
            # Out of file descriptors: the connection waits, and this thread pauses before it tries again.
            time.sleep(_REFUSED_PAUSE_S)
            raise

    def process_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401  the base class's types
        self.connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:  # noqa: ANN401  as above
        """Closes and removes a connection."""
        super().shutdown_request(request)
        self.connections.remove(request)

    def handle_error(self, request: object, client_address: object) -> None:  # noqa: ARG002  the base class's names
        """Logs one line; the base class would print a traceback."""
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):  # a client that went away
            logs.log("error", "admin_request_failed", {"error": repr(error)})


class _HTTPServer6(_HTTPServer):
    address_family = socket.AF_INET6


class _Handler(BaseHTTPRequestHandler):
    server: _HTTPServer
    protocol_version = "HTTP/1.1"
    server_version = "callgate"
    sys_version = ""
    timeout = _TIMEOUT_S

    def do_GET(self) -> None:
        self.server.connections.mark(self.connection, answered=True)
        status, body, content_type = self._page()
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
        self.server.connections.mark(self.connection, answered=False)

    def do_HEAD(self) -> None:
        self.do_GET()

    def _page(self) -> tuple[HTTPStatus, bytes, str]:
        if self.server.answers_loopback_alone and not self._names_loopback():
            # A web page can point its own name at 127.0.0.1 (DNS rebinding), but it cannot set this header.
            return HTTPStatus.FORBIDDEN, b"this port answers to loopback names alone\n", _TEXT
        match self.path.partition("?")[0]:
            case "/metrics":
                try:
                    encode, content_type = choose_encoder(self.headers.get("Accept", ""))
                except (ValueError, LookupError, TypeError):
                    # The library cannot parse every header that a client can send.
                    encode, content_type = choose_encoder("")
                return HTTPStatus.OK, encode(self.server.registry), content_type
            case "/healthz":
                return HTTPStatus.OK, b"ok\n", _TEXT
            case "/readyz":
                return self._readiness()
            case _:
                return HTTPStatus.NOT_FOUND, b"expected /metrics, /healthz or /readyz\n", _TEXT

    def _readiness(self) -> tuple[HTTPStatus, bytes, str]:
        failure, serving, faults = self.server.failure, self.server.serving, self.server.upstream_faults
        ready = self.server.ready and failure is None
        status = HTTPStatus.OK if ready else HTTPStatus.SERVICE_UNAVAILABLE
        if "application/json" in self.headers.get("Accept", ""):
            document = {
                "ready": ready,
                "failure": failure,
                "upstream_faults": dict(faults),
                **(serving.fields() if serving else {}),
            }
            return status, json.dumps(document).encode() + b"\n", _JSON
        lines = ["ready" if ready else "not ready", failure or "", serving.text() if serving else ""]
        lines += [f"the server {quoted(name)} does not answer as an MCP server: {fault}" for name, fault in faults]
        return status, "".join(f"{line}\n" for line in lines if line).encode(), _TEXT

    def _names_loopback(self) -> bool:
        names = [f"//{self.headers.get('Host', '')}", self.headers.get("Origin")]
        try:
            return all(is_loopback((urlsplit(name).hostname or "").rstrip(".")) for name in names if name is not None)
        except ValueError:
            return False

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the name of the method it overrides
        """Logs nothing: scrapes come every few seconds and carry no information."""
