"""`callgate candidate`."""

import json
from collections.abc import Iterator
from datetime import datetime, timezone
from typing import Annotated, Any, Final

import typer

from callgate.cli.examples import examples
from callgate.cli.running import AdminTokenFile, AdminUrl, AsJson, ConfigFile, StateFolder, running
from callgate.control.port.routes import CANDIDATES
from callgate.text import did_you_mean, quoted, visible

app = typer.Typer(
    name="candidate",
    help="Show how the candidates of servers decide the calls of a running sidecar.",
    epilog=examples("callgate candidate report", "callgate candidate report --server aws --json"),
    no_args_is_help=True,
    rich_markup_mode=None,
)

_MOST_CHANGES: Final = 20
"""Kinds of changes of one server in the text; JSON has all."""


@app.callback()
def _callback() -> None:
    """Keeps `report` a command of a group."""


@app.command(epilog=examples("callgate candidate report", "callgate candidate report --server aws --json"))
def report(
    server: Annotated[str | None, typer.Option(metavar="NAME", help="Name of the server; by default all.")] = None,
    state: StateFolder = None,
    config: ConfigFile = None,
    admin: AdminUrl = None,
    admin_token_file: AdminTokenFile = None,
    as_json: AsJson = False,
) -> None:
    """Print the decisions that the candidate of each server would change."""
    found = running(state, config, admin, admin_token_file).ask("GET", CANDIDATES)["candidates"]
    if server is not None:
        known = [one["server"] for one in found]
        if server not in known:
            message = f"the server {quoted(server)} has no candidate{did_you_mean(server, known)}"
            raise typer.BadParameter(message, param_hint="--server")
        found = [one for one in found if one["server"] == server]
    if as_json:
        typer.echo(json.dumps({"candidates": found}, ensure_ascii=False))
        return
    if not found:
        typer.echo("no server has a candidate; name one as `candidate` beside the `policy` of a server")
    for one in found:
        for line in _lines(one):
            typer.echo(line)


def _lines(one: dict[str, Any]) -> Iterator[str]:
    total = sum(count for _, _, count in one["counts"])
    changed = sum(count for live, candidate, count in one["counts"] if live != candidate)
    name = f"{visible(one['policy'])} {one['version']}"
    yield f"{visible(one['server'])}: {name}, since {_time(one['since_us'])}: {changed} of {total} decisions change"
    for live, candidate, count in one["counts"]:
        if live != candidate:
            yield f"  {count} {live} -> {candidate}"
    for change in one["changes"][:_MOST_CHANGES]:
        yield ""
        yield f"  `{visible(change['tool'])}`, {change['count']} {'call' if change['count'] == 1 else 'calls'}"
        yield f"    live       {_answer(change['live'])}"
        yield f"    candidate  {_answer(change['candidate'])}"
        for decided_at_us, grant in change["examples"]:
            yield f"    {_time(decided_at_us)}, grant {visible(grant)}"
    more = sum(change["count"] for change in one["changes"][_MOST_CHANGES:]) + one["other_changes"]
    if more:
        yield ""
        yield f"  {more} more calls change otherwise; --json has their kinds"


def _answer(answer: list[str]) -> str:
    outcome, rule = answer
    return f"{outcome} {visible(rule)}".rstrip()


def _time(at_us: int) -> str:
    return f"{datetime.fromtimestamp(at_us // 1_000_000, timezone.utc):%Y-%m-%d %H:%M:%S} UTC"
