"""Five callgates under faults of their own, of Redis and of PostgreSQL: no limit is exceeded, and all come back.

Redis is a master and a replica with three Sentinels first, and then a Redis Cluster of three masters and replicas.

`make test-cluster` runs this file; `make test` does not, since pytest looks for files named `test_*` alone. Each fault
runs CALLGATE_CLUSTER_ROUNDS times, in an order from CALLGATE_CLUSTER_SEED; CALLGATE_CLUSTER_FAULTS names some alone.
"""

from __future__ import annotations

import os
import random
import time
from typing import TYPE_CHECKING

import pytest

from support.fleet.faults import FAULTS, Disturbance, wait_until_well
from support.fleet.ledger import SLEW
from support.fleet.load import LIMITS, running_load
from support.fleet.running import running_fleet
from support.fleet.stores import KINDS

if TYPE_CHECKING:
    from pathlib import Path

ROUNDS = int(os.environ.get("CALLGATE_CLUSTER_ROUNDS", "2"))
SEED = int(os.environ.get("CALLGATE_CLUSTER_SEED", "0")) or random.SystemRandom().randrange(1, 1_000_000)
NAMES = [name for name in os.environ.get("CALLGATE_CLUSTER_FAULTS", "").split(",") if name]


def chosen(choose: random.Random) -> list[str]:
    """The names of the faults, in the order of this run."""
    known = [fault.__name__ for fault in FAULTS]
    assert set(NAMES) <= set(known), f"expected some of {known}"
    names = []
    for _ in range(ROUNDS):
        of_round = NAMES or known
        names += choose.sample(of_round, len(of_round))
    return names


def say(text: str) -> None:
    """A line of the report, with the time."""
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)  # noqa: T201  the report of this run


@pytest.mark.parametrize("kind", KINDS)
def test_no_limit_is_exceeded(tmp_path: Path, kind: str) -> None:
    choose = random.Random(SEED)
    say(f"{kind}, seed {SEED}: CALLGATE_CLUSTER_SEED={SEED} repeats the order and the choices of this run")
    by_name = {fault.__name__: fault for fault in FAULTS}
    with running_fleet(tmp_path, kind) as fleet, running_load(fleet.members, fleet.store, SEED) as load:
        at = Disturbance(fleet, choose, load.ledger.steps)
        begun = time.monotonic()
        told: list[str] = []
        for name in ["", *chosen(choose)]:
            if name:
                say(name)
                by_name[name](at)
            ended = time.monotonic()
            wait_until_well(
                fleet,
                lambda: bool(load.faults) or load.has_admitted_since(ended),  # noqa: B023  called within this turn
                lambda: (load.missing_since(ended), [member.node.faults[-1:] for member in fleet.members]),  # noqa: B023
            )
            assert load.faults == []
            # What is found at once is told with its fault.
            if new := [excess for excess in load.ledger.excesses() if excess not in told]:
                say(f"EXCEEDED after {name}: {new}")
                told += new
        seconds = time.monotonic() - begun
    for line in load.ledger.lines():
        say(line)
    say(f"{seconds:.0f} s, {sum(load.outcomes.values())} calls, {len(load.uses)} approvals used")
    assert load.faults == []
    assert load.ledger.excesses() == [], f"seed {SEED}"
    assert max(load.uses.values()) == 1, f"seed {SEED}: an approval was used twice"
    # Each limit was reached, or nothing would have been tested.
    for limit in LIMITS:
        assert load.ledger.most(limit) >= limit.most * (1 - SLEW) / 2, limit.name
