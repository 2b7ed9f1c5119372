"""A master that goes on to serve a callgate while its replica has become the master of another one (split brain).

With `min-replicas-to-write 1` and a `min-replicas-max-lag` that is no longer than the time until the failover, the old
master accepts no units any more when the new one begins to lend them: no window holds more than `max`.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Event
from typing import TYPE_CHECKING

from support.fleet.ledger import Ledger, Limit
from support.redis import RedisServer, running_redis
from support.shared import Node, limit, node, policy
from support.tcp_proxy import tcp_proxy

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MOST, WINDOW_S = 40, 1
FAILOVER_S = 1
SHARINGS = ("leased", "strict")
POLICIES = {"s": policy("split", **{how: [limit(how, MOST, f"{WINDOW_S}s", shared=how)] for how in SHARINGS})}
SAFE = ("min-replicas-to-write 1", f"min-replicas-max-lag {FAILOVER_S}", "repl-ping-replica-period 1")


@contextmanager
def asking(nodes: list[Node]) -> Iterator[Ledger]:
    """Asks all callgates for all limits until the end of the block."""
    ledger = Ledger([Limit(how, MOST, WINDOW_S, is_strict=how == "strict") for how in SHARINGS])
    done = Event()

    def ask(number: int, how: str) -> None:
        while not done.is_set():
            before = time.monotonic()
            if nodes[number].admits(how):
                ledger.record(how, before, time.monotonic(), number)
            time.sleep(0.003)

    with ThreadPoolExecutor(4 * len(nodes)) as pool:
        asked = [pool.submit(ask, number, how) for number in range(len(nodes)) for how in SHARINGS for _ in "12"]
        try:
            yield ledger
        finally:
            done.set()
        for one in asked:
            one.result()


def test_two_masters_admit_no_more_than_one(tmp_path: Path) -> None:
    with (
        running_redis(tmp_path / "old", lines=SAFE) as old,
        tcp_proxy(old.port) as replication,
        running_redis(tmp_path / "new", replica_of=RedisServer(tmp_path, port=replication.port)) as new,
        tcp_proxy(old.port) as way,
    ):
        new.wait_for_primary()
        with (
            node(tmp_path / "a", old.url, POLICIES, lease="1s") as stays,
            node(tmp_path / "b", way.url, POLICIES, lease="1s") as moves,
        ):
            for each in (stays, moves):
                each.wait_for_counts("s")
            with asking([stays, moves]) as ledger:
                time.sleep(2)
                # The network is cut: the old master does not see that its replica has gone.
                replication.stall()
                cut_at = time.monotonic()
                time.sleep(FAILOVER_S)
                new.ask("REPLICAOF", "NO", "ONE")
                way.lead_to(new.port)
                time.sleep(10)
            # Both callgates were asked all the time, and one was admitted by each master.
            for how in SHARINGS:
                assert cut_at < ledger.last(how, 0) < cut_at + 5, "the old master did not stop"
                assert ledger.last(how, 1) > cut_at + 5, "the new master did not begin"
            assert ledger.excesses() == []
