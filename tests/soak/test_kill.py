"""The sidecar under load, killed at random moments, again and again: no interval may hold more than `max`.

Clients log every allow that they were told of, by its `decided_at_us`; what the killed process admitted without telling
anyone is no matter. CALLGATE_KILL_ROUNDS says how often (`make soak` says a lot).
"""

from __future__ import annotations

import json
import os
import random
import signal
import time
from collections import defaultdict
from threading import Thread
from typing import TYPE_CHECKING, Any

from callgate import Client
from support.intervals import worst
from support.program import sidecar

if TYPE_CHECKING:
    from pathlib import Path

ROUNDS = int(os.environ.get("CALLGATE_KILL_ROUNDS", "10"))
THREADS = 4
WINDOW_S = 6
WINDOW_US = WINDOW_S * 1_000_000
# The wall clock is looked at anew by each process, to half a millisecond; stamps themselves are on the boot clock.
JITTER_US = 2_000
MAX = {"exact": 200, "small": 3, "many": 2_000, "spend": 900}
MONTHLY_MAX = 500

POLICY: dict[str, Any] = {
    "version": "1",
    "name": "p",
    "default": "deny",
    "tools": {
        "exact": {"limits": [{"counter": "exact", "window": f"{WINDOW_S}s", "max": MAX["exact"]}]},
        "small": {"limits": [{"counter": "small", "window": f"{WINDOW_S}s", "max": MAX["small"]}]},
        "many": {"limits": [{"counter": "many", "window": f"{WINDOW_S}s", "max": MAX["many"]}]},
        "spend": {"limits": [{"counter": "spend", "window": f"{WINDOW_S}s", "max": MAX["spend"], "cost": "args.n"}]},
        "monthly": {"limits": [{"counter": "m", "window": "month", "max": MONTHLY_MAX, "align": "calendar"}]},
        "both": {
            "limits": [
                {"counter": "exact", "window": f"{WINDOW_S}s", "max": MAX["exact"]},
                {"counter": "many", "window": f"{WINDOW_S}s", "max": MAX["many"]},
            ]
        },
    },
}
COUNTERS = {"both": ["exact", "many"]}


class Log:
    """Admissions of each counter: Unix microseconds and units."""

    def __init__(self) -> None:
        self.admitted: dict[str, list[tuple[int, float]]] = defaultdict(list)
        self.asked = 0

    def ask(self, address: str, seed: int) -> None:
        """Asks until the sidecar is gone."""
        choose = random.Random(seed)
        with Client(address, timeout_ms=5_000) as client:
            while True:
                tool = choose.choice(list(POLICY["tools"]))
                units = choose.randint(1, 40) / 4 if tool == "spend" else 1
                decision = client.check(grant="g", tool=tool, args={"n": units})
                if decision.rule == "(decision point unavailable)":
                    return
                self.asked += 1
                assert decision.outcome in {"allow", "rate_limited"}, decision
                if decision.allowed:
                    for counter in COUNTERS.get(tool, [tool]):
                        self.admitted[counter].append((decision.decided_at_us, units))


def test_the_checker_sees_what_is_too_much() -> None:
    assert worst([(0, 1), (10, 2), (20, 3)], 11) == 5
    assert worst([(0, 1), (10, 2), (20, 3)], 10) == 3
    assert worst([], 10) == 0


def test_no_interval_holds_more_than_max_over_kills(tmp_path: Path) -> None:
    policy = tmp_path / "p.json"
    policy.write_text(json.dumps(POLICY))
    choose = random.Random(4711)
    log = Log()
    for number in range(ROUNDS):
        with sidecar("--policy", policy, "--state", tmp_path, "--workers", "2", "--grace", "0.2") as running:
            threads = [Thread(target=log.ask, args=(running.address, number * 100 + one)) for one in range(THREADS)]
            for thread in threads:
                thread.start()
            # At a random moment: this is the one thing here that is waited for by the clock.
            time.sleep(choose.uniform(0.05, 1.5))
            # Mostly a kill; a stop now and then, so that closed files are among those that are opened.
            running.stop(signal.SIGTERM if number % 5 == 4 else signal.SIGKILL)
            for thread in threads:
                thread.join(60)
                assert not thread.is_alive()
    for counter, most in MAX.items():
        admitted = log.admitted[counter]
        assert worst(admitted, WINDOW_US - JITTER_US) <= most, counter
        # Each was full at least once, or nothing would have been tested.
        assert counter == "many" or sum(units for _, units in admitted) >= 0.9 * most, (counter, len(admitted))
    by_month: dict[tuple[int, int], int] = defaultdict(int)
    for time_us, _ in log.admitted["monthly"]:
        month = time.gmtime(time_us / 1_000_000)
        by_month[month.tm_year, month.tm_mon] += 1
    assert max(by_month.values()) <= MONTHLY_MAX
    assert log.asked > 100 * ROUNDS
