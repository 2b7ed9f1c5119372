"""Policies that differ between sidecars, or change while they run."""

from __future__ import annotations

import json
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from support.planes import wait_until
from support.redis import running_redis
from support.shared import PROBE, Fleet, Node, limit, node, policy

if TYPE_CHECKING:
    from collections.abc import Iterator

SHARINGS = ("leased", "strict")


def policies(lowered: float, changed: float = 5, **more: Any) -> dict[str, Any]:
    """The policies of a sidecar: those of which one test changes something are on servers of their own."""
    return {
        "s": policy(
            "policies",
            **{
                f"{order}_{sharing}": [limit(f"{order}-{sharing}", lowered, shared=sharing)]
                for sharing in SHARINGS
                for order in ("high", "low")
            },
        ),
        "reloaded": policy(
            "reloaded", **{sharing: [limit(sharing, changed, shared=sharing)] for sharing in SHARINGS}, **more
        ),
    }


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """Two sidecars, the second of which has a lower `max`."""
    folder = tmp_path_factory.mktemp("policies")
    with ExitStack() as stack:
        redis = stack.enter_context(running_redis(folder / "redis"))
        high, low = (stack.enter_context(node(folder / str(most), redis.url, policies(most))) for most in (10, 4))
        made = Fleet(redis, [high, low])
        made.wait_for_counts("s", "reloaded")
        yield made


@pytest.mark.parametrize("sharing", SHARINGS)
def test_a_lower_max_holds_for_its_own_sidecar(two: Fleet, sharing: str) -> None:
    high, low = two.nodes
    assert high.admitted(4, f"high_{sharing}") == 4
    assert low.admitted(5, f"high_{sharing}") == 0
    assert high.admitted(8, f"high_{sharing}") == 6
    assert low.admitted(5, f"high_{sharing}") == 0

    assert low.admitted(3, f"low_{sharing}") == 3
    assert high.admitted(1, f"low_{sharing}") == 1
    assert low.admitted(5, f"low_{sharing}") == 0


def has_changed(one: Node, before: str) -> bool:
    """True if another version of the policy is in force."""
    return one.check(PROBE, "reloaded").policy_version != before


def put(nodes: list[Node], changed: float, **more: Any) -> None:
    """Changes the policy of the server `reloaded`, and waits until it is in force and gives units."""
    document = policies(0, changed, **more)["reloaded"]
    for one in nodes:
        if json.loads((one.folder / "reloaded.json").read_text()) == document:
            continue
        before = one.check(PROBE, "reloaded").policy_version
        one.write("reloaded.json", document)
        wait_until(partial(has_changed, one, before))
    for one in nodes:
        one.wait_for_counts("reloaded")


@pytest.mark.parametrize("sharing", SHARINGS)
def test_a_reload_keeps_what_was_taken(two: Fleet, sharing: str) -> None:
    first, second = two.nodes
    put(two.nodes, 5)
    assert first.admitted(3, sharing, "reloaded") == 3
    put(two.nodes, 4)
    admitted = 0

    def has_all() -> bool:
        nonlocal admitted
        admitted += second.admitted(3, sharing, "reloaded")
        return admitted >= 1

    wait_until(has_all)
    assert admitted == 1
    put(two.nodes, 2)
    assert sum(each.admitted(3, sharing, "reloaded") for each in two.nodes) == 0
    put(two.nodes, 6)
    wait_until(has_all)
    admitted += sum(each.admitted(3, sharing, "reloaded") for each in two.nodes)
    assert admitted <= 3


def test_a_limit_that_is_added_begins(two: Fleet) -> None:
    put(two.nodes, 5, added=[limit("added", 3, shared="strict")])
    left = [each.check("added", "reloaded").limits[0].remaining for each in two.nodes]
    assert left == [2, 1]
    assert sum(each.admitted(3, "added", "reloaded") for each in two.nodes) == 1


def test_a_policy_that_is_added_begins(two: Fleet) -> None:
    added = policy("added", strict=[limit("strict", 3, shared="strict")])
    for one in two.nodes:
        one.write("added.json", added)
        document = json.loads((one.folder / "callgate.json").read_text())
        document["servers"]["added"] = {"policy": "added"}
        document["policies"]["added"] = "added.json"
        one.write("callgate.json", document)
    for one in two.nodes:
        one.wait_for_counts("added")
    assert sum(each.admitted(3, "strict", "added") for each in two.nodes) == 3
