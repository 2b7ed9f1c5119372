"""`Engine.check` from Python with JSON bytes: percentiles of single calls, beside `json.loads` of the same bytes."""

from __future__ import annotations

import argparse
import json
import time
from typing import TYPE_CHECKING

from common import calls, machine, report

import callgate

if TYPE_CHECKING:
    from collections.abc import Callable

PERCENTILES = (50.0, 99.0, 99.9)


def timed(call: Callable[[], object], count: int) -> list[int]:
    """Nanoseconds of each call, sorted; the clock's own two readings included."""
    clock = time.perf_counter_ns
    times = []
    for _ in range(count):
        began = clock()
        call()
        times.append(clock() - began)
    return sorted(times)


def percentiles(times: list[int]) -> dict[str, float]:
    """Percentiles in microseconds."""
    return {f"p{p:g}": report.percentile(times, p) / 1_000 for p in PERCENTILES}


def main() -> None:
    """Measures, prints a table and writes the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=200_000)
    parser.add_argument("--quick", action="store_true", help="show that it works")
    options = parser.parse_args()
    if options.quick:
        options.count = 1_000
    results = report.begin("python", options)

    engine = callgate.Engine.from_file(machine.ROOT / "bench/policy.json")
    rows: dict[str, dict[str, float]] = {"nothing (the clock alone)": percentiles(timed(lambda: None, options.count))}
    for size, body in calls.ARGUMENTS.items():

        def check(body: bytes = body) -> callgate.Decision:
            return engine.check(grant=calls.GRANT, tool=calls.TOOL, args=body)

        def loads(body: bytes = body) -> object:
            return json.loads(body)

        decision = check()
        assert decision.outcome == "allow", decision
        assert [limit.counter for limit in decision.limits] == ["charges", "spend"], decision
        rows[f"Engine.check, {size} bytes"] = percentiles(timed(check, options.count))
        rows[f"json.loads, {size} bytes"] = percentiles(timed(loads, options.count))

    for size in calls.ARGUMENTS:
        ours, theirs = rows[f"Engine.check, {size} bytes"], rows[f"json.loads, {size} bytes"]
        results.headline(f"Engine.check beside json.loads, {size} bytes, p50", ours["p50"] / theirs["p50"], "x")
    columns = ("us per call", *(f"p{p:g}" for p in PERCENTILES))
    results.table("single calls", columns, [(name, *row.values()) for name, row in rows.items()])
    results.raw["us"] = rows
    results.write()


if __name__ == "__main__":
    main()
