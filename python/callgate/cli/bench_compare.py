"""Comparison of two reports of load tests."""

import json
import statistics
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from callgate.errors import ConfigError
from callgate.text import reason_of

FORMAT = "callgate-bench/1"
_PERCENTILES = ("p50", "p90", "p99", "p99.9", "p99.99", "max")
# Numbers whose noise the interval samples show.
_SAMPLED = {"requests/s": "requests_per_second", "p50": "p50_us", "p99": "p99_us"}
_WITHIN_NOISE = "within noise"
# Two runs that differ in these options cannot be compared.
_OPTIONS = ("method", "batch_size", "connections", "streams", "rate", "threads", "calls", "source", "grants", "seed")


@dataclass(frozen=True)
class Row:
    """One number of both runs."""

    name: str
    a: float
    b: float
    ratio: float | None
    """B divided by A; None if A is 0 or one of the runs measured nothing."""
    noise: float | None
    """Range of the middle half of a run's samples divided by their median; the larger of both runs, None if unknown."""
    verdict: str
    """``better``, ``worse``, ``within noise``, or empty if the noise is unknown."""


def run(path_a: Path, path_b: Path, *, fail_above: float | None, as_json: bool) -> bool:
    """Prints the comparison; returns true if B is worse than A by more than `fail_above` and than the noise."""
    a, b = _read(path_a), _read(path_b)
    try:
        rows, differing = compare(a, b), differences(a, b)
    except (AttributeError, KeyError, TypeError, ValueError):
        message = f"`{path_a}` or `{path_b}` lacks what every report of `callgate bench` has; make it anew"
        raise ConfigError(message) from None
    worse = [] if fail_above is None else [row.name for row in rows if _worsening(row) > fail_above]
    if as_json:
        document = {
            "a": str(path_a),
            "b": str(path_b),
            "rows": [asdict(row) for row in rows],
            "differences": differing,
            "failed": worse,
        }
        typer.echo(json.dumps(document))
        return bool(worse)
    console = Console(highlight=False, soft_wrap=True)
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("")
    for name in ("A", "B", "B/A", "noise"):
        table.add_column(name, justify="right")
    table.add_column("B is")
    for row in rows:
        ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
        noise = "" if row.noise is None else f"{row.noise * 100:.0f} %"
        table.add_row(row.name, f"{row.a:,.1f}", f"{row.b:,.1f}", ratio, noise, row.verdict)
    console.print(table)
    for difference in differing:
        console.print(Text(f"warning: {difference}", style="yellow"))
    for name in worse:
        console.print(Text(f"failed: {name} is worse by more than {fail_above:g}", style="red"))
    return bool(worse)


def compare(a: dict[str, Any], b: dict[str, Any]) -> list[Row]:
    """The numbers of two reports, row by row."""
    values_a, values_b = _values(a["result"]), _values(b["result"])
    measured = a["result"]["requests"] and b["result"]["requests"]
    rows = []
    for name, value_a in values_a.items():
        value_b = values_b[name]
        ratio = value_b / value_a if value_a and measured else None
        spreads = [_spread(document["result"]["intervals"], name) for document in (a, b)]
        noise = None if None in spreads else max(spread for spread in spreads if spread is not None)
        rows.append(Row(_shown(name), value_a, value_b, ratio, noise, _verdict(name, ratio, noise)))
    return rows


def differences(a: dict[str, Any], b: dict[str, Any]) -> list[str]:
    """Differences other than the target, which may explain a ratio."""
    found = []
    for part, names in (("options", _OPTIONS), ("machine", tuple(a["machine"]))):
        for name in names:
            of_a, of_b = a[part].get(name), b[part].get(name)
            if of_a != of_b:
                found.append(f"{name} differs: A {of_a}, B {of_b}")
    for letter, document in (("A", a), ("B", b)):
        result = document["result"]
        if result["ended"] != "complete":
            found.append(f"{letter} is not complete: {result['ended']}")
        if not result["requests"]:
            found.append(f"{letter} measured nothing: no request was answered")
        found += [f"{letter}: {warning}" for warning in result["warnings"]]
    return found


def _values(result: dict[str, Any]) -> dict[str, float]:
    asked = result["requests"] + sum(fault["count"] for fault in result["errors"].values())
    cpu_us = result["generator"]["cpu_s"] / result["requests"] * 1e6 if result["requests"] else 0.0
    return {
        "requests/s": result["requests_per_second"],
        "decisions/s": result["decisions_per_second"],
        **{name: result["latency_us"][name] for name in _PERCENTILES},
        "errors %": (asked - result["requests"]) / asked * 100 if asked else 0.0,
        "generator CPU us": cpu_us,
    }


def _shown(name: str) -> str:
    return f"{name} us" if name in _PERCENTILES else name


def _spread(intervals: list[dict[str, float]], name: str) -> float | None:
    """Range of the middle half of the samples divided by their median; None if there are too few samples."""
    samples = [interval[_SAMPLED[name]] for interval in intervals] if name in _SAMPLED else []
    if len(samples) < 2 or not statistics.median(samples):  # noqa: PLR2004  a spread needs two
        return None
    low, _, high = statistics.quantiles(samples, n=4, method="inclusive")
    return (high - low) / statistics.median(samples)


def _verdict(name: str, ratio: float | None, noise: float | None) -> str:
    if ratio is None or noise is None:
        return ""
    if abs(ratio - 1) <= noise:
        return _WITHIN_NOISE
    return "better" if (ratio > 1) == name.endswith("/s") else "worse"


def _worsening(row: Row) -> float:
    """The factor by which B is worse, for the numbers that `--fail-above` examines."""
    if row.verdict == _WITHIN_NOISE:
        return 0.0
    if row.name not in {"requests/s", "p50 us", "p99 us"} or not row.ratio:
        # A run without answers is no better than any other.
        return float("inf") if row.name == "requests/s" and row.a else 0.0
    return 1 / row.ratio if row.name == "requests/s" else row.ratio


def _read(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        message = f"cannot read `{path}`: {reason_of(error)}"
        raise ConfigError(message) from None
    except ValueError:
        document = None
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        message = f"`{path}` is no report of `callgate bench`: expected a JSON object with format `{FORMAT}`"
        raise ConfigError(message)
    return document
