"""`callgate counters move`: what a sidecar has counted alone in its file goes on to count where it is shared."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from support.planes import wait_until
from support.program import Done, run
from support.redis import running_redis
from support.shared import Node, limit, node, policy

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.redis import RedisServer

MAX = 10
POLICIES = {
    "s": policy(
        "moves",
        strict=[limit("strict", MAX, shared="strict")],
        leased=[limit("leased", MAX, shared="leased")],
        spend=[limit("spend", MAX, shared="strict", cost="args.price")],
        daily=[limit("daily", MAX, "day", align="calendar", scope="global")],
        by_tool=[limit("by-tool", MAX, shared="strict", scope=["grant", "tool", "server"])],
        session=[limit("session", MAX, shared="strict", scope="session")],
        region=[limit("region", MAX, shared="strict", scope=["grant", "args.region"])],
        local=[limit("local", MAX, shared="local")],
    )
}
TOOLS = ("strict", "leased", "spend", "daily", "by_tool")
ARGS = {"spend": {"price": 1}, "region": {"region": "eu"}}
USED = 7


@contextmanager
def alone(folder: Path) -> Iterator[Node]:
    """A sidecar that counts in its file."""
    with node(folder, "", POLICIES, counters={"flush_interval": "100ms"}) as one:
        yield one


@contextmanager
def sharing(folder: Path, redis: RedisServer) -> Iterator[Node]:
    """The same sidecar, with its file, after it was configured to share."""
    # A server that has begun anew has lost nothing that these tests count there.
    counters = {"shared": {"url": redis.url, "lease": "1s", "budget": "500ms"}, "recovery": "1s"}
    with node(folder, redis.url, POLICIES, counters=counters) as one:
        one.wait_for_counts("s")
        yield one


def use(one: Node, tool: str, calls: int, **more: Any) -> int:
    return one.admitted(calls, tool, args=ARGS.get(tool), **more)


def move(one: Node, *words: str) -> Done:
    return run("counters", "move", "--state", one.folder / "state", *words)


def counts(done: Done) -> dict[str, int]:
    found: dict[str, int] = json.loads(done.out)
    return found


def left(nodes: list[Node], tool: str) -> int:
    """The units that all nodes together still admit: until nothing is left, and nodes have given back what they had."""
    admitted = 0

    def is_used_up() -> bool:
        nonlocal admitted
        more = sum(use(one, tool, 2) for one in nodes)
        admitted += more
        return more == 0 and admitted >= MAX - USED

    wait_until(is_used_up, lambda: (tool, admitted))
    return admitted


def test_units_go_on_counting_and_none_counts_twice(tmp_path: Path) -> None:
    with alone(tmp_path / "a") as one:
        assert [use(one, tool, USED) for tool in TOOLS] == [USED] * len(TOOLS)
        assert use(one, "local", USED) == USED
        assert use(one, "session", USED, session="x") == USED
        assert use(one, "region", USED) == USED
        one.stop()
    with running_redis(tmp_path / "redis") as redis, sharing(tmp_path / "a", redis) as one:
        # The probe of each policy has a window of 10 ms, so it is in use at most for a moment.
        done = move(one, "--json")
        assert done.code == 1, done
        unnamed = counts(done)
        assert (unnamed["moved"], unnamed["known"]) == (1, 0), "the calendar's, which is of all grants"
        assert unnamed["left"] == len(TOOLS) - 1 + 3
        assert "the shared limits of what was left begin empty" in done.err
        done = move(one, "--grant", "g", "--json")
        assert done.code == 1, done
        assert counts(done) == {"moved": len(TOOLS) - 1, "known": 1, "local": 1, "left": 2}
        done = move(one, "--grant", "g", "--json")
        assert counts(done) == {"moved": 0, "known": len(TOOLS), "local": 1, "left": 2}
        done = move(one, "--grant", "g")
        assert done.out.splitlines()[0] == "moved: 0"
        assert "limits by session or argument" in done.err
        assert len(one.events("counters_moved")) == 4
        with sharing(tmp_path / "b", redis) as other:
            for tool in TOOLS:
                assert left([one, other], tool) == MAX - USED, tool
            assert use(other, "local", MAX + 1) == MAX


def test_ages_go_with_the_units(tmp_path: Path) -> None:
    window = {"s": policy("moves", strict=[limit("strict", 2, "3s", shared="strict")])}
    with node(tmp_path / "a", "", window, counters={}) as one:
        assert one.admitted(3, "strict") == 2
        one.stop()
    with running_redis(tmp_path / "redis") as redis:
        counters = {"shared": {"url": redis.url, "lease": "1s", "budget": "500ms"}}
        with node(tmp_path / "a", redis.url, window, counters=counters) as one:
            one.wait_for_counts("s")
            assert move(one, "--grant", "g").code == 0
            # They end when they would have ended in the file.
            wait_until(lambda: one.admits("strict"))


def test_the_units_of_all_files_are_added_up(tmp_path: Path) -> None:
    for name in ("a", "b"):
        with alone(tmp_path / name) as one:
            assert use(one, "strict", 4) == 4
            one.stop()
    with (
        running_redis(tmp_path / "redis") as redis,
        sharing(tmp_path / "a", redis) as first,
        sharing(tmp_path / "b", redis) as second,
    ):
        assert [counts(move(one, "--grant", "g", "--json"))["moved"] for one in (first, second)] == [1, 1]
        assert sum(use(one, "strict", 2) for one in (first, second)) == 2
        assert not use(first, "strict", 1)


def test_a_move_without_the_store_is_an_error_and_can_be_made_later(tmp_path: Path) -> None:
    with alone(tmp_path / "a") as one:
        assert use(one, "strict", USED) == USED
        one.stop()
    with running_redis(tmp_path / "redis") as redis, sharing(tmp_path / "a", redis) as one:
        redis.kill()
        wait_until(lambda: one.faults)
        done = move(one, "--grant", "g")
        assert (done.code, done.out) != (0, ""), done
        assert "the store of shared counters cannot be reached, so they were not moved" in done.err
        redis.start()
        one.wait_for_counts("s")
        assert counts(move(one, "--grant", "g", "--json"))["moved"] == 1
        assert left([one], "strict") == MAX - USED


@pytest.mark.parametrize(
    ("counters", "message"),
    [({}, "no counters are shared here"), ("redis", "the counters of this callgate are in memory")],
)
def test_a_move_that_makes_no_sense_says_so(tmp_path: Path, counters: Any, message: str) -> None:
    with running_redis(tmp_path / "redis") as redis:
        if counters == "redis":
            counters = {"store": "memory", "shared": {"url": redis.url}}
        with node(tmp_path / "a", redis.url, POLICIES, counters=counters) as one:
            done = move(one)
            assert done.code == 2, done
            assert message in done.err
