"""`callgate top`."""

import json
import shutil
import sys
from collections.abc import Callable, Iterator
from functools import cache
from typing import Annotated, Any, Final

import typer

from callgate.cli.running import AdminTokenFile, AdminUrl, AsJson, ConfigFile, StateFolder, running
from callgate.cli.waiting import answering_place, approvals_line, permits_line
from callgate.control.port.routes import STATUS, TOP
from callgate.outcome import Outcome
from callgate.text import visible

EXAMPLES: Final = (
    "callgate top",
    "callgate top --interval 5",
    "callgate top --once --json",
)

_HOME: Final = "\x1b[H\x1b[J"
"""To the upper left corner, with everything erased."""
_ROWS: Final = 10
"""Rows of each table where the terminal does not say how many fit."""
_HEAD_LINES: Final = 13
"""Lines that are no rows: the numbers at the top, titles, and the lines between."""


def top(
    interval: Annotated[float, typer.Option(min=0.1, max=60, metavar="SECONDS", help="Time between two looks.")] = 1,
    once: Annotated[bool, typer.Option("--once", help="Print the first interval and end.")] = False,
    state: StateFolder = None,
    config: ConfigFile = None,
    admin: AdminUrl = None,
    admin_token_file: AdminTokenFile = None,
    as_json: AsJson = False,
) -> None:
    """Show what a running sidecar decides: decisions per second, grants, tools, denials, latency, and what waits.

    If standard output is no terminal, it prints the first interval and ends.
    """
    sidecar = running(state, config, admin, admin_token_file)
    is_live = sys.stdout.isatty() and not once and not as_json

    @cache
    def answering() -> str:
        return answering_place(sidecar.ask("GET", STATUS), state, config, admin)

    try:
        for numbers in sidecar.stream(TOP, json.dumps({"interval_s": interval}).encode()):
            if numbers is None:
                continue
            if as_json:
                typer.echo(json.dumps(numbers, ensure_ascii=False))
            elif is_live:
                rows = max(1, (shutil.get_terminal_size().lines - _HEAD_LINES) // 3)
                typer.echo(_HOME + "\n".join(_page(numbers, rows, answering)))
            else:
                typer.echo("\n".join(_page(numbers, _ROWS, answering)))
            if not is_live and (once or not as_json):
                return
    except KeyboardInterrupt:
        return
    typer.echo("the sidecar has stopped", err=True)


def _page(numbers: dict[str, Any], rows: int, answering: Callable[[], str]) -> Iterator[str]:
    seconds, outcomes = numbers["seconds"], numbers["outcomes"]
    total = sum(outcomes.values())
    shown = [f"{one.value} {_rate(outcomes.get(one.value, 0), seconds)}" for one in Outcome]
    yield f"decisions: {_rate(total, seconds)}/s  ({', '.join(shown)})"
    latency = numbers["latency_ns"]
    if latency is None:
        yield "latency:   no decision in this interval"
    else:
        mean, half, most = (latency[name] for name in ("mean", "p50", "p99"))
        yield f"latency:   mean {mean / 1_000:.1f} us, half within {_bound(half)}, 99 % within {_bound(most)}"
    counters = numbers["counters"]
    yield f"counters:  {counters['live']} of {counters['capacity']}"
    yield from _waiting(numbers, answering)
    yield from _table("grant", [(row["grant"] or "(no grant)", row) for row in numbers["grants"]], seconds, rows)
    if numbers["grants_uncounted"]:
        yield f"{numbers['grants_uncounted']} decisions are missing in this table: they came too fast"
    yield from _table("tool", [(f"{row['server']}/{row['tool']}", row) for row in numbers["tools"]], seconds, rows)
    yield ""
    yield f"{'per s':>10}  not allowed by"
    for row in numbers["denials"][:rows]:
        yield f"{_rate(row['count'], seconds):>10}  {visible(row['server'])} {visible(row['rule'])}"


def _waiting(numbers: dict[str, Any], answering: Callable[[], str]) -> Iterator[str]:
    # A sidecar of an earlier version has none.
    if "approvals" not in numbers:
        return
    has_pending = numbers["approvals"] is not None and numbers["approvals"]["pending"]
    yield f"approvals: {approvals_line(numbers, answering() if has_pending else '')}"
    yield f"permits:   {permits_line(numbers)}"
    freezes = numbers["freezes_in_force"]
    yield f"freezes:   {f'{freezes} in force; `callgate status` prints them' if freezes else 'none'}"


def _table(title: str, named: list[tuple[str, dict[str, Any]]], seconds: float, rows: int) -> Iterator[str]:
    yield ""
    yield f"{'per s':>10}{'not allowed':>13}  {title}"
    for name, row in named[:rows]:
        total = sum(row["outcomes"].values())
        refused = total - row["outcomes"].get(Outcome.ALLOW.value, 0)
        yield f"{_rate(total, seconds):>10}{_rate(refused, seconds):>13}  {visible(name)}"


def _rate(count: int, seconds: float) -> str:
    return f"{count / seconds:.1f}"


def _bound(bound_ns: int | None) -> str:
    return "more than the longest bound" if bound_ns is None else f"{bound_ns / 1_000:g} us"
