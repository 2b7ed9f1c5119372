"""callgate beside envoyproxy/ratelimit and a script for fixed windows: the same calls, the same Redis, the same faults.

The table at the end says how many units the worst second had, and how much that is above the limit. It is also written
to the file that CALLGATE_CLUSTER_COMPARISON names. A call that meets an error of the store counts as refused, for
everyone. The clock of Redis is not set forward here: callgate's strict limits may begin anew then.
"""

from __future__ import annotations

import json
import os
import random
import time
from pathlib import Path

from support.fleet.contest import Contest
from support.fleet.faults import FAULTS, Disturbance, set_clock_of_redis_forward, wait_until_well
from support.fleet.ledger import Limit
from support.fleet.peers import RATELIMIT, FixedWindow, OfCallgate, RateLimitService, running_ratelimit
from support.fleet.running import running_fleet
from support.shared import limit, policy

ROUNDS = int(os.environ.get("CALLGATE_CLUSTER_ROUNDS", "1"))
SEED = int(os.environ.get("CALLGATE_CLUSTER_SEED", "0")) or random.SystemRandom().randrange(1, 1_000_000)
MOST, WINDOW_S = 40, 1
SHARINGS = ("leased", "strict")
POLICIES = {
    "s": policy("compared", **{how: [limit(how, MOST, f"{WINDOW_S}s", shared=how)] for how in SHARINGS}),
}
SERVICE, SCRIPT = "envoyproxy/ratelimit", "fixed-window script"


def test_how_far_limiters_go_over(tmp_path: Path) -> None:
    assert RATELIMIT.exists(), f"{RATELIMIT} is not there: `make test-cluster` builds it with Go"
    choose = random.Random(SEED)
    names = [*(f"callgate, {how}" for how in SHARINGS), SERVICE, SCRIPT]
    with (
        running_fleet(tmp_path, "sentinels", POLICIES) as fleet,
        running_ratelimit(tmp_path / "peer", fleet.redis.sentinels, MOST) as ports,
    ):
        threads = range(len(fleet.members))
        contest = Contest(
            [Limit(name, MOST, WINDOW_S, is_strict=name.endswith("strict")) for name in names],
            {
                **{f"callgate, {how}": [OfCallgate(member, how) for member in fleet.members] for how in SHARINGS},
                SERVICE: [RateLimitService(ports[number % len(ports)]) for number in threads],
                SCRIPT: [FixedWindow(fleet.redis.sentinels, MOST, WINDOW_S * 1_000) for _ in threads],
            },
            choose,
        )
        at = Disturbance(fleet, choose, contest.ledger.steps)
        faults = [fault for fault in FAULTS if fault is not set_clock_of_redis_forward] * ROUNDS
        contest.start()
        try:
            for fault in choose.sample(faults, len(faults)):
                fault(at)
                ended = time.monotonic()
                wait_until_well(
                    fleet,
                    lambda: bool(contest.faults) or contest.has_admitted_since(ended),  # noqa: B023
                    lambda: fault.__name__,  # noqa: B023  called within this turn
                )
        finally:
            contest.stop()
    assert contest.faults == []
    rows = [row(contest, each) for each in contest.ledger.limits]
    report(rows)
    assert [found["over_percent"] for found in rows[: len(SHARINGS)]] == [0, 0], f"seed {SEED}"


def row(contest: Contest, each: Limit) -> dict[str, float | str]:
    """What became of one limiter."""
    most = contest.ledger.most(each)
    assert most >= MOST / 2, f"{each.name} was never near its limit"
    over = max(0, round((most / MOST - 1) * 100))
    admitted = len(contest.ledger.admissions[each.name])
    asked = contest.asked[each.name]
    return {"limiter": each.name, "asked": asked, "admitted": admitted, "worst": most, "over_percent": over}


def report(rows: list[dict[str, float | str]]) -> None:
    """Prints the rows, and writes them to the file if one is named."""
    lines = [f"seed {SEED}, {ROUNDS} time(s) each fault, at most {MOST} in any {WINDOW_S} s"]
    lines.append(f"{'limiter':<22} {'asked':>8} {'admitted':>9} {'worst second':>13} {'above the limit':>16}")
    lines += [
        f"{one['limiter']:<22} {one['asked']:>8} {one['admitted']:>9} {one['worst']:>13g} {one['over_percent']:>14} %"
        for one in rows
    ]
    print("\n" + "\n".join(lines))  # noqa: T201  the report of this run
    if file := os.environ.get("CALLGATE_CLUSTER_COMPARISON"):
        document = {"seed": SEED, "rounds": ROUNDS, "max": MOST, "window_s": WINDOW_S, "limiters": rows}
        Path(file).parent.mkdir(parents=True, exist_ok=True)
        Path(file).write_text(json.dumps(document, indent=2) + "\n")
