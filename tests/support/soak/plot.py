"""Draws `samples.csv` of a soak as an SVG: `python -m support.soak.plot samples.csv samples.svg`."""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

CHARTS = {
    "memory": ("resident memory, MiB", 1 << 20),
    "descriptors": ("open descriptors", 1),
    "threads": ("threads", 1),
    "p50": ("time of calls, p50, ms", 1),
    "p99": ("time of calls, p99, ms", 1),
}
"""For each first word of a column, the title of its chart and the unit."""

LATENCIES = {"p50", "p99"}


def draw(samples: Path, plot: Path) -> None:
    """Writes the SVG."""
    with samples.open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    # The same rows give the same bytes.
    mpl.rcParams["svg.hashsalt"] = "callgate"
    figure = Figure(figsize=(10, 3 * len(CHARTS)), layout="constrained")
    for axes, (word, (title, unit)) in zip(figure.subplots(len(CHARTS)), CHARTS.items(), strict=True):
        for name in (name for name in rows[0] if name.split()[0] == word):
            # In a second without such calls there is no value.
            points = [(float(row["second"]), float(row[name]) / unit) for row in rows if row[name]]
            axes.plot(*zip(*points, strict=True), label=name.removeprefix(word).strip(), linewidth=1)
        axes.set_title(title)
        axes.set_xlabel("seconds")
        if word in LATENCIES:
            axes.set_yscale("log")
        else:
            axes.set_ylim(0, 1.2 * axes.dataLim.y1)
        axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), fontsize="small")
    figure.savefig(plot, format="svg", metadata={"Date": None})


if __name__ == "__main__":
    draw(Path(sys.argv[1]), Path(sys.argv[2]))
