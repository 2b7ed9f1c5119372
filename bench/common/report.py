"""The output of a bench: tables, headlines with their targets, and the machine of the measurement."""

from __future__ import annotations

import json
import os
import statistics
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common import machine

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterable, Sequence

RESULTS = machine.ROOT / "bench/results"
# Quick runs show that a bench works; their numbers must not be taken for results.
QUICK_RESULTS = machine.ROOT / "target/bench-quick/results"

Cell = str | float | int | None


@dataclass(frozen=True)
class Headline:
    """One main number of a bench, and its target."""

    part: str
    what: str
    value: float
    unit: str
    target: str | None = None
    met: bool | None = None

    def shown(self) -> tuple[str, str, str, str]:
        """Its row of the summary."""
        verdict = {None: "", True: "met", False: "missed"}[self.met]
        return self.what, number(self.value, self.unit), self.target or "", verdict


@dataclass
class Report:
    """The results of one bench."""

    name: str
    quick: bool
    settings: dict[str, Any]
    began: float = field(default_factory=time.time)
    tables: list[dict[str, Any]] = field(default_factory=list)
    headlines: list[Headline] = field(default_factory=list)
    raw: dict[str, Any] = field(default_factory=dict)

    def table(self, title: str, columns: Sequence[str], rows: Iterable[Sequence[Cell]]) -> None:
        """Prints a table and keeps it."""
        kept = [list(row) for row in rows]
        self.tables.append({"title": title, "columns": list(columns), "rows": kept})
        print(f"\n{title}")
        print(aligned([list(columns), *([_text(cell) for cell in row] for row in kept)]))

    def headline(
        self, what: str, value: float, unit: str, *, at_most: float | None = None, at_least: float | None = None
    ) -> None:
        """Keeps a number for the summary; says at once where its target is missed."""
        target, met = None, None
        if at_most is not None:
            target, met = f"at most {number(at_most, unit)}", value <= at_most
        elif at_least is not None:
            target, met = f"at least {number(at_least, unit)}", value >= at_least
        self.headlines.append(Headline(self.name, what, value, unit, target, met))
        if met is False:
            print(f"missed: {what} is {number(value, unit)}, the target is {target}")

    def write(self) -> Path:
        """Writes the measurements, with the facts of the machine."""
        path = (QUICK_RESULTS if self.quick else RESULTS) / f"{self.name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        results = {
            "machine": machine.facts(),
            "unix_time": round(self.began),
            "quick": self.quick,
            "settings": self.settings,
            "tables": self.tables,
            "headlines": [asdict(headline) for headline in self.headlines],
            "raw": self.raw,
        }
        path.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
        print(f"\nwritten to {os.path.relpath(path)}")
        return path


def begin(name: str, options: argparse.Namespace) -> Report:
    """Starts a report: says on what the bench runs, and that a quick run measures nothing."""
    settings = {key: value for key, value in vars(options).items() if isinstance(value, str | int | float)}
    print(machine.line())
    if options.quick:
        print("quick run: shows that the bench works, its numbers mean nothing")
    return Report(name, options.quick, settings)


def summary(headlines: Iterable[Headline]) -> str:
    """The headlines of several benches in one table."""
    rows: list[list[str]] = [["", "", "target", ""]]
    part = ""
    for headline in headlines:
        if headline.part != part:
            part = headline.part
            rows.append([f"{part}:", "", "", ""])
        what, *rest = headline.shown()
        rows.append([f"  {what}", *rest])
    return aligned(rows)


def number(value: float, unit: str) -> str:
    """A number with its unit, to three significant digits or whole."""
    shown = f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return f"{shown}{unit}" if unit in {"x", "%"} else f"{shown} {unit}"


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Rows under their heads as text: words to the left, numbers to the right."""
    columns = [
        [
            cell.rjust(max(map(len, column))) if _numbers(column[1:]) else cell.ljust(max(map(len, column)))
            for cell in column
        ]
        for column in zip(*rows, strict=True)
    ]
    return "\n".join("  ".join(row).rstrip() for row in zip(*columns, strict=True))


def _numbers(cells: Sequence[str]) -> bool:
    return all(cell[0].isdigit() for cell in cells if cell)


def percentile(ordered: Sequence[float], percent: float) -> float:
    """A percentile of sorted numbers."""
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """The median of the ratios of neighbours: of two that ran in the same round."""
    return statistics.median(a / b for a, b in zip(ours, theirs, strict=True))


def interleaved(subjects: dict[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """Measures every subject once per round, in turns; one round before that is not kept."""
    measured: dict[str, list[float]] = {name: [] for name in subjects}
    for number_of_round in range(rounds + 1):
        for name, measure in subjects.items():
            value = measure()
            if number_of_round > 0:
                measured[name].append(value)
    return measured


def _text(cell: Cell) -> str:
    if cell is None:
        return ""
    if isinstance(cell, str):
        return cell
    if isinstance(cell, int):
        return f"{cell:,}"
    return f"{cell:,.0f}" if abs(cell) >= 1_000 else f"{cell:.4g}"
