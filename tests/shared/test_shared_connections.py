"""Connections to a Redis that stall, break or are slow."""

from __future__ import annotations

import time
from statistics import median
from typing import TYPE_CHECKING

import pytest

from support.planes import wait_until
from support.redis import running_redis
from support.shared import UNAVAILABLE, Fleet, Node, fleet, limit, policy
from support.tcp_proxy import TcpProxy, tcp_proxy

if TYPE_CHECKING:
    from collections.abc import Iterator

BUDGET_S = 0.5

POLICIES = {
    "s": policy(
        "connections",
        leased=[limit("leased", 1_000, shared="leased")],
        strict=[limit("strict", 1_000, shared="strict")],
        passes=[limit("passes", 1_000, shared="strict", on_store_failure="allow")],
        few=[limit("few", 6, shared="strict")],
    ),
}


@pytest.fixture(scope="module")
def proxied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Fleet, TcpProxy]]:
    """Two sidecars, the first of which reaches Redis through a proxy."""
    folder = tmp_path_factory.mktemp("connections")
    with (
        running_redis(folder / "redis") as redis,
        tcp_proxy(redis.port) as proxy,
        fleet(folder / "a", POLICIES, nodes=1, redis=redis, url=proxy.url) as behind,
        fleet(folder / "b", POLICIES, nodes=1, redis=redis) as direct,
    ):
        yield Fleet(redis, [*behind.nodes, *direct.nodes]), proxy


def answered(one: Node, tool: str) -> str:
    """Outcome or rule of a call, which may take no longer than the budget and a second."""
    begun = time.monotonic()
    decision = one.check(tool)
    assert time.monotonic() - begun < BUDGET_S + 1
    return decision.rule or decision.outcome


@pytest.mark.parametrize("kept", ["nothing", "requests", "answers"])
def test_a_connection_that_stalls(proxied: tuple[Fleet, TcpProxy], kept: str) -> None:
    made, proxy = proxied
    behind, direct = made.nodes
    assert behind.admits("leased")
    proxy.stall(requests=kept != "requests", answers=kept != "answers")
    try:
        for _ in range(3):
            assert answered(behind, "strict") == UNAVAILABLE
            assert answered(behind, "passes") == "allow"
        wait_until(lambda: answered(behind, "leased") == UNAVAILABLE)
        assert answered(direct, "strict") == "allow"
    finally:
        proxy.flow()
    behind.wait_for_counts("s")
    wait_until(lambda: behind.admits("leased"))


def test_a_connection_that_breaks(proxied: tuple[Fleet, TcpProxy]) -> None:
    made, proxy = proxied
    behind, direct = made.nodes
    assert behind.admitted(2, "few") == 2
    for _ in range(3):
        accepted = proxy.accepted
        proxy.cut()
        behind.wait_for_counts("s")
        assert proxy.accepted > accepted
    # Nothing was lost or counted twice.
    assert (direct.admitted(2, "few"), behind.admitted(5, "few")) == (2, 2)
    assert behind.metric("callgate_shared_store_up") == 1


def test_a_slow_connection(proxied: tuple[Fleet, TcpProxy]) -> None:
    made, proxy = proxied
    behind = made.nodes[0]
    wait_until(lambda: behind.admits("leased"))

    def taken(tool: str) -> float:
        begun = time.monotonic()
        assert behind.admits(tool)
        return time.monotonic() - begun

    proxy.delay(0.02)
    try:
        behind.wait_for_counts("s")
        strict = [taken("strict") for _ in range(20)]
        leased = [taken("leased") for _ in range(100)]
    finally:
        proxy.delay(0)
    # Most calls do not wait for Redis.
    assert median(leased) < median(strict) / 2
