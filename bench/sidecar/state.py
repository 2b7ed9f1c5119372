"""Start to the first decision and to ready, and resident memory: idle, with 100,000 and with a million counters.

Memory is that of a sidecar without its control plane, which `make bench-control` adds.

Counters are in memory and in a file, each an exact one of 30 calls an hour. The file is opened again after a stop and
after SIGKILL, with a million counters in it; what that adds to an empty start is the time to map them.
"""

from __future__ import annotations

import argparse
import signal
import statistics
import tempfile
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from common import fill, machine, programs, report

if TYPE_CHECKING:
    from collections.abc import Mapping

POLICY = machine.ROOT / "bench/sidecar/state-policy.json"
TOOL = "counted"
MAPPED_WITHIN_SECONDS, ANSWERS_WITHIN_SECONDS, IDLE_MIB = 1.0, 0.15, 48
MIB = 1024 * 1024


def configuration(counters: str) -> dict[str, object]:
    """A sidecar with one policy, and its counters in memory or in a file."""
    return {
        "servers": {"srv": {"policy": "state"}},
        "policies": {"state": str(POLICY)},
        "counters": {"store": counters},
    }


@dataclass
class Starts:
    """Seconds from the start of the process, of several starts."""

    answered: list[float] = field(default_factory=list)
    """Until the first decision over gRPC."""
    ready: list[float] = field(default_factory=list)
    """Until `/readyz` answers 200."""


def starts_of(settings: Mapping[str, object], folder: Path, rounds: int, *, kill: bool = False) -> Starts:
    """Starts a sidecar several times."""
    starts = Starts()
    for _ in range(rounds):
        began = time.perf_counter()

        def decide(running: programs.Sidecar, began: float = began) -> None:
            fill.first_decision(running, TOOL)
            starts.answered.append(time.perf_counter() - began)

        with programs.sidecar(settings, folder, core=None, before_ready=decide) as running:
            starts.ready.append(time.perf_counter() - began)
            if kill:
                running.process.send_signal(signal.SIGKILL)
    return starts


def memory(settings: Mapping[str, object], folder: Path, sizes: list[int]) -> list[tuple[int, dict[str, int]]]:
    """Resident bytes with so many counters, in one process that makes more and more."""
    seen = []
    with programs.sidecar(settings, folder, core=None, program=programs.WITHOUT_CONTROL_PLANE) as running:
        made = 0
        for size in sizes:
            if size > made:
                fill.counters(running, made, size - made, TOOL)
            made = size
            seen.append((size, running.resident_bytes()))
    return seen


def main() -> None:
    """Measures, prints the tables and writes the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="show that it works")
    parser.add_argument("--rounds", type=int, default=7, help="starts of each kind")
    parser.add_argument("--some", type=int, default=100_000)
    parser.add_argument("--many", type=int, default=1_000_000)
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.some, options.many = 2, 1_000, 3_000
    results = report.begin("state", options)
    # On a disk: the system's temporary folder may itself be memory.
    with tempfile.TemporaryDirectory(dir=machine.ROOT / "target") as name:
        folder = Path(name)
        in_memory, in_file = configuration("memory"), configuration(f"file:{folder / 'counters'}")
        empty_file = configuration(f"file:{folder / 'empty'}")
        rows: list[tuple[report.Cell, ...]] = []
        for store, settings in (("memory", in_memory), ("file", in_file)):
            seen = memory(settings, folder, [0, options.some, options.many])
            idle = seen[0][1]["total"]
            for size, bytes_by_kind in seen:
                total = bytes_by_kind["total"]
                each = round((total - idle) / size) if size else None
                rows.append((store, size, round(total / MIB, 1), round(bytes_by_kind["file"] / MIB, 1), each))
                at_most = IDLE_MIB if (size, store) == (0, "memory") else None
                results.headline(f"resident with {size:,} counters in {store}", total / MIB, "MiB", at_most=at_most)
        results.table(
            "resident memory", ("counters in", "alive", "MiB", "of it mapped files", "bytes per counter"), rows
        )

        starts = {
            "in memory": starts_of(in_memory, folder, options.rounds),
            "an empty file": starts_of(empty_file, folder, options.rounds),
            f"a file of {options.many:,}": starts_of(in_file, folder, options.rounds),
            f"a file of {options.many:,} after SIGKILL": starts_of(in_file, folder, options.rounds, kill=True),
        }
        # The first of these finds a file that was closed.
        killed = starts[f"a file of {options.many:,} after SIGKILL"]
        del killed.answered[0], killed.ready[0]
        empty = statistics.median(starts["an empty file"].ready)
        rows = []
        for kind, times in starts.items():
            first, middle = statistics.median(times.answered), statistics.median(times.ready)
            spread = (round(min(times.ready), 3), round(max(times.ready), 3))
            rows.append((kind, round(first, 3), round(middle, 3), *spread, round(middle - empty, 3)))
            within = ANSWERS_WITHIN_SECONDS if kind == "in memory" else None
            results.headline(f"start until the data plane answers, {kind}", first, "s", at_most=within)
            results.headline(f"start to ready, {kind}", middle, "s")
            if str(options.many) in kind.replace(",", ""):
                limit = MAPPED_WITHIN_SECONDS
                results.headline(f"of it beyond an empty file, {kind}", middle - empty, "s", at_most=limit)
        columns = ("counters", "first decision after s", "ready after s", "least", "most", "beyond an empty file")
        results.table("start", columns, rows)
        results.raw["start_seconds"] = {kind: asdict(times) for kind, times in starts.items()}
    results.write()


if __name__ == "__main__":
    main()
