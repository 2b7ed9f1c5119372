"""Reservations that are settled at another sidecar than the one that made them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from callgate import CallgateError, Client, hash_token
from support.planes import wait_until
from support.redis_cluster import running_cluster
from support.shared import KEY, Fleet, Node, fleet, limit, policy

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MAX = 3
POLICIES = {
    "s": policy(
        "reservations",
        strict=[limit("strict", MAX, shared="strict")],
        leased=[limit("leased", MAX, shared="leased")],
        local=[limit("local", MAX, shared="local")],
    )
}
SHARINGS = ("strict", "leased")


@pytest.fixture
def two(tmp_path: Path) -> Iterator[Fleet]:
    with fleet(tmp_path, POLICIES, nodes=2) as made:
        yield made


def reserved(node: Node, tool: str) -> str:
    """A reservation of a unit. A call that was refused since the store did not answer in time is asked for again."""
    found: list[str] = []

    def is_allowed() -> bool:
        decision = node.check(tool, reserve=True)
        if decision.reservation is not None:
            found.append(decision.reservation)
        return bool(found)

    wait_until(is_allowed)
    return found[0]


@pytest.mark.parametrize("tool", [*SHARINGS, "local"])
def test_a_roll_back_at_another_node_gives_the_units_back_once(two: Fleet, tool: str) -> None:
    first, second = two.nodes
    ids = [reserved(first, tool) for _ in range(MAX)]
    assert not first.admits(tool)
    assert second.client.roll_back(ids[0])
    assert [node.client.roll_back(ids[0]) for node in two.nodes] == [False, False]
    wait_until(lambda: first.admits(tool))
    assert not first.admits(tool)
    # A commit keeps them for good.
    assert second.client.commit(ids[1])
    assert not second.client.roll_back(ids[1])
    assert not first.client.roll_back(ids[1])
    assert first.client.roll_back(ids[2])
    assert not second.client.commit(ids[2])


def test_of_many_that_settle_one_has_settled(two: Fleet) -> None:
    first, second = two.nodes
    ids = [reserved(first, "strict") for _ in range(MAX)]
    tries = [(node, name) for name in ids for node in (second, second, first)]
    with ThreadPoolExecutor(len(tries)) as pool:
        settled = list(pool.map(lambda one: one[0].client.roll_back(one[1]), tries))
    assert [sum(settled[place : place + 3]) for place in (0, 3, 6)] == [1, 1, 1]
    wait_until(lambda: sum(node.admitted(1, "strict") for node in two.nodes) > 0)
    assert sum(node.admitted(MAX, "strict") for node in two.nodes) <= MAX - 1


def test_an_id_that_nobody_knows_is_not_settled(two: Fleet) -> None:
    assert not two.nodes[1].client.roll_back("ab" * 16)
    with two.redis.client() as client:
        assert client.zcard("callgate:1:{-}:settlements") == 0, "the letter was withdrawn"


def test_a_node_that_stands_still_settles_nothing_that_was_called_off(two: Fleet) -> None:
    first, second = two.nodes
    name = reserved(first, "strict")
    first.pause()
    assert not second.client.roll_back(name), "nothing has changed, and nothing will"
    first.resume()
    # It reads no letter of this any more: so it can be settled here, which it could not be otherwise.
    assert first.client.roll_back(name)


def test_without_the_store_it_is_an_error(two: Fleet) -> None:
    first, second = two.nodes
    name = reserved(first, "leased")
    two.redis.kill()
    wait_until(lambda: second.faults)
    with pytest.raises(CallgateError, match="the store through which the others are asked cannot be reached"):
        second.client.roll_back(name)
    assert first.client.roll_back(name), "where it was made, no store is needed"


@contextmanager
def as_pep(node: Node, token: str) -> Iterator[Client]:
    with Client(node.running.address, token=token, timeout_ms=20_000) as client:
        yield client


def test_only_the_pep_that_reserved_settles(tmp_path: Path) -> None:
    names = ("one", "other")
    key = bytes.fromhex(KEY)
    peps = [{"name": name, "token_hash": hash_token(key, f"cgt_{name}"), "vouches": True} for name in names]
    # The order, and so the numbers that a node gives them, are each node's own.
    with (
        fleet(tmp_path / "a", POLICIES, nodes=1, waits=False, peps=peps) as made,
        fleet(tmp_path / "b", POLICIES, nodes=1, redis=made.redis, waits=False, peps=peps[::-1]) as later,
        as_pep(made.nodes[0], "cgt_one") as reserving,
        as_pep(later.nodes[0], "cgt_one") as settling,
        as_pep(later.nodes[0], "cgt_other") as another,
    ):
        found: list[str] = []

        def is_allowed() -> bool:
            decision = reserving.check(tool="strict", server="s", grant="g", reserve=True)
            found.extend([decision.reservation] if decision.reservation is not None else [])
            return bool(found)

        wait_until(is_allowed)
        assert not another.roll_back(found[0])
        assert settling.roll_back(found[0])


def test_in_a_redis_cluster(tmp_path: Path) -> None:
    with (
        running_cluster(tmp_path / "redis") as cluster,
        fleet(tmp_path, POLICIES, nodes=2, url=cluster.url, redis=cluster.servers[0]) as made,
    ):
        first, second = made.nodes
        assert second.client.roll_back(reserved(first, "strict"))
        assert not second.client.roll_back("ab" * 16)
