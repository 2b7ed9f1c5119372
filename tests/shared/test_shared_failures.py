"""Sidecars and stores that end, stand still or forget: never more than `max` in a window, also then."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING

import pytest

from support.planes import wait_until
from support.shared import UNAVAILABLE, Fleet, Node, fleet, hammer, limit, node, policy

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MANY = 30
SHARINGS = ("leased", "strict")
BUDGET_S = 0.5

POLICIES = {
    "s": policy(
        "failures",
        killed=[limit("killed", MANY, "1s", shared="leased")],
        killed_hour=[limit("killed-hour", 20, shared="leased")],
        stopped=[limit("stopped", 20, shared="leased")],
        used_up=[limit("used-up", 10, shared="leased")],
        paused=[limit("paused", MANY, "1s", shared="leased")],
        paused_hour=[limit("paused-hour", 20, shared="leased")],
        flushed_leased=[limit("flushed-leased", MANY, "1s", shared="leased")],
        flushed_strict=[limit("flushed-strict", MANY, "1s", shared="strict")],
    ),
}

DOWN = {
    "s": policy(
        "down",
        leased=[limit("leased", 1_000, shared="leased")],
        strict=[limit("strict", 1_000, "1s", shared="strict")],
        passes_leased=[limit("passes-leased", 1_000, shared="leased", on_store_failure="allow")],
        passes_strict=[limit("passes-strict", 1_000, "1s", shared="strict", on_store_failure="allow")],
        one_passes=[
            limit("strict", 1_000, "1s", shared="strict"),
            limit("passes-strict", 1_000, "1s", shared="strict", on_store_failure="allow"),
        ],
        local=[limit("local", 1_000, shared="local")],
    ),
}


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    with fleet(tmp_path_factory.mktemp("failures"), POLICIES) as made:
        yield made


@pytest.fixture
def victim(two: Fleet, tmp_path: Path) -> Iterator[Node]:
    """A third sidecar, for one test."""
    with node(tmp_path / "victim", two.redis.url, POLICIES) as one:
        one.wait_for_counts("s")
        yield one


def test_units_of_a_killed_sidecar_go_on_to_count(two: Fleet, victim: Node) -> None:
    killed_at = 0.0

    def kill() -> None:
        nonlocal killed_at
        time.sleep(0.7)
        victim.kill()
        killed_at = time.monotonic()
        time.sleep(3.5)

    found = hammer([victim, *two.nodes], "killed", window_s=1.0, meanwhile=kill)
    assert found.most() <= MANY
    assert found.of(0) > 0
    # Its lease and a window have ended after two seconds.
    late = [number for before, _, number in found.units if before > killed_at + 2.5]
    assert len(late) >= MANY / 2


def test_a_killed_sidecar_leaves_what_it_did_not_have(two: Fleet, victim: Node) -> None:
    used = victim.admitted(6, "killed_hour")
    assert used == 6
    victim.kill()
    others = sum(each.admitted(25, "killed_hour") for each in two.nodes)
    assert 0 < others <= 20 - used
    assert sum(each.admitted(5, "killed_hour") for each in two.nodes) <= 20 - used - others


def test_a_sidecar_that_stops_gives_back_what_it_did_not_use(two: Fleet, victim: Node) -> None:
    assert victim.admitted(4, "stopped") == 4
    victim.stop()
    assert two.nodes[0].admitted(20, "stopped") == 16
    assert two.nodes[1].admitted(3, "stopped") == 0


def test_units_of_a_sidecar_that_stops_go_on_to_count(two: Fleet, victim: Node) -> None:
    assert victim.admitted(12, "used_up") == 10
    # Counts that nobody uses are removed meanwhile.
    time.sleep(2)
    victim.stop()
    assert [each.admitted(5, "used_up") for each in two.nodes] == [0, 0]


def test_a_sidecar_that_stood_still_uses_nothing_that_is_not_its_own(two: Fleet, victim: Node) -> None:
    resumed_at = 0.0

    def pause() -> None:
        nonlocal resumed_at
        time.sleep(0.7)
        victim.pause()
        time.sleep(2.5)
        victim.resume()
        resumed_at = time.monotonic()
        time.sleep(2)

    used = victim.admitted(5, "paused_hour")
    assert used == 5
    found = hammer([victim, *two.nodes], "paused", window_s=1.0, meanwhile=pause)
    assert found.most() <= MANY
    assert sum(before > resumed_at for before, _, _ in found.units) >= MANY / 2
    # The same over a long window.
    victim.pause()
    try:
        others = two.nodes[0].admitted(25, "paused_hour")
        time.sleep(1.5)
        others += two.nodes[1].admitted(25, "paused_hour")
    finally:
        victim.resume()
    assert used + others + victim.admitted(25, "paused_hour") <= 20


@pytest.mark.parametrize("sharing", SHARINGS)
def test_a_store_that_forgets_everything_lets_no_more_pass(two: Fleet, sharing: str) -> None:
    def flush() -> None:
        with two.redis.client() as client:
            time.sleep(0.7)
            client.flushall()
            time.sleep(2.6)
            client.flushall()
            client.script_flush()
            time.sleep(0.2)
            client.flushall()
            time.sleep(0.5)

    found = hammer(two.nodes, f"flushed_{sharing}", window_s=1.0, meanwhile=flush)
    assert found.units
    assert found.most() <= MANY
    wait_until(lambda: two.nodes[0].admits(f"flushed_{sharing}"))
    two.wait_for_counts("s")


def answered(one: Node, tool: str) -> str:
    """Outcome or rule of a call, which may take no longer than the budget and a second."""
    begun = time.monotonic()
    decision = one.check(tool)
    assert time.monotonic() - begun < BUDGET_S + 1
    return decision.rule or decision.outcome


def test_a_store_that_takes_no_writes_is_told_once(tmp_path: Path) -> None:
    with fleet(tmp_path, DOWN, nodes=1) as made, made.redis.client() as client:
        [one] = made.nodes
        # It goes on to answer whatever changes nothing.
        client.config_set("min-replicas-to-write", 1)
        end = time.monotonic() + 2
        while time.monotonic() < end:
            assert answered(one, "strict") == UNAVAILABLE
            time.sleep(0.01)
        wait_until(lambda: one.faults)
        assert len(one.faults) == 1
        assert len(one.events("shared_store_connected")) == 1
        assert one.metric("callgate_shared_store_up") == 0
        client.config_set("min-replicas-to-write", 0)
        made.wait_for_counts("s")
        wait_until(lambda: len(one.events("shared_store_connected")) == 2)
        assert len(one.faults) == 1


def test_a_store_that_is_gone(tmp_path: Path) -> None:
    with fleet(tmp_path, DOWN, lease="2s") as made:
        first, second = made.nodes
        assert first.admitted(10, "leased") == 10
        assert answered(second, "one_passes") == "allow"
        assert first.faults == []
        connected = len(first.events("shared_store_connected"))
        assert connected == 1
        made.redis.kill()
        assert answered(first, "leased") == "allow"
        wait_until(lambda: first.faults)
        for one in made.nodes:
            assert answered(one, "strict") == UNAVAILABLE
            assert answered(one, "one_passes") == UNAVAILABLE
            assert answered(one, "passes_strict") == "allow"
            assert answered(one, "passes_leased") == "allow"
            assert answered(one, "local") == "allow"
            assert answered(one, "t") == "allow"
        assert answered(second, "leased") == UNAVAILABLE
        wait_until(lambda: answered(first, "leased") == UNAVAILABLE)
        assert first.metric("callgate_shared_store_up") == 0
        assert first.status["counters"]["shared_fault"] == first.faults[-1]
        told = len(first.faults)
        # One for the connection that broke, and one for the next, which was refused.
        assert told <= 2, first.faults
        time.sleep(1)
        assert len(first.faults) == told, first.faults

        made.redis.start()
        for one in made.nodes:
            wait_until(partial(one.admits, "strict"))
        wait_until(lambda: first.metric("callgate_shared_store_up") == 1)
        assert first.status["counters"]["shared_fault"] is None
        assert len(first.events("shared_store_connected")) == connected + 1
        assert len(first.faults) == told, first.faults
