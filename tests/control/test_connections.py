"""The connections of the admin port: whose stay open when there are too many, and who waits for whom."""

from __future__ import annotations

import http.client
import json
import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from threading import Event, Semaphore
from typing import Any

import pytest

from callgate import Client, Engine, Server
from callgate.control.metrics import ServerCollector, registry
from callgate.control.port.address import BoundAddress
from callgate.control.port.http import AdminServer
from callgate.control.port.pages import Pages
from callgate.control.port.routes import STATUS, TAIL, Routes

TOKEN = "t" * 40
BEARER = {"Authorization": f"Bearer {TOKEN}"}
POLICY: dict[str, Any] = {"version": "1", "name": "p", "default": "allow"}


class Sidecar:
    """An admin port, whose status can be held back as a stalled disk would."""

    def __init__(self, engine: Engine, server: Server, client: Client) -> None:
        self.client = client
        self.held = Semaphore(0)
        self.go_on = Event()
        self.go_on.set()
        pages = Pages(registry(ServerCollector(server)))
        pages.token = TOKEN
        pages.ready = True
        pages.routes = Routes(engine, server, self._status)
        self.admin = AdminServer(BoundAddress("127.0.0.1:0"), pages)
        self.admin.start()

    def _status(self) -> dict[str, Any]:
        self.held.release()
        assert self.go_on.wait(60)
        return {"pid": os.getpid()}

    def stop(self) -> None:
        self.go_on.set()
        self.admin.stop()

    def connect(self) -> socket.socket:
        host, _, port = self.admin.address.rpartition(":")
        return socket.create_connection((host, int(port)), timeout=20)

    def health(self) -> int:
        connection = http.client.HTTPConnection(self.admin.address, timeout=20)
        try:
            connection.request("GET", "/healthz")
            return connection.getresponse().status
        finally:
            connection.close()

    def ask(self, stack: ExitStack, method: str, path: str, body: bytes | None = None) -> http.client.HTTPConnection:
        """A request of an operator, whose answer is not read yet."""
        connection = http.client.HTTPConnection(self.admin.address, timeout=20)
        stack.callback(connection.close)
        connection.request(method, path, body, BEARER)
        return connection

    def tail(self, stack: ExitStack) -> http.client.HTTPResponse:
        """A stream of decisions that has begun."""
        response = self.ask(stack, "POST", TAIL, b"{}").getresponse()
        assert response.status == 200
        assert response.readline() == b"\n"
        return response

    def sees(self, stream: http.client.HTTPResponse, grant: str) -> bool:
        """True if a stream shows a decision that is made now; false if it has ended."""
        self.client.check(grant=grant, tool="t")
        lines = iter(stream.readline, b"")
        return any(line.strip() and json.loads(line).get("grant") == grant for line in lines)


@pytest.fixture
def sidecar() -> Iterator[Sidecar]:
    engine = Engine.from_dict(POLICY, counter_capacity=64)
    with Server(engine, workers=1, grace_ms=0) as server, Client(str(server.address)) as client:
        sidecar = Sidecar(engine, server, client)
        yield sidecar
        sidecar.stop()


@pytest.fixture
def four(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("callgate.control.port.http._MOST_CONNECTIONS", 4)


@pytest.mark.parametrize(
    "sent", [b"", b"POST /v1/tail HTTP/1.1\r\nHost:", b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n"]
)
def test_nobody_without_the_token_ends_a_stream(sidecar: Sidecar, sent: bytes) -> None:
    with ExitStack() as stack:
        stream = sidecar.tail(stack)
        for _ in range(200):
            stack.enter_context(sidecar.connect()).sendall(sent)
        assert sidecar.health() == 200
        assert sidecar.sees(stream, "after the crowd")


@pytest.mark.usefixtures("four")
def test_nobody_who_asks_and_does_not_read_ends_a_stream(sidecar: Sidecar) -> None:
    """Its requests are being answered all the time, as the stream is."""
    with ExitStack() as stack:
        stream = sidecar.tail(stack)
        for _ in range(10):
            deaf = stack.enter_context(sidecar.connect())
            deaf.setblocking(False)
            deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
            with suppress(BlockingIOError):
                while True:
                    deaf.send(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n" * 1_000)
        assert sidecar.health() == 200
        assert sidecar.sees(stream, "after the crowd")


@pytest.mark.usefixtures("four")
def test_an_operator_who_follows_too_often_ends_the_oldest_stream(sidecar: Sidecar) -> None:
    with ExitStack() as stack:
        streams = [sidecar.tail(stack) for _ in range(4)]
        for _ in range(20):
            assert sidecar.health() == 200
        seen = [sidecar.sees(stream, f"g{number}") for number, stream in enumerate(streams)]
        assert seen == [False, True, True, True]


@pytest.mark.usefixtures("four")
def test_an_idle_connection_of_an_operator_is_closed_before_a_stream(sidecar: Sidecar) -> None:
    with ExitStack() as stack:
        stream = sidecar.tail(stack)
        idle = [sidecar.ask(stack, "GET", STATUS) for _ in range(2)]
        for connection in idle:
            connection.getresponse().read()
        others = [sidecar.tail(stack) for _ in range(2)]
        for number, one in enumerate([stream, *others]):
            assert sidecar.sees(one, f"g{number}")


@pytest.mark.usefixtures("four")
def test_a_stalled_disk_holds_up_nobody_else(sidecar: Sidecar) -> None:
    sidecar.go_on.clear()
    with ExitStack() as stack:
        waiting = [sidecar.ask(stack, "GET", STATUS) for _ in range(3)]
        for _ in waiting:
            assert sidecar.held.acquire(timeout=20)
        for _ in range(10):
            assert sidecar.health() == 200
        refused = sidecar.ask(stack, "GET", STATUS).getresponse()
        assert (refused.status, refused.headers["Retry-After"]) == (503, "1")
        assert "are being answered" in json.loads(refused.read())["error"]
        sidecar.go_on.set()
        # The oldest was closed for the one that was refused.
        assert [connection.getresponse().status for connection in waiting[1:]] == [200, 200]
        assert sidecar.ask(stack, "GET", STATUS).getresponse().status == 200
