"""What callgates use up over time: memory, descriptors, threads and the time of calls, each second."""

from __future__ import annotations

import csv
import time
from pathlib import Path
from statistics import median
from threading import Event, Thread
from typing import TYPE_CHECKING

from support.gateway.slow import resident_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

SETTLED_S = 120.0
"""After this time a callgate has what it needs, and may grow no more."""
QUANTILES = {"p50": 0.5, "p99": 0.99}
# What may be more in the last quarter than in the second one: of memory a part and some bytes, as an allocator keeps
# pages; of the others a number, as connections come and go.
_MEMORY_PART, _MEMORY_BYTES = 1.1, 8 << 20
_MORE = {"descriptors": 8.0, "threads": 2.0}


class Samples:
    """A row for each second, taken by a thread."""

    def __init__(self, pids: Sequence[int], take_durations: Callable[[], list[tuple[str, float]]]) -> None:
        """Takes the processes, and what gives the calls since it was asked last, each with its kind and its seconds."""
        self.rows: list[dict[str, float]] = []
        self._pids = pids
        self._take_durations = take_durations
        self._done = Event()
        self._thread = Thread(target=self._run)
        self._begun = time.monotonic()

    def start(self) -> None:
        """Begins."""
        self._thread.start()

    def stop(self) -> None:
        """Ends."""
        self._done.set()
        self._thread.join(60)
        assert not self._thread.is_alive()

    def _run(self) -> None:
        while not self._done.wait(1):
            self.rows.append(self._row())

    def _row(self) -> dict[str, float]:
        row = {"second": round(time.monotonic() - self._begun, 1)}
        for number, pid in enumerate(self._pids):
            row[f"memory {number}"] = resident_bytes(pid)
            row[f"descriptors {number}"] = len(list(Path(f"/proc/{pid}/fd").iterdir()))
            row[f"threads {number}"] = len(list(Path(f"/proc/{pid}/task").iterdir()))
        return row | quantiles(self._take_durations())


def quantiles(durations: Sequence[tuple[str, float]]) -> dict[str, float]:
    """The quantiles of each kind in milliseconds, by names such as `p99 strict`."""
    found: dict[str, float] = {"calls": len(durations)}
    for kind in {kind for kind, _ in durations}:
        ordered = sorted(seconds for one, seconds in durations if one == kind)
        for name, part in QUANTILES.items():
            found[f"{name} {kind}"] = ordered[min(int(part * len(ordered)), len(ordered) - 1)] * 1_000
    return found


def growths(rows: Sequence[dict[str, float]]) -> list[str]:
    """What is more in the last quarter of the settled time than in its second quarter, for each process."""
    settled = [row for row in rows if row["second"] >= SETTLED_S]
    quarter = len(settled) // 4
    names = sorted(name for name in settled[0] if name.split()[0] in {"memory", *_MORE})
    found = []
    for name in names:
        early, late = (
            median(row[name] for row in settled[first : first + quarter]) for first in (quarter, 3 * quarter)
        )
        kind = name.split()[0]
        most = early * _MEMORY_PART + _MEMORY_BYTES if kind == "memory" else early + _MORE[kind]
        if late > most:
            found.append(f"{name}: {early:g}, then {late:g}")
    return found


def write(rows: Sequence[dict[str, float]], file: Path) -> None:
    """Writes the rows as CSV; `support.soak.plot` draws them."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w", newline="") as lines:
        table = csv.DictWriter(lines, list(dict.fromkeys(name for row in rows for name in row)))
        table.writeheader()
        table.writerows(rows)
