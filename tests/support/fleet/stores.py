"""Redis servers of which one takes the place of the other: behind Sentinels, or as a shard of a Redis Cluster."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from support.redis import RedisServer, until
from support.redis_cluster import RedisCluster, running_cluster
from support.redis_sentinel import SAFE, running_sentinels

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

POLICY = "fleet"
"""The policy whose shard is disturbed."""
KINDS = ("sentinels", "cluster")


class FailoverPair(Protocol):
    """A master and its replica, which change places."""

    @property
    def master(self) -> RedisServer:
        """The master now."""

    @property
    def other(self) -> RedisServer:
        """The replica now."""

    @property
    def url(self) -> str:
        """The URL for `counters.shared.url`."""

    @property
    def servers(self) -> list[RedisServer]:
        """All servers that callgates are sent to."""

    @property
    def sentinels(self) -> list[RedisServer]:
        """The Sentinels that send them there; none for a cluster."""

    def fail_over(self) -> None:
        """Makes the replica the master, and waits until it is."""

    def wait_for_other_master(self, before: RedisServer) -> None:
        """Waits until another server is the master."""

    def wait_until_complete(self) -> None:
        """Waits until the master accepts writes, and its replica follows it."""


class Shard:
    """The servers of a policy in a cluster. Every other server is a witness, and is not disturbed."""

    def __init__(self, cluster: RedisCluster) -> None:
        self._cluster = cluster
        self._key = f"callgate:1:{{{POLICY}}}"
        master = cluster.master_of(self._key)
        self._pair = [master, cluster.replica_of(master)]
        self._witness = next(server for server in cluster.servers if server not in self._pair)

    @property
    def master(self) -> RedisServer:
        return self._cluster.master_of(self._key, self._witness)

    @property
    def other(self) -> RedisServer:
        [other] = [server for server in self._pair if server is not self.master]
        return other

    @property
    def url(self) -> str:
        return self._cluster.url

    @property
    def servers(self) -> list[RedisServer]:
        return self._cluster.servers

    @property
    def sentinels(self) -> list[RedisServer]:
        return []

    def fail_over(self) -> None:
        before = self.master
        self._cluster.fail_over(before, self._witness)
        self.wait_for_other_master(before)

    def wait_for_other_master(self, before: RedisServer) -> None:
        until(lambda: self.master is not before)

    def wait_until_complete(self) -> None:
        self._cluster.wait_until_complete()
        until(lambda: dict(self.master.info("replication")).get("min_slaves_good_slaves") == 1)


@contextmanager
def running_pair(kind: str, folder: Path, environment: Mapping[str, str]) -> Iterator[FailoverPair]:
    """A pair behind Sentinels or in a cluster, whose servers have these variables."""
    if kind == "sentinels":
        with running_sentinels(folder, environment=environment) as trio:
            yield trio
    else:
        with running_cluster(folder, lines=SAFE, environment=environment) as cluster:
            yield Shard(cluster)
