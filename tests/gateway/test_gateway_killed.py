"""SIGKILL under load, of the server behind the gateway and of callgate: nobody waits for ever, and units are right.

What the server has received is counted by the server: it notes each call before it answers.
"""

from __future__ import annotations

import signal
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING, Any

from callgate import Client
from support.gateway.noting import Callers, noting_server
from support.gateway.running import configured, gateway
from support.gateway.slow import SlowClient
from support.program import sidecar
from support.setup import until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support.gateway.noting import Noting

CALLERS = 8
PLENTY = 1_000_000
KILLS = 3
BETWEEN = 100
"""Calls between two kills."""
LAST_CHUNK = b"\r\n0\r\n\r\n"


def policy(most: int) -> dict[str, Any]:
    """`noted` takes a unit; `look` takes none, and tells how many are left."""
    limit = {"counter": "calls", "window": "day", "max": most}
    tools = {"noted": {"limits": [limit]}, "look": {"limits": [{**limit, "cost": 0}]}, "watch": {}}
    return {"version": "1", "name": "p", "default": "deny", "tools": tools}


def taken(address: str, most: int) -> float:
    """Units that are taken."""
    with Client(address, timeout_ms=20_000) as client:
        decision = client.check(grant="anonymous", server="s", tool="look")
    assert decision.allowed, decision
    return most - decision.limits[0].remaining


def calls_reach(server: Noting, number: int) -> Callable[[], bool]:
    """A condition: this number of calls has reached a server."""
    return lambda: len(server.received()) >= number


def is_told(callers: Callers, what: str, times: int) -> bool:
    """True if callers got this answer at least so many times."""
    return len(callers.told[what]) >= times


class Watcher:
    """A client that reads a stream of events."""

    def __init__(self, address: str) -> None:
        self._client = SlowClient(address)
        params = {"name": "watch", "arguments": {}}
        self._client.send({"jsonrpc": "2.0", "id": 0, "method": "tools/call", "params": params})
        assert b"transfer-encoding: chunked\r\n" in self._client.read_until(b"data: ").lower()

    def is_broken_off(self) -> bool:
        """True if the stream ends without the last chunk: a cut stream must not look complete."""
        with closing(self._client) as client:
            try:
                return not client.read_until(LAST_CHUNK).endswith(LAST_CHUNK)
            except ConnectionResetError:
                return True


def test_the_server_is_killed(tmp_path: Path) -> None:
    callers = Callers()
    with (
        noting_server(tmp_path) as server,
        gateway(tmp_path, {"s": {"url": server.url, "connect_timeout": "1s"}}, policy(PLENTY)) as running,
    ):
        watchers = [Watcher(running.address) for _ in range(2)]
        callers.start(running.address, CALLERS)
        for number in range(1, KILLS + 1):
            until(calls_reach(server, number * BETWEEN))
            server.kill()
            refused = len(callers.told["never"]) + CALLERS
            until(partial(is_told, callers, "never", refused))
            server.start()
        done = len(callers.told["done"])
        until(partial(is_told, callers, "done", done + 1))
        callers.stop()
        assert all(watcher.is_broken_off() for watcher in watchers)
        units = taken(running.address, PLENTY)
        received = [number for number in server.received() if number]
    told = {what: set(ids) for what, ids in callers.told.items()}
    assert set(told) <= {"done", "never", "unknown"}, "no client hangs, and none loses its connection to callgate"
    assert len(received) == len(set(received)), "no call is sent twice"
    assert told["done"] <= set(received) <= told["done"] | told["unknown"]
    assert told["unknown"] & set(received), "calls were in flight when the server was killed"
    assert units == len(told["done"]) + len(told["unknown"]), (
        "what never reached the server is given back, and nothing else"
    )


def test_callgate_is_killed(tmp_path: Path) -> None:
    most = (KILLS + 2) * BETWEEN
    callers = Callers()
    with noting_server(tmp_path) as server:
        path = configured(tmp_path, {"s": server.url}, policy(most))
        words: list[str | Path] = ["--config", path, "--counters", f"file:{tmp_path / 'counters'}"]
        for number in range(1, KILLS + 1):
            with sidecar(*words) as running:
                watchers = [Watcher(running.address) for _ in range(2)]
                callers.start(running.address, CALLERS)
                until(calls_reach(server, number * BETWEEN))
                code, _ = running.stop(signal.SIGKILL)
                assert code == -signal.SIGKILL
                assert all(watcher.is_broken_off() for watcher in watchers)
                callers.stop()
        assert len(callers.told["closed"]) == KILLS * CALLERS, "each learnt of each kill"
        with sidecar(*words) as running:
            received = {number for number in server.received() if number}
            begun = callers.sent()
            units = taken(running.address, most)
            assert max(len(received), len(callers.told["done"])) <= units <= begun, "no unit is lost, and none made up"
            # The limit is reached exactly: what is left is admitted, and no more.
            left = most - units
            before = len(callers.told["done"])
            callers.start(running.address, CALLERS)
            until(partial(is_told, callers, "limited", CALLERS))
            callers.stop()
            assert len(callers.told["done"]) - before == left
            assert taken(running.address, most) == most
        received_in_all = [number for number in server.received() if number]
    assert set(callers.told) == {"done", "closed", "limited"}
    assert len(received_in_all) == len(set(received_in_all)) <= most
    # At most what was in flight at a kill was taken for nothing.
    assert len(received_in_all) >= most - KILLS * CALLERS
