"""`Engine.check` beside PyPI's `limits` and `cedarpy`, each on the part of the job that it can do, in one process.

`limits` counts and judges no arguments, so it is set beside a policy of one limit. `cedarpy` judges arguments and
counts nothing, so it is set beside a policy of two conditions. Each is used the fastest way that its documentation
shows, and each must have answered rightly, within the limit and above it, before it is timed.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import time
from functools import partial
from typing import TYPE_CHECKING

import cedarpy
from common import calls, report
from limits import RateLimitItemPerHour
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

import callgate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MAX = 30
CONDITIONS = [
    {"path": "args.currency", "op": "in", "value": ["usd", "eur"]},
    {"path": "args.amount", "op": "lte", "value": 50_000},
]
CEDAR = f"""
permit(principal, action == Action::"{calls.TOOL}", resource)
when {{ ["usd", "eur"].contains(context.currency) && context.amount <= 50000 }};
"""


def limit_subjects(grants: int) -> dict[str, dict[str, Callable[[], float]]]:
    """A sliding limit of 30 an hour: every call of fresh grants admitted, or every call of a full one refused."""
    policy = {
        "version": "1",
        "default": "allow",
        "all_tools": {"limits": [{"counter": "c", "window": "hour", "max": MAX}]},
    }
    engine = callgate.Engine.from_dict(policy, counter_capacity=10_000_000)
    limiter, item = MovingWindowRateLimiter(MemoryStorage()), RateLimitItemPerHour(MAX)

    def check(grant: str) -> bool:
        return engine.check(grant=grant, tool=calls.TOOL).allowed

    def hit(grant: str) -> bool:
        return bool(limiter.hit(item, grant))

    subjects: dict[str, dict[str, Callable[[], float]]] = {"admitted": {}, "refused": {}}
    for name, take in (("Engine.check", check), ("limits, moving window in memory", hit)):
        assert [take("probe") for _ in range(MAX + 1)] == [True] * MAX + [False], name
        assert take("another"), name
        while take("full"):
            pass
        subjects["admitted"][name] = partial(_admitted, take, itertools.count(), grants)
        subjects["refused"][name] = partial(_refused, take, grants * MAX)
    return subjects


def _admitted(take: Callable[[str], bool], numbers: Iterator[int], grants: int) -> float:
    """Microseconds per call: each of some new grants asks until its limit is reached."""
    number = next(numbers)
    names = [f"{number}-{grant}" for grant in range(grants)] * MAX
    began = time.perf_counter()
    allowed = sum(map(take, names))
    elapsed = time.perf_counter() - began
    assert allowed == len(names), f"{allowed} of {len(names)}"
    return elapsed / len(names) * 1e6


def _refused(take: Callable[[str], bool], count: int) -> float:
    began = time.perf_counter()
    allowed = sum(map(take, itertools.repeat("full", count)))
    elapsed = time.perf_counter() - began
    assert allowed == 0
    return elapsed / count * 1e6


def condition_subjects(count: int) -> dict[str, dict[str, Callable[[], float]]]:
    """Two conditions on the arguments, which are a dict for both."""
    rules = {"require": [{"conditions": CONDITIONS}]}
    engine = callgate.Engine.from_dict({"version": "1", "default": "deny", "tools": {calls.TOOL: rules}})
    policies, entities = cedarpy.PolicySet.from_str(CEDAR), cedarpy.Entities.from_json_str("[]")
    who = {
        "principal": {"type": "Grant", "id": calls.GRANT},
        "action": {"type": "Action", "id": calls.TOOL},
        "resource": {"type": "Server", "id": "srv"},
    }

    def check(args: object) -> bool:
        return engine.check(grant=calls.GRANT, tool=calls.TOOL, args=args).allowed

    def authorized(args: object) -> bool:
        return bool(cedarpy.is_authorized({**who, "context": args}, policies, entities).allowed)

    subjects: dict[str, dict[str, Callable[[], float]]] = {}
    for size, body in calls.ARGUMENTS.items():
        args = json.loads(body)
        group = subjects.setdefault(f"{size} bytes", {})
        for name, judge in (("Engine.check", check), ("cedarpy", authorized)):
            assert judge(args), name
            assert judge({**args, "currency": "usd", "amount": 50_000}), name
            assert not judge({**args, "currency": "gbp"}), name
            assert not judge({**args, "amount": 50_001}), name
            assert not judge({key: value for key, value in args.items() if key != "amount"}), name
            group[name] = partial(_judged, judge, args, count)
        assert check(body)
        group["Engine.check, JSON bytes"] = partial(_judged, check, body, count)
        group["cedarpy, JSON text"] = partial(_judged, authorized, body.decode(), count)
    return subjects


def _judged(judge: Callable[[object], bool], args: object, count: int) -> float:
    began = time.perf_counter()
    allowed = sum(map(judge, itertools.repeat(args, count)))
    elapsed = time.perf_counter() - began
    assert allowed == count
    return elapsed / count * 1e6


def main() -> None:
    """Measures, prints the tables and writes the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="show that it works")
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--calls", type=int, default=30_000, help="per round")
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.calls = 3, 3_000
    results = report.begin("peers", options)
    groups = {
        "a sliding limit of 30 an hour": limit_subjects(options.calls // MAX),
        "two conditions on the arguments": condition_subjects(options.calls),
    }
    rows = []
    for title, works in groups.items():
        for work, subjects in works.items():
            measured = report.interleaved(subjects, options.rounds)
            ours = measured["Engine.check"]
            for name, rounds in measured.items():
                ratio = report.ratio(rounds, ours)
                rows.append((f"{title}, {work}", name, statistics.median(rounds), f"{ratio:.2f}x"))
                if not name.startswith("Engine.check"):
                    results.headline(f"{name}, time beside Engine.check ({work})", ratio, "x")
            results.raw[f"{title}, {work}"] = measured
    results.table("microseconds per call, and the time beside Engine.check", ("", "", "us", "time"), rows)
    results.write()


if __name__ == "__main__":
    main()
