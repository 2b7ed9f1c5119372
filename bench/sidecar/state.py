"""Start to ready, and resident memory: idle, with 100,000 and with a million counters, in memory and in a file.

A counter is an exact one of 30 calls an hour. The file is opened again after a stop and after SIGKILL, with a million
counters in it; what that adds to an empty start is the time to map them.
"""

from __future__ import annotations

import argparse
import signal
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from common import fill, machine, programs, report

if TYPE_CHECKING:
    from collections.abc import Mapping

POLICY = machine.ROOT / "bench/sidecar/state-policy.json"
TOOL = "counted"
MAPPED_WITHIN_SECONDS = 1.0
MIB = 1024 * 1024


def configuration(counters: str) -> dict[str, object]:
    """A sidecar with one policy, and its counters in memory or in a file."""
    return {
        "servers": {"srv": {"policy": "state"}},
        "policies": {"state": str(POLICY)},
        "counters": {"store": counters},
    }


def start_seconds(settings: Mapping[str, object], folder: Path, rounds: int, *, kill: bool = False) -> list[float]:
    """From the start of the process until `/readyz` answers 200, several times."""
    times = []
    for _ in range(rounds):
        began = time.perf_counter()
        with programs.sidecar(settings, folder, core=None) as running:
            times.append(time.perf_counter() - began)
            if kill:
                running.process.send_signal(signal.SIGKILL)
    return times


def memory(settings: Mapping[str, object], folder: Path, sizes: list[int]) -> list[tuple[int, dict[str, int]]]:
    """Resident bytes with so many counters, in one process that makes more and more."""
    seen = []
    with programs.sidecar(settings, folder, core=None) as running:
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
                results.headline(f"resident with {size:,} counters in {store}", total / MIB, "MiB")
        results.table(
            "resident memory", ("counters in", "alive", "MiB", "of it mapped files", "bytes per counter"), rows
        )

        starts = {
            "in memory": start_seconds(in_memory, folder, options.rounds),
            "an empty file": start_seconds(empty_file, folder, options.rounds),
            f"a file of {options.many:,}": start_seconds(in_file, folder, options.rounds),
            f"a file of {options.many:,} after SIGKILL": start_seconds(in_file, folder, options.rounds, kill=True)[1:],
        }
        empty = statistics.median(starts["an empty file"])
        rows = []
        for kind, times in starts.items():
            middle = statistics.median(times)
            rows.append((kind, round(middle, 3), round(min(times), 3), round(max(times), 3), round(middle - empty, 3)))
            results.headline(f"start to ready, {kind}", middle, "s")
            if str(options.many) in kind.replace(",", ""):
                limit = MAPPED_WITHIN_SECONDS
                results.headline(f"of it beyond an empty file, {kind}", middle - empty, "s", at_most=limit)
        results.table("start to ready", ("counters", "s", "least", "most", "beyond an empty file"), rows)
        results.raw["start_seconds"] = starts
    results.write()


if __name__ == "__main__":
    main()
