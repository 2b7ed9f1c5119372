"""An MCP server made of sockets and bytes, which answers properly until a test sets a fault.

A fault is a function of a connection and a request: it may answer wrongly, slowly, partly or not at all. It is set for
one method, so that a client completes its handshake before it meets the fault. See `faults` for all of them.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import select
import socket
import struct
import termios
import time
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from threading import Event, Lock, Thread
from typing import TYPE_CHECKING, Any

from support.proxies.envoy import PATIENCE_S

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

JSON = "application/json"
EVENTS = "text/event-stream"
TOOLS = [
    {"name": name, "description": f"Tool {name}.", "inputSchema": {"type": "object"}}
    for name in ("open", "secret", "small")
]
"""The offered tools, in order."""


@dataclass(frozen=True)
class Request:
    """One request, with all of its body."""

    method: str
    target: str
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str | None:
        """The first value of a header by its lower-case name."""
        return next((value for key, value in self.headers if key.lower() == name), None)

    @cached_property
    def message(self) -> dict[str, Any]:
        """The JSON-RPC message; empty if there is none."""
        try:
            read = json.loads(self.body)
        except ValueError:
            return {}
        return read if isinstance(read, dict) else {}

    @property
    def asks(self) -> str:
        """The message's method, else that of HTTP."""
        method = self.message.get("method")
        return method if isinstance(method, str) else self.method


class Connection:
    """A client's connection. Failures to send are ignored, because the client may have disconnected."""

    def __init__(self, client: socket.socket, let_go: Event) -> None:
        self.client = client
        self.let_go = let_go
        self.open = True
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.incoming = client.makefile("rb")

    def read(self) -> Request | None:
        """The next request; None if the client has disconnected or stops halfway."""
        try:
            first = self.incoming.readline()
            if not first.endswith(b"\r\n"):
                return None
            method, target, _ = first.decode("latin-1").split(" ", 2)
            headers = []
            while line := self.incoming.readline().decode("latin-1").rstrip("\r\n"):
                name, _, value = line.partition(":")
                headers.append((name, value.strip()))
            bare = Request(method, target, headers, b"")
            return Request(method, target, headers, self._read_body(bare))
        except (OSError, ValueError):
            return None

    def _read_body(self, request: Request) -> bytes:
        if (request.header("transfer-encoding") or "").lower() != "chunked":
            wanted = int(request.header("content-length") or 0)
            body = self.incoming.read(wanted)
            if len(body) < wanted:
                raise ValueError("broken off")
            return body
        parts = []
        while size := int(self.incoming.readline().split(b";")[0], 16):
            parts.append(self.incoming.read(size))
            self.incoming.readline()
        self.incoming.readline()
        return b"".join(parts)

    def send(self, data: bytes) -> bool:
        """Sends it at once, as a separate segment; returns true if the client was still connected."""
        try:
            self.client.sendall(data)
        except OSError:
            self.open = False
        return self.open

    def head(self, status: int, headers: Mapping[str, str]) -> bool:
        """Sends the head of a response."""
        fields = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        return self.send(f"HTTP/1.1 {status} Status\r\n{fields}\r\n".encode("latin-1"))

    def answer(self, status: int, body: bytes, headers: Mapping[str, str]) -> bool:
        """A whole response of known length, head and body together."""
        fields = {"content-length": str(len(body)), **headers}
        lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        return self.send(f"HTTP/1.1 {status} Status\r\n{lines}\r\n".encode("latin-1") + body)

    def chunked(self, kind: str, headers: Mapping[str, str] | None = None) -> bool:
        """Begins a response of unknown length."""
        return self.head(200, {"content-type": kind, "transfer-encoding": "chunked", **(headers or {})})

    def chunk(self, data: bytes) -> bool:
        """A piece of it; none ends it."""
        return self.send(b"%x\r\n%s\r\n" % (len(data), data))

    def slowly(self, data: bytes, piece_bytes: int, pause_s: float) -> None:
        """Sends it in pieces with a pause after each; sends the rest at once when the test ends the wait."""
        for start in range(0, len(data), piece_bytes):
            if not self.send(data[start : start + piece_bytes]):
                return
            if self.let_go.wait(pause_s):
                self.send(data[start + piece_bytes :])
                return

    def wait(self) -> None:
        """Waits until the client disconnects or the test ends the wait."""
        deadline = time.monotonic() + PATIENCE_S
        while not self.let_go.is_set() and time.monotonic() < deadline:
            readable, _, _ = select.select([self.client], [], [], 0.02)
            if readable and not self._peek():
                return

    def await_next(self) -> None:
        """Returns when bytes of the next request have arrived, and reads none of them."""
        select.select([self.client], [], [], PATIENCE_S)

    def _peek(self) -> bytes:
        try:
            return self.client.recv(1, socket.MSG_PEEK)
        except OSError:
            return b""

    def delivered(self) -> None:
        """Returns when the client's system has received everything, even if the client has not read it."""
        deadline = time.monotonic() + PATIENCE_S
        while self.open and time.monotonic() < deadline:
            unsent = fcntl.ioctl(self.client, termios.TIOCOUTQ, b"\0" * 4)
            if unsent == b"\0" * 4:
                return
            time.sleep(0.001)

    def reset(self) -> None:
        """Resets the connection when everything sent has arrived: the client's system sees an error, not an end."""
        with contextlib.suppress(OSError):
            self.delivered()
            self.client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def close(self) -> None:
        """Ends it."""
        self.open = False
        with contextlib.suppress(OSError):
            self.incoming.close()
            self.client.close()


Fault = Callable[[Connection, Request], object]
"""A function that answers with a fault; its result is ignored."""


@dataclass
class Faulty:
    """A running server. `arrived` contains every completely read request; `let_go` ends all waits and delays."""

    port: int
    arrived: list[Request] = field(default_factory=list)
    faults: dict[str, Fault] = field(default_factory=dict)
    let_go: Event = field(default_factory=Event)
    connections: list[Connection] = field(default_factory=list)
    lock: Lock = field(default_factory=Lock)

    @property
    def url(self) -> str:
        """The URL of the server."""
        return f"http://127.0.0.1:{self.port}/mcp"

    def on(self, asks: str, fault: Fault) -> None:
        """Sets the fault of a method (of JSON-RPC, or of HTTP if there is no message)."""
        self.faults[asks] = fault

    def asked(self, asks: str) -> list[Request]:
        """The received requests of one method."""
        with self.lock:
            return [request for request in self.arrived if request.asks == asks]

    def serve(self, client: socket.socket) -> None:
        """Answers one connection's requests until it ends."""
        connection = Connection(client, self.let_go)
        with self.lock:
            self.connections.append(connection)
        while connection.open and (request := connection.read()) is not None:
            with self.lock:
                self.arrived.append(request)
            self.faults.get(request.asks, properly)(connection, request)
        connection.close()


@contextmanager
def faulty_server(faults: Mapping[str, Fault] | None = None, at: int = 0) -> Iterator[Faulty]:
    """Serves on a free port, or `at` one, until the end."""
    listener = socket.create_server(("127.0.0.1", at), backlog=128)
    running = Faulty(listener.getsockname()[1], faults=dict(faults or {}))
    threads = []

    def accept() -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            thread = Thread(target=running.serve, args=(client,), daemon=True)
            thread.start()
            threads.append(thread)

    accepting = Thread(target=accept, daemon=True)
    accepting.start()
    try:
        yield running
    finally:
        running.let_go.set()
        # This wakes a thread that waits in `accept`; a close would not.
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        accepting.join()
        for connection in running.connections:
            with contextlib.suppress(OSError):
                connection.client.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join(PATIENCE_S)


def properly(connection: Connection, request: Request) -> None:
    """The answer of a server without faults or sessions."""
    if not request.message:
        connection.answer(405, b"", {"allow": "POST"})
    elif "id" not in request.message or "method" not in request.message:
        connection.answer(202, b"", {})
    else:
        connection.answer(200, reply(request), {"content-type": JSON})


def reply(request: Request) -> bytes:
    """The JSON-RPC answer that a request should get."""
    return json.dumps(answer(request)).encode()


def answer(request: Request, **result: Any) -> dict[str, Any]:
    """The proper answer as JSON; `result` replaces members of its result."""
    given = request.message.get("params") or {}
    found = RESULTS[request.asks](given) if request.asks in RESULTS else {}
    return {"jsonrpc": "2.0", "id": request.message.get("id"), "result": {**found, **result}}


def initialized(params: dict[str, Any]) -> dict[str, Any]:
    """Accepts every requested version."""
    served = {"capabilities": {"tools": {}}, "serverInfo": {"name": "faulty", "version": "1"}}
    return {"protocolVersion": params.get("protocolVersion", "2025-11-25"), **served}


COMPLETE = {"resultType": "complete"}
"""Fields of results since 2026-07-28, which earlier clients ignore."""
CACHED = {**COMPLETE, "ttlMs": 0, "cacheScope": "public"}
RESULTS: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "initialize": initialized,
    "server/discover": lambda _: {"supportedVersions": ["2026-07-28"], "capabilities": {"tools": {}}, **CACHED},
    "tools/list": lambda _: {"tools": TOOLS, **CACHED},
    "tools/call": lambda params: {"content": [{"type": "text", "text": f"{params.get('name')} done"}], **COMPLETE},
}
