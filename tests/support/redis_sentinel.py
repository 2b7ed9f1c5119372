"""A Redis with a replica and three Sentinels, as an operator runs them for failovers."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import redis

from support.ports import free_port
from support.redis import HOST, RedisServer, running_redis, until

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

NAME = "counts"
"""The name of the master at its Sentinels."""
SENTINELS = 3
QUORUM = 2
DOWN_AFTER_MS = 1_000
"""The time without an answer after which a Sentinel takes a server for down."""
SAFE = (
    # A master that has lost its replica to another master accepts no writes.
    "min-replicas-to-write 1",
    "min-replicas-max-lag 1",
    "repl-ping-replica-period 1",
    # For servers that are slow on purpose, from loopback alone.
    "enable-debug-command local",
)
"""Settings of servers of which one takes the place of the other."""


class SentinelTrio:
    """Two Redis servers, of which one is the master, and three Sentinels."""

    def __init__(self, servers: list[RedisServer], sentinels: list[RedisServer]) -> None:
        self.servers = servers
        self.sentinels = sentinels

    @property
    def url(self) -> str:
        """The URL for `counters.shared.url`."""
        hosts = ",".join(f"{HOST}:{sentinel.port}" for sentinel in self.sentinels)
        return f"redis+sentinel://{hosts}/{NAME}"

    @property
    def master(self) -> RedisServer:
        """The server that the Sentinels name now."""
        return self._at(_named_by(self.sentinels[0]))

    @property
    def other(self) -> RedisServer:
        """The server that is not the master now."""
        [other] = [server for server in self.servers if server is not self.master]
        return other

    def fail_over(self) -> None:
        """Lets the Sentinels make the replica the master, and waits until they name it."""
        before = self.master

        def is_begun() -> bool:
            # One that has just ended is refused for a moment.
            try:
                self.sentinels[0].ask("SENTINEL", "FAILOVER", NAME)
            except redis.ResponseError:
                return self.master is not before
            return True

        until(is_begun)
        self.wait_for_other_master(before)

    def wait_for_other_master(self, before: RedisServer) -> None:
        """Waits until all Sentinels name another server as the master."""
        until(lambda: before.port not in self._named())

    def wait_until_complete(self) -> None:
        """Waits until the master has its replica, accepts writes, and every Sentinel knows all of that."""
        until(self._is_complete)

    def _named(self) -> set[int]:
        return {_named_by(sentinel) for sentinel in self.sentinels}

    def _is_complete(self) -> bool:
        ports = self._named()
        if len(ports) != 1:
            return False
        master = self._at(ports.pop())
        try:
            with master.client() as client:
                replication = dict(client.info("replication"))
        except redis.ConnectionError:
            return False
        if (replication["role"], replication.get("min_slaves_good_slaves")) != ("master", 1):
            return False
        return all(self._knows(sentinel) for sentinel in self.sentinels)

    def _knows(self, sentinel: RedisServer) -> bool:
        fields = _pairs(sentinel.ask("SENTINEL", "MASTER", NAME))
        replicas = [_pairs(one) for one in sentinel.ask("SENTINEL", "REPLICAS", NAME)]
        counts = (fields["flags"], fields["num-slaves"], fields["num-other-sentinels"])
        return counts == ("master", "1", str(SENTINELS - 1)) and [one["flags"] for one in replicas] == ["slave"]

    def _at(self, port: int) -> RedisServer:
        [server] = [server for server in self.servers if server.port == port]
        return server


def _named_by(sentinel: RedisServer) -> int:
    """The port of the master that a Sentinel names."""
    address = sentinel.ask("SENTINEL", "GET-MASTER-ADDR-BY-NAME", NAME)
    return int(address[1])


def _pairs(answer: object) -> dict[str, str]:
    if isinstance(answer, dict):
        return {str(name): str(value) for name, value in answer.items()}
    assert isinstance(answer, list)
    return dict(zip(answer[::2], answer[1::2], strict=True))


@contextmanager
def running_sentinels(
    folder: Path, *, lines: Sequence[str] = (), environment: Mapping[str, str] | None = None
) -> Iterator[SentinelTrio]:
    """Servers that know each other.

    Args:
        folder: Where their data are; it is made.
        lines: Further lines of the configuration of both servers.
        environment: Variables for both servers, beside those of the tests.
    """
    settings = (*SAFE, *lines)
    with ExitStack() as stack:
        master = stack.enter_context(running_redis(folder / "redis-0", lines=settings, environment=environment))
        replica = stack.enter_context(
            running_redis(folder / "redis-1", replica_of=master, lines=settings, environment=environment)
        )
        replica.wait_for_primary()
        sentinels = [_sentinel(folder / f"sentinel-{number}", master) for number in range(SENTINELS)]
        trio = SentinelTrio([master, replica], sentinels)
        for sentinel in sentinels:
            stack.callback(sentinel.close)
            sentinel.start()
            # They look at servers and at each other more often than every 10 s.
            sentinel.ask("SENTINEL", "DEBUG", "INFO-PERIOD", 300, "PUBLISH-PERIOD", 300)
        trio.wait_until_complete()
        yield trio


def _sentinel(folder: Path, master: RedisServer) -> RedisServer:
    folder.mkdir(parents=True)
    port = free_port()
    lines = [
        "daemonize no",
        f"bind {HOST}",
        f"port {port}",
        f"dir {folder}",
        f"sentinel monitor {NAME} {HOST} {master.port} {QUORUM}",
        f"sentinel down-after-milliseconds {NAME} {DOWN_AFTER_MS}",
        f"sentinel failover-timeout {NAME} 3000",
    ]
    (folder / "redis.conf").write_text("".join(f"{line}\n" for line in lines))
    return RedisServer(folder, port=port, words=["--sentinel"])
