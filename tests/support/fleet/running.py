"""Five callgates that share a Redis, which fails over, and a store in PostgreSQL."""

from __future__ import annotations

import os
import subprocess
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from callgate.store.place import parse_place
from callgate.store.store import open_store
from support.fleet.load import POLICIES
from support.fleet.members import Member, Way, member, own_way
from support.fleet.stores import FailoverPair, running_pair
from support.postgres import Postgres, running_postgres
from support.wall_clock import WallClock

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from callgate.store.store import Store

MEMBERS = 5
LEASE = "1s"
BUDGET = "250ms"
CAPACITY = 4_096
"""Counters of a callgate: their file is small enough for a small file system."""
STATE_BYTES = 64 << 20
FULL = 2
"""The callgate whose state folder may be full."""


@dataclass
class RunningFleet:
    """The parts, each of which can be disturbed. Callgates 0 and 1 have ways to Redis of their own."""

    redis: FailoverPair
    postgres: Postgres
    store: Store
    members: list[Member]
    ways: list[Way]
    redis_clock: WallClock
    """The time of day of all Redis servers, as if they were one machine."""
    member_clock: WallClock
    """The time of day of the last callgate."""
    full_state: Path | None
    """The state folder of callgate `FULL`, a small file system; None without the rights to make one."""


@contextmanager
def running_fleet(
    folder: Path, kind: str = "sentinels", policies: Mapping[str, dict[str, Any]] = POLICIES
) -> Iterator[RunningFleet]:
    """A fleet whose members have started; whoever asks waits until they admit calls.

    Args:
        folder: Where the files of all are.
        kind: The kind of Redis, see `support.fleet.stores`.
        policies: The policies by the names of their servers.
    """
    with ExitStack() as stack:
        redis_clock, member_clock = WallClock(_made(folder / "redis")), WallClock(_made(folder / "clock"))
        pair = stack.enter_context(running_pair(kind, folder / "redis", redis_clock.environment()))
        postgres = stack.enter_context(running_postgres())
        place = parse_place(postgres.new_schema())
        store = open_store(place)
        stack.callback(store.close)
        ways = [stack.enter_context(own_way(pair)) for _ in range(2)]
        urls = [*(way.url for way in ways), *[pair.url] * (MEMBERS - len(ways))]
        full_state = stack.enter_context(_small_file_system(_made(folder / f"callgate-{FULL}" / "state")))
        members = []
        for number, url in enumerate(urls):
            words = [f"{name}={value}" for name, value in member_clock.environment().items()]
            one = member(
                number,
                folder / f"callgate-{number}",
                url,
                policies,
                through=["env", *words] if number == MEMBERS - 1 else [],
                **_keys(folder / f"callgate-{number}", url, place.url),
            )
            stack.callback(one.close)
            one.start()
            members.append(one)
        yield RunningFleet(pair, postgres, store, members, ways, redis_clock, member_clock, full_state)


def _keys(folder: Path, url: str, store: str) -> dict[str, Any]:
    shared = {"url": url, "lease": LEASE, "budget": BUDGET}
    return {
        "counters": {"capacity": CAPACITY, "shared": shared},
        "store": {"url": store},
        # Those that were asked for without an answer wait until they expire.
        "approvals": {"deadline": "2s", "pending_per_grant": 10_000},
        "audit": {"path": str(folder / "state" / "decisions.jsonl")},
    }


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@contextmanager
def _small_file_system(folder: Path) -> Iterator[Path | None]:
    """A file system of its own at a folder; only root can make one."""
    if os.geteuid() != 0:
        yield None
        return
    options = f"size={STATE_BYTES},mode=0700"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "callgate-test", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)
