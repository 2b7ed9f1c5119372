"""Quotas of limits that callgates share through Redis, with real Envoys: one at each callgate."""

from __future__ import annotations

import threading
import time
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from support.proxies.envoy import envoy, upstream
from support.proxies.quotas import QUOTA, call, drive, metric, most_in_a_window, until
from support.shared import fleet, limit, policy

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.proxies.envoy import Proxy
    from support.shared import Node

SERVER = "shop"
LEASE_S = 1
TTL_S = 10
WINDOW_S = 2
MAX = 12

POLICY = policy(
    "quota",
    capped=[limit("calls", MAX, f"{WINDOW_S}s", scope=["tool"])],
    strict=[limit("each", MAX, shared="strict")],
)
LIMITS = {"quota_ttl": f"{TTL_S}s", "quota_margin": "1s"}


@contextmanager
def two_of_each(folder: Path) -> Iterator[tuple[list[Node], list[Proxy]]]:
    """Two callgates that share a Redis, and an Envoy at each."""
    with ExitStack() as stack:
        shared = fleet(folder, {SERVER: POLICY}, lease=f"{LEASE_S}s", limits=LIMITS)
        nodes = stack.enter_context(shared).nodes
        port = stack.enter_context(upstream())
        proxies = []
        for number, node in enumerate(nodes):
            (folder / f"envoy-{number}").mkdir()
            ports = {8081: port, 9191: int(node.running.address.rpartition(":")[2])}
            proxies.append(stack.enter_context(envoy(QUOTA, ports, folder / f"envoy-{number}")))
        yield nodes, proxies


def test_envoys_of_two_callgates_share_a_limit(tmp_path: Path) -> None:
    with two_of_each(tmp_path) as (nodes, proxies):
        stop = threading.Event()
        admitted: list[list[tuple[float, float]]] = [[], []]
        threads = [
            threading.Thread(target=drive, args=(proxy, stop, noted))
            for proxy, noted in zip(proxies, admitted, strict=True)
        ]
        for thread in threads:
            thread.start()
        try:
            until(lambda: all(admitted), "one of two Envoys got nothing")
            # Reports come, tokens are used, given back and lent again.
            time.sleep(2 * TTL_S)
            begun = [len(noted) for noted in admitted]
            until(lambda: all(len(noted) > before for noted, before in zip(admitted, begun, strict=True)), "it ends")
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        assert most_in_a_window([one for noted in admitted for one in noted], WINDOW_S) <= MAX
        for node in nodes:
            assert metric(node.running, 'callgate_quota_tokens_total{event="unexpected"}') == 0
            assert metric(node.running, 'callgate_quota_tokens_total{event="used"}') > 0
        # A strict limit gets no quota, and the log says why.
        assert [call(proxies[0], "strict") for _ in range(3)] == [429] * 3
        until(lambda: bool(nodes[0].events("quota_refused")), "no refusal is told")
        [refused] = [event for event in nodes[0].events("quota_refused") if event["tool"] == "strict"]
        assert refused["rule"] == "/tools/strict/limits/each"
        assert "strict" in refused["reason"]


def test_the_quota_of_a_killed_callgate_stays_counted(tmp_path: Path) -> None:
    with two_of_each(tmp_path) as (nodes, (proxy, _)):
        killed, other = nodes
        # The first call asks for tokens; then some are there, of which one is used.
        until(lambda: call(proxy, "capped") == 200, "no assignment came")
        begun = time.monotonic()
        killed.kill()
        stop = threading.Event()
        admitted: list[tuple[float, float]] = []

        def ask_other() -> None:
            while not stop.is_set():
                before = time.monotonic()
                if other.admits("capped", SERVER):
                    admitted.append((before, time.monotonic()))
                time.sleep(0.005)

        thread = threading.Thread(target=ask_other)
        thread.start()
        try:
            # Longer than a lease and a window: its share would be another's by now, were it not for the quota.
            until(lambda: time.monotonic() > begun + 2 * LEASE_S + 2 * WINDOW_S, "time stands still")
            late = []
            while True:
                before = time.monotonic()
                if call(proxy, "capped") != 200:
                    break
                late.append((before, time.monotonic()))
            assert late, "the quota outlives callgate"
            until(lambda: time.monotonic() > late[-1][1] + WINDOW_S, "time stands still")
            assert most_in_a_window([*admitted, *late], WINDOW_S) <= MAX
            # Once the quota has ended for long enough, its units come back.
            until(lambda: most_in_a_window(admitted[-MAX:], WINDOW_S) == MAX, "the share of a killed callgate is lost")
        finally:
            stop.set()
            thread.join()
        assert most_in_a_window([*admitted, *late], WINDOW_S) <= MAX
