"""This tree beside an earlier revision: both are measured in one run, in pairs that take turns.

Compared are `decide()`, `Engine.check` from Python, `Check` by h2load, `CheckStream` and `CheckBatch` by this tree's
`callgate bench`, the start of the sidecar and its idle memory. What is reported is the median of the ratios of pairs;
every pair has the same core, policy and calls.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from before import build, subjects
from common import calls, machine, programs, report
from common.h2load import Shape

if TYPE_CHECKING:
    from collections.abc import Callable

    from before.build import Tree

NOW, BEFORE = "now", "before"
DECIDE_AT_MOST, ENGINE_AT_MOST, CHECK_AT_LEAST = 0.6, 0.7, 1.6

# Of each tree, one number a round.
Pair = dict[str, list[float]]


def paired(trees: list[Tree], rounds: int, measure: Callable[[Tree], dict[str, float]]) -> dict[str, Pair]:
    """Measures both trees in each round, the later one first in every other round; keeps what both have."""
    found: dict[str, Pair] = {}
    for number in range(rounds):
        print(f"round {number + 1} of {rounds}", file=sys.stderr)
        for tree in trees if number % 2 == 0 else reversed(trees):
            for name, value in measure(tree).items():
                found.setdefault(name, {NOW: [], BEFORE: []})[tree.name].append(value)
    return {name: pair for name, pair in found.items() if len(pair[NOW]) == len(pair[BEFORE])}


class Comparison:
    """Rows of the one table, and their headlines."""

    def __init__(self, results: report.Report) -> None:
        """Nothing is compared yet."""
        self.results = results
        self.rows: list[tuple[report.Cell, ...]] = []

    def add(
        self,
        pairs: dict[str, Pair],
        unit: str,
        scale: float = 1.0,
        *,
        at_most: float | None = None,
        at_least: float | None = None,
    ) -> None:
        """Adds pairs of numbers, shown divided by `scale`; the targets are about the ratio of now to before."""
        for name, pair in pairs.items():
            ratio = report.ratio(pair[NOW], pair[BEFORE])
            middles = [statistics.median(pair[tree]) / scale for tree in (BEFORE, NOW)]
            self.rows.append((name, unit, *middles, f"{ratio:.2f}x"))
            self.results.headline(f"{name}, beside before", ratio, "x", at_most=at_most, at_least=at_least)
            self.results.raw[name] = pair


def in_process(trees: list[Tree], options: argparse.Namespace, table: Comparison) -> None:
    """`decide()` and `Engine.check`."""
    decided = paired(trees, options.rounds, lambda tree: subjects.decide(tree, options.quick))
    table.add({name: pair for name, pair in decided.items() if name.endswith("p50")}, "ns", at_most=DECIDE_AT_MOST)
    table.add({name: pair for name, pair in decided.items() if name.endswith("p99")}, "ns")
    for size in calls.ARGUMENTS:

        def measure(tree: Tree, size: int = size) -> dict[str, float]:
            return {f"Engine.check, {size} bytes: p50": subjects.engine_check(tree, size, options.count)}

        table.add(paired(trees, options.rounds, measure), "us", 1_000, at_most=ENGINE_AT_MOST)


def over_the_wire(trees: list[Tree], options: argparse.Namespace, folder: Path, table: Comparison) -> None:
    """`Check`, `CheckStream` and `CheckBatch` over TCP."""
    shape = Shape(options.connections, options.streams)
    with ExitStack() as stack:
        servers = {tree.name: subjects.sidecar(tree, stack, folder) for tree in trees}
        slowest = min(subjects.check(server, shape, options.probe, folder) for server in servers.values())
        requests = max(options.probe, int(slowest * options.seconds))
        checked = paired(
            trees,
            options.rounds,
            lambda tree: {"Check over TCP": subjects.check(servers[tree.name], shape, requests, folder)},
        )
        table.add(checked, "/s", at_least=CHECK_AT_LEAST)
        for title, method in (("CheckStream over TCP", "stream"), ("CheckBatch of 64 over TCP", "batch")):

            def measure(tree: Tree, title: str = title, method: str = method) -> dict[str, float]:
                server = servers[tree.name]
                return {title: subjects.by_callgate_bench(server, shape, method, options.seconds, folder)}

            table.add(paired(trees, options.rounds, measure), "decisions/s")


def at_rest(trees: list[Tree], options: argparse.Namespace, folder: Path, table: Comparison) -> None:
    """The start, and the memory after it."""

    def measure(tree: Tree) -> dict[str, float]:
        seconds, mib = subjects.start(tree, folder)
        return {"start until the data plane answers": seconds, "resident idle": mib}

    pairs = paired(trees, options.starts, measure)
    table.add({name: pair for name, pair in pairs.items() if name.startswith("start")}, "s")
    table.add({name: pair for name, pair in pairs.items() if name.startswith("resident")}, "MiB")


def main() -> None:
    """Builds, measures, prints the table and writes the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--revision", required=True, help="the earlier revision")
    parser.add_argument("--quick", action="store_true", help="show that it works")
    parser.add_argument("--rounds", type=int, default=7, help="pairs of each subject")
    parser.add_argument("--starts", type=int, default=9, help="pairs of starts")
    parser.add_argument("--count", type=int, default=100_000, help="calls of one round of Engine.check")
    parser.add_argument("--seconds", type=float, default=2.0, help="length of one run over the wire")
    parser.add_argument("--probe", type=int, default=3_000, help="requests before the rounds")
    parser.add_argument("--connections", type=int, default=4)
    parser.add_argument("--streams", type=int, default=16)
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.starts, options.count, options.seconds, options.probe = 1, 1, 1_000, 0.3, 500
    programs.two_cores()
    options.commit = build.commit(options.revision)
    results = report.begin("before", options)
    trees = [build.earlier(options.revision, options.quick), build.this_tree(options.quick)]
    table = Comparison(results)
    in_process(trees, options, table)
    with tempfile.TemporaryDirectory(dir=machine.ROOT / "target") as name:
        over_the_wire(trees, options, Path(name), table)
        at_rest(trees, options, Path(name), table)
    results.table(f"beside {options.commit[:12]}", ("", "", "before", "now", "now/before"), table.rows)
    results.write()


if __name__ == "__main__":
    main()
