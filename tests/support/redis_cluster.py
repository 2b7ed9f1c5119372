"""A Redis Cluster of three masters, each with a replica."""

from __future__ import annotations

import subprocess
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import redis
from redis.crc import key_slot

from support.ports import free_port
from support.redis import HOST, TIMEOUT_S, RedisServer, running_redis, until

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

MASTERS = 3
NODE_TIMEOUT_MS = 1_000
"""The time without an answer after which the others take a node for failed."""


class RedisCluster:
    """Six running servers; each keeps its port over kills and restarts."""

    def __init__(self, servers: list[RedisServer]) -> None:
        self.servers = servers

    @property
    def url(self) -> str:
        """The URL for `counters.shared.url`."""
        return "redis+cluster://" + ",".join(f"{HOST}:{server.port}" for server in self.servers)

    @property
    def masters(self) -> list[RedisServer]:
        """The servers that have slots now, as the others see them."""
        return [self._at(port) for port, node in self._nodes().items() if "master" in node["flags"] and node["slots"]]

    def master_of(self, key: str, seen_by: RedisServer | None = None) -> RedisServer:
        """The master that has the slot of a key, as a running server sees it."""
        slot = key_slot(key.encode())
        [port] = [port for port, node in self._nodes(seen_by).items() if _has(node, slot)]
        return self._at(port)

    def replica_of(self, master: RedisServer, seen_by: RedisServer | None = None) -> RedisServer:
        """A running replica of a master, as a running server sees it."""
        nodes = self._nodes(seen_by)
        name = nodes[master.port]["node_id"]
        ports = [port for port, node in nodes.items() if node["master_id"] == name and "fail" not in node["flags"]]
        return self._at(ports[0])

    def fail_over(self, master: RedisServer, seen_by: RedisServer | None = None) -> RedisServer:
        """Makes the replica of a master its successor, without a fault; gives the new master."""
        replica = self.replica_of(master, seen_by)
        replica.ask("CLUSTER", "FAILOVER")
        until(lambda: self._is_master(replica))
        return replica

    def kill(self, master: RedisServer) -> RedisServer:
        """Ends a master at once, and waits until the others have its replica in its place; gives that one."""
        replica = self.replica_of(master)
        master.kill()
        until(lambda: self._is_master(replica))
        return replica

    def move_slot(self, key: str, target: RedisServer) -> None:
        """Moves the slot of a key, with all of its keys, to another master."""
        slot = key_slot(key.encode())
        source = self.master_of(key)
        nodes = self._nodes()
        names = {server.port: nodes[server.port]["node_id"] for server in (source, target)}
        target.ask("CLUSTER", "SETSLOT", slot, "IMPORTING", names[source.port])
        source.ask("CLUSTER", "SETSLOT", slot, "MIGRATING", names[target.port])
        while keys := source.ask("CLUSTER", "GETKEYSINSLOT", slot, 100):
            source.ask("MIGRATE", HOST, target.port, "", 0, int(TIMEOUT_S * 1_000), "KEYS", *keys)
        for server in (target, source):
            server.ask("CLUSTER", "SETSLOT", slot, "NODE", names[target.port])
        until(lambda: all(self._sees(server, slot, target) for server in self.servers if server.is_running))

    def wait_until_complete(self) -> None:
        """Waits until every slot is served, and each master has a replica that has its data."""
        until(self._is_complete)

    def _nodes(self, server: RedisServer | None = None) -> dict[int, dict[str, Any]]:
        """The nodes by port, as one server sees them."""
        seen_by = server or next(server for server in self.servers if server.is_running)
        with seen_by.client() as client:
            nodes: Any = client.cluster("nodes")
        return {int(address.rpartition(":")[2]): node for address, node in nodes.items()}

    def _sees(self, server: RedisServer, slot: int, owner: RedisServer) -> bool:
        return _has(self._nodes(server)[owner.port], slot)

    def _is_master(self, server: RedisServer) -> bool:
        return all(server in self._masters_seen_by(one) for one in self.servers if one.is_running)

    def _masters_seen_by(self, server: RedisServer) -> list[RedisServer]:
        nodes = self._nodes(server)
        return [self._at(port) for port, node in nodes.items() if "master" in node["flags"] and node["slots"]]

    def _is_complete(self) -> bool:
        links = []
        for server in self.servers:
            try:
                with server.client() as client:
                    state = dict(client.cluster("info"))["cluster_state"]
                    links.append(dict(client.info("replication")).get("master_link_status"))
            except redis.ConnectionError:
                return False
            if state != "ok" or not self._sees_all(server):
                return False
        return links.count("up") == len(self.servers) - MASTERS

    def _sees_all(self, server: RedisServer) -> bool:
        """True if a server knows three masters with slots, each with a replica, and no fault."""
        nodes = self._nodes(server).values()
        masters = {node["node_id"] for node in nodes if "master" in node["flags"] and node["slots"]}
        followed = {node["master_id"] for node in nodes if "slave" in node["flags"]}
        return len(masters) == MASTERS and followed == masters and not any("fail" in node["flags"] for node in nodes)

    def _at(self, port: int) -> RedisServer:
        [server] = [server for server in self.servers if server.port == port]
        return server


def _has(node: dict[str, Any], slot: int) -> bool:
    ranges = [[int(bound) for bound in one] for one in node["slots"] if one[0].isdigit()]
    return "master" in node["flags"] and any(one[0] <= slot <= one[-1] for one in ranges)


@contextmanager
def running_cluster(
    folder: Path, *, lines: Sequence[str] = (), environment: Mapping[str, str] | None = None
) -> Iterator[RedisCluster]:
    """A cluster that serves every slot.

    Args:
        folder: Where the data of its servers are; it is made.
        lines: Further lines of the configuration of each server.
        environment: Variables for each server, beside those of the tests.
    """
    with ExitStack() as stack:
        servers = []
        for number in range(2 * MASTERS):
            settings = [*_clustered(), *lines]
            server = running_redis(folder / f"redis-{number}", lines=settings, environment=environment)
            servers.append(stack.enter_context(server))
        addresses = [f"{HOST}:{server.port}" for server in servers]
        command = ["redis-cli", "--cluster", "create", *addresses, "--cluster-replicas", "1", "--cluster-yes"]
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=2 * TIMEOUT_S, stdin=subprocess.DEVNULL, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        cluster = RedisCluster(servers)
        cluster.wait_until_complete()
        yield cluster


def _clustered() -> Iterator[str]:
    yield from (
        "cluster-enabled yes",
        "cluster-config-file nodes.conf",
        f"cluster-node-timeout {NODE_TIMEOUT_MS}",
        # Beside the port by default, at a number that may be taken.
        f"cluster-port {free_port()}",
        "repl-ping-replica-period 1",
    )
