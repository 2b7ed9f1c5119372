"""Load test reports as text."""

from typing import Any

from rich.console import Console
from rich.text import Text

_PERCENTILES = ("p50", "p90", "p99", "p99.9", "p99.99", "max")
_CELL = 11
_US_PER_MS = 1_000
_US_PER_S = 1_000_000


def progress_line(progress: dict[str, Any]) -> str:
    """The progress of a run, on one line."""
    if progress["phase"] == "connect":
        return "connecting"
    errors = f", {progress['errors']:,} errors" if progress["errors"] else ""
    return (
        f"{progress['phase']} {progress['elapsed_s']:.1f} of {progress['total_s']:.1f} s: "
        f"{progress['requests_per_second']:,.0f} requests/s, p50 {duration(progress['p50_us'])}, "
        f"p99 {duration(progress['p99_us'])}{errors}"
    )


def show(document: dict[str, Any]) -> None:
    """Prints one report."""
    options, result = document["options"], document["result"]
    console = Console(highlight=False, soft_wrap=True)
    console.print(Text(_headline(options, result)))
    for name, text in _rows(options, result):
        console.print(Text.assemble((f"{name:<12}", "bold"), text))
    if result["requests"]:
        cells = [(name, duration(result["latency_us"][name])) for name in _PERCENTILES]
        console.print(Text("latency " + "".join(f"{name:>{_CELL}}" for name, _ in cells), style="bold"))
        console.print(Text(" " * len("latency ") + "".join(f"{text:>{_CELL}}" for _, text in cells)))
    for note in result["notes"]:
        console.print(Text(f"note: {note}"))
    for warning in result["warnings"]:
        console.print(Text(f"warning: {warning}", style="yellow"))


def duration(us: float) -> str:
    """Microseconds in the most readable unit."""
    if us < _US_PER_MS:
        return f"{us:.0f} us"
    if us < _US_PER_S:
        return f"{us / _US_PER_MS:.2f} ms"
    return f"{us / _US_PER_S:.2f} s"


def _headline(options: dict[str, Any], result: dict[str, Any]) -> str:
    method = options["method"]
    if method == "batch":
        method = f"batches of {options['batch_size']}"
    pace = "closed loop" if options["rate"] is None else f"{options['rate']:,g} requests/s"
    ended = "" if result["ended"] == "complete" else f" ({result['ended']})"
    return (
        f"{options['target']}: {method}, {options['connections']} connections x {options['streams']} streams, "
        f"{pace}, {result['elapsed_s']:.1f} s{ended}"
    )


def _rows(options: dict[str, Any], result: dict[str, Any]) -> list[tuple[str, str]]:
    rates = f"{result['requests_per_second']:,.0f}"
    if options["method"] == "batch":
        rates += f" ({result['decisions_per_second']:,.0f} decisions/s)"
    decisions = ", ".join(f"{name} {count:,}" for name, count in result["outcomes"].items() if count) or "none"
    errors = ", ".join(
        f"{name} {fault['count']:,}" + (f" ({fault['detail']})" if fault["detail"] else "")
        for name, fault in result["errors"].items()
    )
    generator = result["generator"]
    own = f"{generator['cpu_s']:.1f} s CPU on {generator['threads']} thread(s)"
    if generator["delay_us"] is not None:
        own += f", late by {duration(generator['delay_us']['p99'])} at p99"
    sent, received = result["bytes"]["sent"], result["bytes"]["received"]
    return [
        ("requests/s", rates),
        ("decisions", decisions),
        ("errors", errors or "none"),
        ("bytes", f"{sent:,} sent, {received:,} received"),
        ("generator", own),
    ]
