"""`callgate counters reset` of counts that sidecars share: at all of them, or an error that says what was done."""

from __future__ import annotations

import json
import time
from functools import partial
from typing import TYPE_CHECKING

import pytest

from support.planes import wait_until
from support.program import Done, run
from support.shared import Admissions, Fleet, Node, fleet, hammer, limit, policy

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MAX = 12
POLICIES = {
    "s": policy(
        "resets",
        strict=[limit("strict", MAX, shared="strict")],
        leased=[limit("leased", MAX, shared="leased")],
        daily=[limit("daily", MAX, "day", align="calendar", scope="global")],
        rush_strict=[limit("rush-strict", MAX, "1s", shared="strict")],
        rush_leased=[limit("rush-leased", MAX, "1s", shared="leased")],
        both=[limit("both-leased", MAX, shared="leased"), limit("both-local", MAX, shared="local")],
    ),
    "other": policy("others", strict=[limit("strict", MAX, shared="strict")]),
}


@pytest.fixture
def three(tmp_path: Path) -> Iterator[Fleet]:
    with fleet(tmp_path, POLICIES, nodes=3) as made:
        yield made


def reset(node: Node, *words: str) -> Done:
    return run("counters", "reset", "--state", node.folder / "state", *words)


def use_up(nodes: list[Node], tool: str, server: str = "s") -> int:
    """Takes everything that is left, and says how much that was. Nodes give back what they do not use after a while."""
    admitted = 0

    def nothing_is_left() -> bool:
        nonlocal admitted
        more = sum(node.admitted(2, tool, server) for node in nodes)
        admitted += more
        return admitted >= MAX and more == 0

    wait_until(nothing_is_left, lambda: (tool, admitted))
    return admitted


def test_a_reset_is_for_all_nodes(three: Fleet) -> None:
    first, second, third = three.nodes
    for tool in ("strict", "leased", "daily"):
        assert use_up(three.nodes, tool) == MAX
    assert use_up(three.nodes, "strict", "other") == MAX
    done = reset(first, "--policy", "resets", "--counter", "strict")
    assert (done.code, done.err) == (0, ""), done
    assert done.out == "reset: resets /tools/strict/limits/strict  (at all nodes)\n"
    # Each call asks the store, so the next one knows.
    assert second.admits("strict")
    assert third.admitted(MAX, "strict") == MAX - 1
    assert (first.admits("strict"), first.admits("strict", "other"), first.admits("leased")) == (False,) * 3
    assert reset(second, "--policy", "resets", "--grant", "g").code == 0
    for tool in ("strict", "leased"):
        assert use_up(three.nodes, tool) == MAX, tool
    assert not third.admits("daily")
    done = reset(third, "--counter", "daily", "--json")
    [answer] = json.loads(done.out)["limits"]
    assert answer["shared"] is True
    assert use_up(three.nodes, "daily") == MAX
    assert "counters_reset" in third.log


def test_a_node_that_was_away_does_not_miss_it(three: Fleet) -> None:
    first, second, third = three.nodes
    assert use_up(three.nodes, "leased") == MAX
    assert use_up(three.nodes, "strict") == MAX
    third.pause()
    assert reset(first, "--grant", "g").code == 0
    assert use_up([first, second], "leased") == MAX
    assert use_up([first, second], "strict") == MAX
    third.resume()
    # It had forgotten nothing of the old counts, and takes nothing from them.
    assert [third.admitted(3, tool) for tool in ("leased", "strict")] == [0, 0]


def is_over(until: float) -> bool:
    """True once the clock shows this time."""
    return time.monotonic() > until


@pytest.mark.parametrize("sharing", ["strict", "leased"])
def test_no_window_after_a_reset_holds_more_than_max(three: Fleet, sharing: str) -> None:
    resets: list[tuple[float, float]] = []

    def reset_now_and_then() -> None:
        for node in three.nodes:
            begun = time.monotonic()
            assert reset(node, "--counter", f"rush-{sharing}").code == 0
            ended = time.monotonic()
            resets.append((begun, ended))
            wait_until(partial(is_over, ended + 2.5))

    found = hammer(three.nodes, f"rush_{sharing}", window_s=1.0, meanwhile=reset_now_and_then)
    # A window that contains a reset has units of before and of after.
    assert found.most() <= 2 * MAX
    ends = [begun for begun, _ in resets[1:]] + [float("inf")]
    for (_, reset_at), end in zip(resets, ends, strict=True):
        # Half a lease later all nodes know of it.
        units = [unit for unit in found.units if unit[0] >= reset_at + 0.5 and unit[1] <= end]
        later = Admissions(1.0, units)
        assert later.most() <= MAX
        assert len(units) >= MAX, [later.of(number) for number in range(3)]


def test_local_limits_are_reset_here_alone(three: Fleet) -> None:
    first, second, _ = three.nodes
    assert first.admitted(MAX, "both") == MAX
    done = reset(first, "--policy", "resets", "--counter", "both-local")
    assert done.out == "reset: resets /tools/both/limits/both-local\n"
    assert not first.admits("both"), "the shared one is used up"
    done = reset(second, "--policy", "resets", "--grant", "g", "--tool", "both")
    assert done.out.splitlines()[0] == "reset: resets /tools/both/limits/both-leased  (at all nodes)"
    wait_until(lambda: first.admits("both"))


@pytest.mark.parametrize("names", [("--grant", "g"), ("--counter", "both-leased")])
def test_a_reset_without_the_store_is_an_error_and_resets_nothing(three: Fleet, names: tuple[str, str]) -> None:
    first = three.nodes[0]
    three.redis.kill()
    wait_until(lambda: first.faults)
    done = reset(first, *names)
    assert (done.code, done.out) != (0, ""), done
    assert "the store of shared counters cannot be reached, so they were not reset" in done.err
    assert "no other counter was reset" in done.err
    assert first.events("counters_reset") == []


def test_an_unknown_grant_is_not_called_so_where_others_may_know_it(three: Fleet) -> None:
    done = reset(three.nodes[1], "--grant", "nobody")
    assert (done.code, done.err) == (0, ""), done
