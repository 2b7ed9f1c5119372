"""A Redis Cluster: each policy on its shard, and shards that move, fail over and end."""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from support.planes import wait_until
from support.redis_cluster import running_cluster
from support.shared import Admissions, fleet, hammer, limit, node, policy

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.redis import RedisServer
    from support.redis_cluster import RedisCluster
    from support.shared import Fleet

WINDOW_S = 1.0
MAX = 40
KINDS = ("leased", "strict")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisCluster]:
    with running_cluster(tmp_path_factory.mktemp("cluster")) as running:
        yield running


def key_of(name: str) -> str:
    return f"callgate:1:{{{name}}}"


def apart(cluster: RedisCluster, prefix: str) -> tuple[str, str]:
    """Names of two policies that are on two shards."""
    first = f"{prefix}-0"
    names = (f"{prefix}-{number}" for number in range(1, 100))
    master = cluster.master_of(key_of(first))
    return first, next(name for name in names if cluster.master_of(key_of(name)) is not master)


def tools_of(name: str) -> dict[str, object]:
    kinds = {kind: [limit(kind, MAX, f"{WINDOW_S:.0f}s", shared=kind)] for kind in KINDS}
    return policy(name, **kinds)


def running(folder: Path, cluster: RedisCluster, stack: ExitStack, *names: str) -> Fleet:
    """Two sidecars with these policies, each for a server of its name."""
    policies = {name: tools_of(name) for name in names}
    return stack.enter_context(fleet(folder, policies, redis=cluster.servers[0], url=cluster.url))


def test_each_policy_is_on_its_shard(tmp_path: Path, cluster: RedisCluster) -> None:
    names = apart(cluster, "shard")
    with ExitStack() as stack:
        both = running(tmp_path, cluster, stack, *names)
        for name in names:
            for kind in KINDS:
                found = hammer(both.nodes, kind, name, window_s=WINDOW_S, seconds=2 * WINDOW_S)
                assert found.most() <= MAX <= len(found.units)
            master = cluster.master_of(key_of(name))
            assert master.ask("EXISTS", key_of(name)) == 1
        assert [one.faults for one in both.nodes] == [[], []]
        assert [one.metric("callgate_shared_store_up") for one in both.nodes] == [1, 1]


def test_a_slot_moves_to_another_shard(tmp_path: Path, cluster: RedisCluster) -> None:
    name, other = apart(cluster, "moved")
    with ExitStack() as stack:
        both = running(tmp_path, cluster, stack, name)
        moved: list[RedisServer] = []

        def meanwhile() -> None:
            time.sleep(0.5)
            target = cluster.master_of(key_of(other))
            cluster.move_slot(key_of(name), target)
            moved.append(target)
            # The counts go on there, once what was lent before has surely ended.
            both.wait_for_counts(name)

        found = hammer(both.nodes, "leased", name, window_s=WINDOW_S, meanwhile=meanwhile)
        assert found.most() <= MAX
        assert cluster.master_of(key_of(name)) is moved[0]
        wait_until(lambda: both.nodes[0].admits("strict", name))
        again = hammer(both.nodes, "strict", name, window_s=WINDOW_S, seconds=1.2 * WINDOW_S)
        assert again.units
        assert again.most() <= MAX


@pytest.mark.parametrize("kind", KINDS)
def test_a_shard_fails_over(kind: str, tmp_path: Path, cluster: RedisCluster) -> None:
    cluster.wait_until_complete()
    name, other = apart(cluster, f"killed-{kind}")
    with ExitStack() as stack:
        both = running(tmp_path, cluster, stack, name, other)
        on_others: list[Admissions] = []

        def meanwhile() -> None:
            time.sleep(0.3)
            master = cluster.master_of(key_of(name))
            cluster.kill(master)
            # Meanwhile the policies of other shards go on.
            on_others.append(hammer(both.nodes, kind, other, window_s=WINDOW_S, seconds=2 * WINDOW_S))
            both.wait_for_counts(name)
            master.start()

        found = hammer(both.nodes, kind, name, window_s=WINDOW_S, meanwhile=meanwhile)
        assert found.most() <= MAX
        assert on_others[0].most() <= MAX <= len(on_others[0].units)
        # And those of this one after it.
        wait_until(lambda: both.nodes[0].status["counters"]["shared_fault"] is None)
        after = hammer(both.nodes, kind, name, window_s=WINDOW_S, seconds=1.2 * WINDOW_S)
        assert after.units
        assert after.most() <= MAX


def test_a_planned_change_of_the_master(tmp_path: Path, cluster: RedisCluster) -> None:
    cluster.wait_until_complete()
    with ExitStack() as stack:
        both = running(tmp_path, cluster, stack, "planned")

        def meanwhile() -> None:
            time.sleep(0.3)
            cluster.fail_over(cluster.master_of(key_of("planned")))
            both.wait_for_counts("planned")

        found = hammer(both.nodes, "strict", "planned", window_s=WINDOW_S, meanwhile=meanwhile)
        assert found.most() <= MAX


def test_a_node_of_a_cluster_is_not_taken_for_all_of_it(tmp_path: Path, cluster: RedisCluster) -> None:
    with node(tmp_path / "node", cluster.masters[0].url, {"s": tools_of("single")}) as one:
        wait_until(lambda: one.faults)
        assert "is a node of a Redis Cluster" in one.faults[0]
        assert "redis+cluster://" in one.faults[0]
        assert not one.admits("strict")


def test_a_cluster_of_which_some_nodes_are_away(tmp_path: Path, cluster: RedisCluster) -> None:
    # The first of the hosts does not exist, the next is a replica.
    replica = cluster.replica_of(cluster.masters[0])
    url = f"redis+cluster://127.0.0.1:1,127.0.0.1:{replica.port}"
    with node(tmp_path / "node", url, {"s": tools_of("away")}) as one:
        one.wait_for_counts("s")
        assert one.admitted(MAX + 2, "strict") == MAX
