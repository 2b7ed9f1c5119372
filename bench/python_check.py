"""`Engine.check` from Python with JSON bytes: percentiles of single calls, beside `json.loads` of the same bytes."""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import calls
import machine

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
    return {f"p{p:g}": times[min(len(times) - 1, int(len(times) * p / 100))] / 1_000 for p in PERCENTILES}


def main() -> None:
    """Measures, prints a table and writes the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=200_000)
    parser.add_argument("--output", type=Path, default=machine.ROOT / "bench/results/python.json")
    options = parser.parse_args()

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

    print(machine.line())
    print(f"{'us per call':<28}" + "".join(f"{f'p{p:g}':>8}" for p in PERCENTILES))
    for name, row in rows.items():
        print(f"{name:<28}" + "".join(f"{value:>8.2f}" for value in row.values()))
    options.output.parent.mkdir(parents=True, exist_ok=True)
    results = {"machine": machine.facts(), "unix_time": round(time.time()), "count": options.count, "us": rows}
    options.output.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    print(f"written to {os.path.relpath(options.output)}")


if __name__ == "__main__":
    main()
