"""`callgate counters`."""

import json
from datetime import datetime, timezone
from pathlib import Path
from typing import Annotated, Final

import typer

import callgate._callgate as native
from callgate.cli.examples import examples

_US: Final = 1_000_000

app = typer.Typer(
    name="counters",
    help="Inspect or repair a file of counters.",
    epilog=examples("callgate counters show ~/.local/state/callgate/counters"),
    no_args_is_help=True,
    rich_markup_mode=None,
)

_Path = Annotated[Path, typer.Argument(metavar="PATH", help="The file.")]


@app.command(epilog=examples("callgate counters show --json ~/.local/state/callgate/counters"))
def show(
    path: _Path,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Print facts about a file of counters, which a process may be using."""
    facts = native.counters_facts(path)
    if as_json:
        typer.echo(json.dumps({"path": str(path), **facts}))
        return
    state = "closed" if facts["clean"] else f"in use, or not closed; opened last by process {facts['pid']}"
    damaged = [f"{facts[f'{name}_damaged']} {name}" for name in ("counters", "blocks") if facts[f"{name}_damaged"]]
    if facts["blocks_missing"]:
        damaged.append(f"{facts['blocks_missing']} blocks are cut off")
    lines = {
        "format version": facts["version"],
        "counters": facts["counters"],
        "layouts": facts["layouts"],
        "bytes": facts["bytes"],
        "state": state,
        "damaged": ", ".join(damaged) or "nothing was seen",
        "created": _time(int(facts["created_unix_s"] or 0)),
        "last flush": _time(int(facts["flushed_unix_us"] or 0) / _US),
    }
    for name, value in lines.items():
        typer.echo(f"{name + ':':<16}{value}")


@app.command(epilog=examples("callgate counters repair ~/.local/state/callgate/counters"))
def repair(path: _Path) -> None:
    """Put a file with every counter that is whole in the place of a damaged one, which is kept beside it."""
    kept, doubtful, dropped, blocks_doubtful, blocks_dropped, aside = native.counters_repair(path)
    typer.echo(f"kept:     {kept} counters")
    typer.echo(
        f"doubtful: {doubtful} of them, from {blocks_doubtful} blocks that do not match their checksum; "
        "units of them may be lost"
    )
    typer.echo(f"dropped:  {dropped} counters, and {blocks_dropped} blocks of which nothing could be told")
    typer.echo(f"old file: {aside}")


def _time(unix_s: float) -> str:
    return datetime.fromtimestamp(unix_s, timezone.utc).isoformat(sep=" ", timespec="seconds")
