"""The admin HTTP port, a transport of the pages; also the server of the control socket."""

from __future__ import annotations

import ipaddress
import socket
import sys
import time
from contextlib import closing, suppress
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Condition, Thread
from typing import TYPE_CHECKING, Any, Final, cast

from callgate._callgate import descriptor_limit
from callgate.config.address import is_loopback
from callgate.control import logs
from callgate.control.pages import LARGEST_BODY_BYTES, BodyError, Origin, Request
from callgate.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from callgate.control.pages import Pages

_TIMEOUT_S: Final = 10.0
"""Longest silence of a connection, so that slow clients cannot occupy threads forever."""

_BACKLOG: Final = 1_024
"""Connections that the system keeps until they are accepted. Beyond them it drops the first packet, which the client
repeats after a second: a probe has timed out by then."""

_MOST_CONNECTIONS: Final = 64
"""Highest number of open connections, each with a thread: at most half of the file descriptors that the data plane
leaves free, because reloads need the others. A new connection beyond it closes another one, operators' last."""

_LEAST_CONNECTIONS: Final = 4
"""Highest number of open connections under the lowest limit of file descriptors."""

_REFUSED_PAUSE_S: Final = 0.1
_ROOM_PATIENCE_S: Final = 2.0
"""Longest wait of an operator's request for room among those of other operators."""

_MAX_PORT: Final = 65_535
_LENGTH_DIGITS: Final = 9
"""Most digits of a length that is read; more are too long in any case."""


class AdminServer:
    """The admin HTTP server; answers on its own threads until it is stopped."""

    def __init__(self, listen: str, pages: Pages) -> None:
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
            origin = Origin(is_socket=False, is_loopback=is_loopback(host))
            self._server = (_HTTPServer6 if ":" in host else HTTPServer)((host, port), pages, origin)
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            message = f"cannot listen on `{listen}`: {reason}; stop the other process or choose another with --admin"
            raise ConfigError(message) from None
        self._listening = Listening(self._server, "callgate-admin")

    @property
    def address(self) -> str:
        """The bound address."""
        host, port = self._server.server_address[:2]
        shown = str(host)
        return f"[{shown}]:{port}" if ":" in shown else f"{shown}:{port}"

    def start(self) -> None:
        """Starts to answer."""
        self._listening.start()

    def stop(self) -> None:
        """Closes the port."""
        self._listening.stop()


class Listening:
    """A server that answers on a thread of its own."""

    def __init__(self, server: HTTPServer, name: str) -> None:
        """Takes a bound server, and the name of the thread."""
        self._server = server
        self._thread = Thread(target=server.serve_forever, name=name, daemon=True)

    def start(self) -> None:
        """Starts to answer."""
        self._thread.start()

    def stop(self) -> None:
        """Closes the listener."""
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


@dataclass
class _Use:
    """The use of an open connection."""

    is_answered: bool = False
    """True while a request is being answered, false while the next one is awaited."""
    is_operator: bool = False
    """True once it has carried a request of somebody who may ask for the routes of operators."""
    is_closed: bool = False
    """True once it was closed to make room; its thread has not noticed yet."""

    @property
    def worth(self) -> tuple[bool, bool]:
        """The order in which connections are closed, the least first."""
        return self.is_operator, self.is_answered


class _Connections:
    """The open connections, oldest first.

    Nobody without the right to ask can end an operator's stream, and no operator's request can stop the others from
    being answered: at most all but one of the connections are operators'. The thread of any other one ends as soon as
    it is closed, because it waits for its client alone.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._uses: dict[socket.socket, _Use] = {}
        self._changed = Condition()

    def add(self, connection: socket.socket) -> None:
        """Adds a connection; if there is no room, closes another one first and waits for its end."""
        with self._changed:
            while len(self._uses) >= self._most:
                self._close_one(self._uses)
                self._changed.wait(_REFUSED_PAUSE_S)
            self._uses[connection] = _Use()

    def remove(self, connection: socket.socket) -> None:
        """Removes a closed connection."""
        with self._changed:
            self._uses.pop(connection, None)
            self._changed.notify_all()

    def mark(self, connection: socket.socket, *, answered: bool) -> None:
        """Marks a connection as being answered or as idle."""
        with self._changed:
            if connection in self._uses:
                self._uses[connection].is_answered = answered

    def is_admitted(self, connection: socket.socket) -> bool:
        """Makes a connection an operator's; closes another operator's if they have too many.

        Waits on the connection's own thread, and returns false if there is no room for it in time.
        """
        end = time.monotonic() + _ROOM_PATIENCE_S
        with self._changed:
            use = self._uses.get(connection, _Use())
            while not use.is_operator and not use.is_closed:
                operators = {one: other for one, other in self._uses.items() if other.is_operator}
                if len(operators) < self._most - 1:
                    use.is_operator = True
                elif time.monotonic() >= end:
                    return False
                else:
                    # One at a time: what was closed may be slow to end, such as a request that waits for a disk.
                    if not any(other.is_closed for other in operators.values()):
                        self._close_one(operators)
                    self._changed.wait(_REFUSED_PAUSE_S)
            return use.is_operator

    @staticmethod
    def _close_one(uses: Mapping[socket.socket, _Use]) -> None:
        """Closes the oldest of those that are worth least; a client that is being answered may not read its answer."""
        oldest = min(uses, key=lambda connection: uses[connection].worth)
        uses[oldest].is_closed = True
        # The connection's own thread closes it when it reads the end or cannot write.
        with suppress(OSError):
            oldest.shutdown(socket.SHUT_RDWR)


class HTTPServer(ThreadingHTTPServer):
    """A server of the pages, with bounds on its connections."""

    daemon_threads = True
    request_queue_size = _BACKLOG

    def __init__(
        self,
        address: str | tuple[str, int],
        pages: Pages,
        origin: Origin,
        *,
        most_connections: int | None = None,
    ) -> None:
        """Binds the address."""
        self.pages = pages
        self.origin = origin
        self.connections = _Connections(most_connections or _most_connections())
        # The base class takes a path as well, for other address families.
        super().__init__(cast("tuple[str, int]", address), _Handler)

    def get_request(self) -> tuple[socket.socket, Any]:
        """Accepts a connection."""
        try:
            return super().get_request()
        except OSError:
            # Out of file descriptors: the connection waits, and this thread pauses before it tries again.
            time.sleep(_REFUSED_PAUSE_S)
            raise

    def process_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401  the base class's types
        """Answers a connection on a thread of its own."""
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


class _HTTPServer6(HTTPServer):
    address_family = socket.AF_INET6


class _Handler(BaseHTTPRequestHandler):
    server: HTTPServer
    protocol_version = "HTTP/1.1"
    server_version = "callgate"
    sys_version = ""
    timeout = _TIMEOUT_S

    def do_GET(self) -> None:
        self.server.connections.mark(self.connection, answered=True)
        self._has_body = any(name in self.headers for name in ("Content-Length", "Transfer-Encoding"))
        request = Request(self.command, self.path.partition("?")[0], self.headers, self._body)
        answer = self.server.pages.answer(request, self.server.origin)
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.content_type)
        if answer.lines is None:
            self.send_header("Content-Length", str(len(answer.body)))
        self.send_header("Cache-Control", "no-store")
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if self._has_body or answer.lines is not None:
            # What was not read would be taken for the next request; lines end with the connection.
            self.send_header("Connection", "close")
        self.end_headers()
        if answer.lines is not None:
            with closing(answer.lines) as lines:
                for line in lines:
                    self.wfile.write(line)
        elif self.command != "HEAD":
            self.wfile.write(answer.body)
        self.server.connections.mark(self.connection, answered=False)

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_POST(self) -> None:
        self.do_GET()

    def _body(self) -> bytes:
        if not self.server.connections.is_admitted(self.connection):
            message = "too many requests of operators are being answered; try again"
            raise BodyError(HTTPStatus.SERVICE_UNAVAILABLE, message)
        length = self.headers.get("Content-Length", "0")
        if "Transfer-Encoding" in self.headers or not (length.isascii() and length.isdigit()):
            raise BodyError(HTTPStatus.LENGTH_REQUIRED, "expected a body with its `Content-Length`")
        if int(length[:_LENGTH_DIGITS]) > LARGEST_BODY_BYTES or len(length) > _LENGTH_DIGITS:
            message = f"the body is longer than {LARGEST_BODY_BYTES} bytes"
            raise BodyError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, message)
        body = self.rfile.read(int(length))
        if len(body) < int(length):
            raise BodyError(HTTPStatus.BAD_REQUEST, "the body ends before its `Content-Length`")
        self._has_body = False
        return body

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the name of the method it overrides
        """Logs nothing: scrapes come every few seconds and carry no information."""
