"""The Sentinels and the Redis Cluster that tests start: they fail over, and complete themselves again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import redis

from support.redis import until
from support.redis_cluster import MASTERS, running_cluster
from support.redis_sentinel import running_sentinels

if TYPE_CHECKING:
    from pathlib import Path

    from support.redis import RedisServer
    from support.redis_cluster import RedisCluster

KEY = "callgate:1:{p}"


def put(server: RedisServer, text: str, key: str = "k") -> None:
    with server.client() as client:
        client.set(key, text)


def value(server: RedisServer, key: str = "k") -> object:
    with server.client() as client:
        return client.get(key)


def accepts_writes(server: RedisServer) -> bool:
    try:
        put(server, "w")
    except (redis.ResponseError, redis.ConnectionError):
        return False
    return True


def test_sentinels_fail_over(tmp_path: Path) -> None:
    with running_sentinels(tmp_path) as trio:
        first, second = trio.master, trio.other
        put(first, "v")
        until(lambda: value(second) == "v")
        trio.fail_over()
        assert (trio.master, trio.other) == (second, first)
        trio.wait_until_complete()
        assert value(second) == "v"
        # The second master ends: the first one takes over, and accepts writes once it has a replica.
        second.kill()
        trio.wait_for_other_master(second)
        assert trio.master is first
        assert not accepts_writes(first)
        second.start()
        trio.wait_until_complete()
        assert trio.master is first
        assert accepts_writes(first)
        assert trio.url.count("127.0.0.1:") == 3


def test_a_master_that_has_lost_its_replica_accepts_no_writes(tmp_path: Path) -> None:
    with running_sentinels(tmp_path) as trio:
        put(trio.master, "v")
        trio.other.pause()
        until(lambda: not accepts_writes(trio.master))
        trio.other.resume()
        until(lambda: accepts_writes(trio.master))


def holder(cluster: RedisCluster) -> RedisServer:
    master = cluster.master_of(KEY)
    assert value(master, KEY) == "v"
    return master


def test_a_cluster_fails_over_and_moves_slots(tmp_path: Path) -> None:
    with running_cluster(tmp_path) as cluster:
        assert len(cluster.masters) == MASTERS
        first = cluster.master_of(KEY)
        put(first, "v", KEY)
        [other, _] = [master for master in cluster.masters if master is not first]
        with pytest.raises(redis.exceptions.MovedError):
            put(other, "v", KEY)
        second = cluster.fail_over(first)
        assert holder(cluster) is second
        cluster.wait_until_complete()
        assert cluster.kill(second) is first
        assert holder(cluster) is first
        second.start()
        cluster.wait_until_complete()
        cluster.move_slot(KEY, other)
        assert holder(cluster) is other
        assert len(cluster.masters) == MASTERS
