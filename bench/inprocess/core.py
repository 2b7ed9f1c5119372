"""The benches of the Rust core and its counters, run through cargo, and what they found put beside the targets."""

from __future__ import annotations

import argparse
import json
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

from common import machine, report

if TYPE_CHECKING:
    from collections.abc import Callable

Rows = dict[str, dict[str, float]]


def decide(rows: Rows, results: report.Report) -> None:
    """`decide()` beside its floor."""
    floor = next(values for name, values in rows.items() if name.startswith("floor"))
    for name, values in rows.items():
        if name.startswith("decide"):
            results.headline(f"{name}: p50 beside the floor", values["p50_ns"] / floor["p50_ns"], "x")


def counters(rows: Rows, results: report.Report) -> None:
    """Counters beside a mutex and `governor`."""
    for name, values in rows.items():
        if "one_counter_millions_per_second" in values:
            work, _, limiter = name.partition(": ")
            both = values["one_counter_millions_per_second"]
            results.headline(f"two {work}, one counter: {limiter}", both, "M/s")
            each = values["one_counter_each_millions_per_second"]
            results.headline(f"two {work}, one counter each: {limiter}", each, "M/s")
            ours = limiter == "callgate"
            hot = values["one_counter_beside_one_thread"]
            beside_one = f"two {work}, one counter, beside one thread: {limiter}"
            results.headline(beside_one, hot, "x", at_least=1.0 if ours else None)
            apart = values["one_counter_each_beside_two_processes"]
            beside_two = f"two {work}, one counter each, beside two processes: {limiter}"
            results.headline(beside_two, apart, "x", at_least=0.97 if ours else None)
        elif name.endswith(": callgate"):
            results.headline(name, values["ns"], "ns")
        else:
            results.headline(f"{name}, callgate's time beside it", values["callgate_ratio"], "x")


def durable(rows: Rows, results: report.Report) -> None:
    """Counters in a file beside counters in memory."""
    for name, values in rows.items():
        if "file_beside_memory" in values:
            beside = values["file_beside_memory"]
            results.headline(f"{name}: file beside memory", beside, "x", at_most=1.3)
        else:
            results.headline(name, values["ms"], "ms", at_most=1_000)


def grants(rows: Rows, results: report.Report) -> None:
    """A grant found by its token beside a bare look-up in the same map."""
    beside = rows["by token"]["beside_bare"]
    results.headline("one grant of a million by token, beside a bare look-up", beside, "x", at_most=1.5)


BENCHES: dict[str, Callable[[Rows, report.Report], None]] = {
    "decide": decide,
    "counters": counters,
    "durable": durable,
    "grants": grants,
}
PACKAGES = {
    "decide": "callgate-core",
    "counters": "callgate-bench-counters",
    "durable": "callgate-counters",
    "grants": "callgate-core",
}


@dataclass(frozen=True)
class Ran:
    """The output and the results of a bench."""

    text: str
    rows: Rows


def run(bench: str, quick: bool) -> Ran:
    """Builds a bench as a release build (a quick one without fat LTO) and runs it."""
    path = machine.ROOT / "target" / f"bench-{bench}.json"
    path.unlink(missing_ok=True)
    # The profile of the wheel, whose names its recorded profile is by.
    profile = ["--profile", "dev" if quick else "release"]
    command = ["cargo", "bench", "--quiet", *profile, "--package", PACKAGES[bench], "--bench", bench, "--"]
    command += ["--json", str(path), *(["--quick"] if quick else [])]
    environment = machine.cargo_environment(quick=quick)
    done = subprocess.run(command, cwd=machine.ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    rows = json.loads(path.read_text(encoding="utf-8"))["rows"]
    return Ran(done.stdout, {row["name"]: row["values"] for row in rows})


def main() -> None:
    """Runs one bench and writes its results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bench", choices=BENCHES)
    parser.add_argument("--quick", action="store_true", help="show that it works")
    options = parser.parse_args()
    results = report.begin(options.bench, options)
    ran = run(options.bench, options.quick)
    print(ran.text, end="")
    results.raw.update(ran.rows)
    BENCHES[options.bench](ran.rows, results)
    results.write()


if __name__ == "__main__":
    main()
