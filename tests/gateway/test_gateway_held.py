"""Lists are held until they are whole, and what is held is bounded."""

from __future__ import annotations

from contextlib import suppress
from threading import Thread
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from support.gateway.faulty import EVENTS, JSON, faulty_server, properly
from support.gateway.running import gateway
from support.gateway.slow import MEBIBYTE, most_resident_bytes, resident_bytes
from support.proxies.envoy import PATIENCE_S
from support.setup import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.gateway.faulty import Connection, Fault, Faulty, Request

EVERY_TOOL = {"version": "1", "name": "example", "default": "allow"}
ACCEPT = {"accept": f"{JSON}, {EVENTS}"}
LIST: dict[str, Any] = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
CALL: dict[str, Any] = {"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": {"name": "open", "arguments": {}}}


@pytest.fixture
def faulty() -> Iterator[Faulty]:
    with faulty_server() as faulty:
        yield faulty


CLIENTS = 16
HELD_BYTES = 8 * MEBIBYTE


def never_whole(kind: str) -> Fault:
    """A list that is long and does not come to its end, as JSON or as an event."""

    def fault(connection: Connection, _: Request) -> None:
        connection.chunked(kind)
        connection.chunk(b'data: {"x":"' if kind == EVENTS else b'{"x":"')
        connection.chunk(b"x" * HELD_BYTES)
        connection.wait()
        connection.close()

    return fault


@pytest.mark.parametrize("kind", [JSON, EVENTS])
def test_what_is_held_of_lists_is_bounded(tmp_path: Path, faulty: Faulty, kind: str) -> None:
    faulty.on("tools/list", never_whole(kind))
    limits = {"unfinished_limit_bytes": "80MiB"}
    with gateway(tmp_path, {"s": faulty.url}, EVERY_TOOL, limits=limits) as running:
        url, pid = running.url("s"), running.sidecar.process.pid
        httpx.post(url, json=CALL, headers=ACCEPT, timeout=PATIENCE_S)
        running.await_control_plane()
        before = resident_bytes(pid)
        answers: list[bytes] = []

        def ask() -> None:
            # What had room breaks off in the end.
            with suppress(httpx.RemoteProtocolError):
                answers.append(httpx.post(url, json=LIST, headers=ACCEPT, timeout=PATIENCE_S).content)

        threads = [Thread(target=ask, daemon=True) for _ in range(CLIENTS)]
        for thread in threads:
            thread.start()
        until(lambda: len(answers) >= CLIENTS - 10)
        # A vector that grows is twice what is in it for a moment.
        assert most_resident_bytes(pid, 1.0) - before < 3 * 80 * MEBIBYTE
        for held in answers:
            assert b"too many bytes of unfinished messages" in held
        faulty.let_go.set()
        for thread in threads:
            thread.join(PATIENCE_S)
            assert not thread.is_alive()
        assert httpx.post(url, json=CALL, headers=ACCEPT, timeout=PATIENCE_S).status_code == 200


def waits(connection: Connection, request: Request) -> None:
    """A server that has a call and does not answer it for long."""
    connection.wait()
    properly(connection, request)


def test_bodies_that_wait_for_their_server_are_held_too(tmp_path: Path, faulty: Faulty) -> None:
    faulty.on("tools/call", waits)
    arguments = {"x": "x" * 3 * MEBIBYTE}
    message = {**CALL, "params": {"name": "open", "arguments": arguments}}
    limits = {"unfinished_limit_bytes": "16MiB"}
    with gateway(tmp_path, {"s": faulty.url}, EVERY_TOOL, limits=limits) as running:
        url = running.url("s")
        answers: list[httpx.Response] = []

        def ask() -> None:
            answers.append(httpx.post(url, json=message, headers=ACCEPT, timeout=PATIENCE_S))

        threads = [Thread(target=ask, daemon=True) for _ in range(CLIENTS)]
        for thread in threads:
            thread.start()
        until(lambda: len(answers) >= CLIENTS - 5)
        early = list(answers)
        # What takes little room goes on.
        assert httpx.post(url, json=LIST, headers=ACCEPT, timeout=PATIENCE_S).status_code == 200
        faulty.let_go.set()
        for thread in threads:
            thread.join(PATIENCE_S)
            assert not thread.is_alive()
        assert {answer.status_code for answer in early} == {503}
        # How many fit depends on how they arrive: the last of the refused may come after those that were waited for.
        refused = [answer for answer in answers if answer.status_code != 200]
        assert {answer.status_code for answer in refused} == {503}
        assert all(b"too many bytes of unfinished" in answer.content for answer in refused)
        assert 1 <= len(answers) - len(refused) <= 5
        assert httpx.post(url, json=message, headers=ACCEPT, timeout=PATIENCE_S).status_code == 200, "room again"
