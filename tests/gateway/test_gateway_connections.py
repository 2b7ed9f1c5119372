"""Connections to servers that close them when nobody has used them for a while."""

from __future__ import annotations

import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from support.gateway import faults
from support.gateway.environments import NODE, PROGRAMS, SDK, bare_environment, needed
from support.gateway.faulty import JSON, faulty_server, properly, reply
from support.gateway.running import gateway
from support.gateway.servers import listening
from support.ports import free_port
from support.proxies.envoy import PATIENCE_S

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from support.gateway.faulty import Connection, Faulty, Request
    from support.gateway.running import Gateway

EVERY_TOOL = {"version": "1", "name": "every-tool", "default": "allow"}
CAPPED = {
    "version": "1",
    "name": "capped",
    "default": "deny",
    "tools": {"open": {"limits": [{"counter": "calls", "window": "hour", "max": 3}]}},
}
ACCEPT = {"accept": f"{JSON}, text/event-stream"}


def call(running: Gateway, number: int = 1) -> str:
    """The text of a call's result."""
    params = {"name": "open", "arguments": {}}
    message = {"jsonrpc": "2.0", "id": number, "method": "tools/call", "params": params}
    answered = httpx.post(running.url("s"), json=message, headers=ACCEPT, timeout=PATIENCE_S)
    assert answered.status_code == 200
    result: dict[str, Any] = answered.json()["result"]
    text: str = result["content"][0]["text"]
    return text


def metric(running: Gateway, series: str) -> float:
    """The value of one line of the metrics page."""
    with urllib.request.urlopen(f"http://{running.sidecar.admin}/metrics", timeout=PATIENCE_S) as page:
        [line] = [line for line in page.read().decode().splitlines() if line.startswith(f"{series} ")]
    return float(line.split()[-1])


def sent(running: Gateway, connection: str) -> float:
    """The number of requests that were sent on such a connection."""
    return metric(running, f'callgate_upstream_sent_total{{connection="{connection}",server="s"}}')


@contextmanager
def node() -> Iterator[str]:
    """Announces that it closes idle connections after a second, and does."""
    needed(NODE)
    port = free_port()
    words = [str(NODE), str(PROGRAMS / "kept.mjs"), str(port), "1000"]
    with listening(words, port, bare_environment()):
        yield f"http://127.0.0.1:{port}/mcp"


@contextmanager
def uvicorn() -> Iterator[str]:
    """Closes idle connections after a second, and does not say so."""
    needed(SDK)
    port = free_port()
    with listening([str(SDK), str(PROGRAMS / "kept.py"), str(port)], port, bare_environment()):
        yield f"http://127.0.0.1:{port}/mcp"


@pytest.mark.parametrize(("server", "idle_timeout"), [(node, "4s"), (uvicorn, "500ms")], ids=["node", "uvicorn"])
def test_no_call_meets_the_end_of_a_connection(
    tmp_path: Path, server: Callable[[], AbstractContextManager[str]], idle_timeout: str
) -> None:
    clients = 24

    def twice(number: int) -> tuple[str, str]:
        """Two calls with a pause that is about as long as the server keeps a connection."""
        first = call(running, 2 * number)
        time.sleep(0.9 + 0.2 * number / clients)
        return first, call(running, 2 * number + 1)

    with server() as url, gateway(tmp_path, {"s": {"url": url, "idle_timeout": idle_timeout}}, EVERY_TOOL) as running:
        with ThreadPoolExecutor(clients) as threads:
            texts = list(threads.map(twice, range(clients)))
        assert texts == [("1", "1")] * clients, "each call was answered, and has reached the server once"
        assert sent(running, "new") + sent(running, "reused") == 2 * clients


@pytest.fixture
def faulty() -> Iterator[Faulty]:
    with faulty_server() as faulty:
        yield faulty


def test_a_connection_is_used_again(tmp_path: Path, faulty: Faulty) -> None:
    with gateway(tmp_path, {"s": faulty.url}, EVERY_TOOL) as running:
        texts = [call(running, number) for number in range(20)]
        assert texts == ["open done"] * 20
        assert (sent(running, "new"), sent(running, "reused")) == (1, 19)
        assert len(faulty.connections) == 1


def test_a_server_that_closes_after_each_answer(tmp_path: Path, faulty: Faulty) -> None:
    def closing(connection: Connection, request: Request) -> None:
        properly(connection, request)
        connection.close()

    faulty.on("tools/call", closing)
    with gateway(tmp_path, {"s": faulty.url}, EVERY_TOOL) as running:
        assert [call(running, number) for number in range(50)] == ["open done"] * 50
    assert len(faulty.asked("tools/call")) == 50


def test_a_call_that_meets_the_close_is_sent_once_and_keeps_its_unit(tmp_path: Path, faulty: Faulty) -> None:
    faulty.on("tools/call", faults.in_turn([properly, faults.hang_up, properly]))
    with gateway(tmp_path, {"s": faulty.url}, CAPPED) as running:
        assert call(running, 1) == "open done"
        assert "nobody knows" in call(running, 2)
        assert call(running, 3) == "open done"
        assert "max" in call(running, 4) or "limit" in call(running, 4)
        assert metric(running, 'callgate_upstream_retries_total{server="s"}') == 0
    assert [request.message["id"] for request in faulty.asked("tools/call")] == [1, 2, 3]


def test_a_connection_is_not_used_when_its_server_has_said_that_it_closes(tmp_path: Path, faulty: Faulty) -> None:
    def announcing(connection: Connection, request: Request) -> None:
        connection.answer(200, reply(request), {"content-type": JSON, "keep-alive": "timeout=0, max=5"})
        connection.await_next()
        connection.reset()

    faulty.on("tools/call", announcing)
    with gateway(tmp_path, {"s": faulty.url}, EVERY_TOOL) as running:
        assert [call(running, number) for number in range(3)] == ["open done"] * 3
        assert (sent(running, "new"), sent(running, "reused")) == (3, 0)
