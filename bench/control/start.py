"""Start with a filled store, and the resident memory that the control plane adds.

A start is measured to three moments: `/readyz` answers 200, the store is open, and a grant of the store is admitted.
Memory is that of the same sidecar with and without its control plane, which `control.alone` leaves out.
"""

from __future__ import annotations

import statistics
import sys
import time
from typing import TYPE_CHECKING

from common import programs, report

from control import world as worlds

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping, Sequence

    from common.report import Report
    from control.world import World

START_WITHIN_SECONDS = 3.0
ADDED_MIB = 60.0
MIB = 1024 * 1024
READY, OPEN, ADMITTED = "ready", "store open", "a grant of the store admitted"
# Memory is looked at when everything that is read after a start was read.
_SETTLED_SECONDS, _QUICK_SECONDS = 5.0, 0.5


def measure(
    results: Report, databases: Mapping[str, Sequence[World]], empty: World, options: argparse.Namespace
) -> None:
    """Measures starts of the largest worlds and of an empty one, in turns; adds the tables and the headlines."""
    subjects = {"an empty store": empty, **{f"a filled one, {name}": sizes[-1] for name, sizes in databases.items()}}
    starts: dict[str, list[dict[str, float]]] = {name: [] for name in subjects}
    for number in range(options.starts + 1):
        print(f"start {number} of {options.starts}", file=sys.stderr)
        for name, world in subjects.items():
            took = _start(world)
            # The first one has not read the store before.
            if number > 0:
                starts[name].append(took)
    rows: list[tuple[report.Cell, ...]] = []
    for name, runs in starts.items():
        middles = {moment: statistics.median(run[moment] for run in runs) for moment in runs[0]}
        rows.append((name, *(round(middles[moment], 2) if moment in middles else None for moment in _MOMENTS)))
        for moment, seconds in middles.items():
            results.headline(f"start with {name}: {moment}", seconds, "s", at_most=START_WITHIN_SECONDS)
    results.table("start", ("s until", *_MOMENTS), rows)
    results.raw["starts"] = starts
    _memory(results, subjects, _QUICK_SECONDS if options.quick else _SETTLED_SECONDS)


_MOMENTS = (READY, OPEN, ADMITTED)


def _start(world: World) -> dict[str, float]:
    """Seconds from the start of the process to each moment."""
    began = time.perf_counter()
    with worlds.serving(world) as sidecar:
        took = {READY: time.perf_counter() - began}
        if world.size.grants:
            # Asked first: what an earlier run has read last may be in force from the start on.
            worlds.wait_for_grants(sidecar, world)
            took[ADMITTED] = time.perf_counter() - began
        worlds.wait_for_store(sidecar)
        took[OPEN] = time.perf_counter() - began
    return took


def _memory(results: Report, subjects: dict[str, World], seconds: float) -> None:
    rows: list[tuple[report.Cell, ...]] = []
    for name, world in subjects.items():
        with worlds.serving(world, program=programs.WITHOUT_CONTROL_PLANE) as sidecar:
            time.sleep(seconds)
            without = sidecar.resident_bytes()["total"] / MIB
        with worlds.serving(world) as sidecar:
            worlds.wait_for_store(sidecar)
            time.sleep(seconds)
            idle = sidecar.resident_bytes()["total"] / MIB
        rows.append((name, round(without, 1), round(idle, 1), round(idle - without, 1)))
        limit = None if world.size.grants else ADDED_MIB
        results.headline(f"resident memory that the control plane adds, {name}", idle - without, "MiB", at_most=limit)
    results.table("resident memory in MiB", ("store", "without control plane", "with it", "added"), rows)
