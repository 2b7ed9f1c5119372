"""`callgate counters`, and where `callgate serve` keeps them."""

import json
import os
from datetime import datetime, timezone
from pathlib import Path
from typing import Annotated, Final

import typer

import callgate._callgate as native
from callgate.errors import ConfigError

_US: Final = 1_000_000
_FILE: Final = "counters"

app = typer.Typer(help="Look at a file of counters, or repair it.", no_args_is_help=True)

_Path = Annotated[Path, typer.Argument(metavar="PATH", help="The file.")]


@app.command()
def show(
    path: _Path,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Print what a file of counters says of itself; a process may have it in use."""
    facts = native.counters_facts(path)
    if as_json:
        typer.echo(json.dumps({"path": str(path), **facts}))
        return
    state = "closed" if facts["clean"] else f"in use, or not closed; opened last by process {facts['pid']}"
    damaged = [f"{facts[f'{name}_damaged']} {name}" for name in ("counters", "blocks") if facts[f"{name}_damaged"]]
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


@app.command()
def repair(path: _Path) -> None:
    """Put a file with every counter that is whole in the place of a damaged one, which is kept beside it."""
    kept, dropped, blocks, aside = native.counters_repair(path)
    typer.echo(f"kept:     {kept} counters")
    typer.echo(f"dropped:  {dropped} counters, and {blocks} blocks of which nothing could be told")
    typer.echo(f"old file: {aside}")


def place(counters: str | None, state: Path | None) -> str:
    """What `Engine` is told: `counters` as given, else a file in the state folder, made for this user alone."""
    if counters is not None:
        return counters
    folder = state if state is not None else _state_home() / "callgate"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        message = (
            f"cannot make the state folder `{folder}`: {reason}; name another with --state, or use --counters memory"
        )
        raise ConfigError(message) from None
    return f"file:{folder / _FILE}"


def _state_home() -> Path:
    given = os.environ.get("XDG_STATE_HOME", "")
    # A relative path is to be ignored, says the XDG base directory specification.
    if Path(given).is_absolute():
        return Path(given)
    try:
        return Path.home() / ".local" / "state"
    except RuntimeError:
        message = "there is no home folder for counters; name a folder with --state, or use --counters memory"
        raise ConfigError(message) from None


def _time(unix_s: float) -> str:
    return datetime.fromtimestamp(unix_s, timezone.utc).isoformat(sep=" ", timespec="seconds")
