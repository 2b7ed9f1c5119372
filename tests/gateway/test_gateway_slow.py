"""Slow clients and slow servers: nothing is cut that no timeout says, memory stays bounded, and others are served."""

from __future__ import annotations

import json
import time
from contextlib import ExitStack, closing, suppress
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from support.gateway import faults
from support.gateway.endless import endless_events
from support.gateway.faulty import EVENTS, JSON, answer, faulty_server, properly
from support.gateway.running import gateway
from support.gateway.slow import MEBIBYTE, SlowClient, most_resident_bytes, resident_bytes, slow_clients
from support.proxies.envoy import PATIENCE_S
from support.setup import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.gateway.faulty import Connection, Fault, Faulty, Request
    from support.gateway.running import Gateway

EVERY_TOOL = {"version": "1", "name": "example", "default": "allow", "hide": ["secret"]}
LIST: dict[str, Any] = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
SLOW_CLIENTS = 24
GROWTH_BYTES = 48 * MEBIBYTE
"""The allowed growth of memory: enough for buffers of so many connections, and far less than they were sent."""


def call(tool: str) -> dict[str, Any]:
    """A call of a tool."""
    return {"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": {"name": tool, "arguments": {}}}


def post(url: str, message: dict[str, Any]) -> httpx.Response:
    """The whole answer to a message."""
    return httpx.post(url, json=message, headers={"accept": f"{JSON}, {EVENTS}"}, timeout=PATIENCE_S)


def by_tool(**by_name: Fault) -> Fault:
    """A fault for each tool, and for the others none."""

    def fault(connection: Connection, request: Request) -> None:
        name = request.message["params"]["name"]
        by_name.get(name, properly)(connection, request)

    return fault


def assert_others_are_served(running: Gateway) -> None:
    """Checks that calls of another client are answered."""
    for _ in range(20):
        assert post(running.url("s"), call("open")).json()["result"]["content"][0]["text"] == "open done"


@pytest.fixture
def faulty() -> Iterator[Faulty]:
    with faulty_server() as faulty:
        yield faulty


# Slow clients.


@pytest.mark.parametrize("size_bytes", [40 * MEBIBYTE])
def test_large_results_are_not_kept_for_clients_that_do_not_read(
    tmp_path: Path, faulty: Faulty, size_bytes: int
) -> None:
    faulty.on("tools/call", by_tool(large=faults.large_result(size_bytes)))
    with gateway(tmp_path, {"s": faulty.url}, EVERY_TOOL) as running:
        assert_others_are_served(running)
        pid = running.sidecar.process.pid
        running.await_control_plane()
        before = resident_bytes(pid)
        with slow_clients(running.address, SLOW_CLIENTS) as clients:
            for client in clients:
                client.send(call("large"))
            for client in clients:
                assert client.read(200).startswith(b"HTTP/1.1 200 ")
            assert_others_are_served(running)
            assert most_resident_bytes(pid, 1.0) - before < GROWTH_BYTES
            assert b"xxxx" in clients[0].read(2_000, 0.001), "it goes on for who reads byte by byte"
        assert_others_are_served(running)


@pytest.mark.parametrize("message", [call("endless"), LIST], ids=["a call", "a list that is cut"])
def test_streams_wait_for_clients_that_do_not_read(tmp_path: Path, faulty: Faulty, message: dict[str, Any]) -> None:
    faulty.on("tools/call", by_tool(endless=endless_events))
    faulty.on("tools/list", endless_events)
    with gateway(tmp_path, {"s": faulty.url}, EVERY_TOOL) as running:
        assert_others_are_served(running)
        pid = running.sidecar.process.pid
        running.await_control_plane()
        before = resident_bytes(pid)
        with ExitStack() as clients:
            for _ in range(SLOW_CLIENTS):
                # Not before its turn: a connection that asks nothing for long is closed.
                client = clients.enter_context(closing(SlowClient(running.address)))
                client.send(message)
                assert b"notifications/progress" in client.read(1_000)
            assert_others_are_served(running)
            assert most_resident_bytes(pid, 1.0) - before < GROWTH_BYTES
        # Their servers learn of it.
        until(lambda: sum(connection.open for connection in faulty.connections) <= 2)


def test_a_body_that_comes_byte_by_byte_is_a_body(tmp_path: Path, faulty: Faulty) -> None:
    with (
        gateway(tmp_path, {"s": faulty.url}, EVERY_TOOL) as running,
        closing(SlowClient(running.address)) as client,
    ):
        client.dribble(call("open"), 0.005)
        assert b"open done" in client.read_until(b"done")
    assert faulty.asked("tools/call")[0].message == call("open")


def test_bodies_that_do_not_end_hold_a_bounded_memory(tmp_path: Path, faulty: Faulty) -> None:
    limits = {"unfinished_limit_bytes": "16MiB", "body_limit_bytes": "4MiB", "message_timeout": "5s"}
    with gateway(tmp_path, {"s": faulty.url}, EVERY_TOOL, limits=limits) as running:
        assert_others_are_served(running)
        pid = running.sidecar.process.pid
        running.await_control_plane()
        before = resident_bytes(pid)
        with slow_clients(running.address, SLOW_CLIENTS) as clients:
            waiting = []
            for client in clients:
                client.begin(4 * MEBIBYTE)
                # Where there is no room the connection is closed, perhaps before all was sent.
                with suppress(ConnectionError):
                    client.socket.sendall(bytes(4 * MEBIBYTE - 1))
                    waiting.append(client)
            assert_others_are_served(running)
            assert most_resident_bytes(pid, 1.0) - before < GROWTH_BYTES, "of 96 MiB that were sent"
            statuses = {client.status() for client in waiting}
        assert "408" in statuses, "what had room was waited for"
        assert statuses <= {"408", "503", ""}
    assert all(request.message["params"]["name"] == "open" for request in faulty.asked("tools/call"))


# Slow servers.

PAUSE_S = 1.5
SHORT = {"answer_timeout": "700ms", "connect_timeout": "700ms"}
SHORT_LIMITS = {"message_timeout": "700ms", "header_timeout": "700ms", "opening_timeout": "700ms"}


def late_body(connection: Connection, request: Request) -> None:
    """The head at once, and the body a while later, in two parts."""
    body = json.dumps(answer(request)).encode()
    connection.head(200, {"content-type": JSON, "content-length": str(len(body))})
    time.sleep(PAUSE_S)
    connection.send(body[:10])
    time.sleep(PAUSE_S)
    connection.send(body[10:])


def late_events(connection: Connection, request: Request) -> None:
    """Events with long pauses, also within one."""
    event = faults.event(answer(request))
    connection.chunked(EVENTS)
    for piece in (faults.event(faults.progress(1)), event[:30], event[30:]):
        time.sleep(PAUSE_S)
        connection.chunk(piece)
    connection.chunk(b"")


@pytest.mark.parametrize("fault", [late_body, late_events])
def test_a_reply_that_has_begun_is_not_cut(tmp_path: Path, faulty: Faulty, fault: Fault) -> None:
    faulty.on("tools/call", fault)
    with gateway(tmp_path, {"s": {"url": faulty.url, **SHORT}}, EVERY_TOOL, limits=SHORT_LIMITS) as running:
        assert b"open done" in post(running.url("s"), call("open")).content


def test_a_stream_that_holds_a_list_is_not_cut_either(tmp_path: Path, faulty: Faulty) -> None:
    faulty.on("tools/list", late_events)
    with gateway(tmp_path, {"s": {"url": faulty.url, **SHORT}}, EVERY_TOOL, limits=SHORT_LIMITS) as running:
        listed = post(running.url("s"), LIST).content
    assert b'"open"' in listed
    assert b"secret" not in listed


def test_a_silent_stream_stays_open(tmp_path: Path, faulty: Faulty) -> None:
    faulty.on("GET", faults.silent_stream)
    with gateway(tmp_path, {"s": {"url": faulty.url, **SHORT}}, EVERY_TOOL, limits=SHORT_LIMITS) as running:
        client = httpx.Client(timeout=PATIENCE_S)
        with client, client.stream("GET", running.url("s"), headers={"accept": EVENTS}) as stream:
            pieces = stream.iter_raw()
            assert next(pieces) == b": here\n\n"
            time.sleep(2 * PAUSE_S)
            [connection] = [one for one in faulty.connections if one.open]
            assert_others_are_served(running)
            assert connection.open


def test_a_head_that_is_late_is_waited_for_as_long_as_is_said(tmp_path: Path, faulty: Faulty) -> None:
    def late(connection: Connection, request: Request) -> None:
        time.sleep(PAUSE_S)
        properly(connection, request)

    faulty.on("tools/call", late)
    for timeout, expected in (("30s", "open done"), ("700ms", "nobody knows")):
        upstream = {"url": faulty.url, "answer_timeout": timeout}
        with gateway(tmp_path, {"s": upstream}, EVERY_TOOL) as running:
            text = post(running.url("s"), call("open")).json()["result"]["content"][0]["text"]
        assert expected in text
