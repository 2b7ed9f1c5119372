"""`callgate counters`."""

import json
from datetime import datetime, timezone
from pathlib import Path
from typing import Annotated, Final

import typer

import callgate._callgate as native
from callgate.cli.examples import examples
from callgate.cli.running import AdminTokenFile, AdminUrl, AsJson, ConfigFile, StateFolder, running
from callgate.control.port.routes import COUNTERS_MOVE, COUNTERS_RESET
from callgate.text import quoted, visible

_US: Final = 1_000_000

app = typer.Typer(
    name="counters",
    help="Inspect or repair a file of counters, or reset or move counters of a running sidecar.",
    epilog=examples("callgate counters show ~/.local/state/callgate/counters", "callgate counters reset --grant ci"),
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
    counts = {name: facts[f"{name}_damaged"] for name in ("counters", "blocks", "resets")}
    damaged = [f"{count} {name}" for name, count in counts.items() if count]
    if facts["blocks_missing"]:
        damaged.append(f"{facts['blocks_missing']} blocks are cut off")
    lines = {
        "format version": facts["version"],
        "counters": facts["counters"],
        "layouts": facts["layouts"],
        "resets": facts["resets"],
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
    kept, doubtful, dropped, blocks_doubtful, blocks_dropped, resets_dropped, aside = native.counters_repair(path)
    typer.echo(f"kept:     {kept} counters")
    typer.echo(
        f"doubtful: {doubtful} of them, from {blocks_doubtful} blocks that do not match their checksum; "
        "units of them may be lost"
    )
    typer.echo(f"dropped:  {dropped} counters, and {blocks_dropped} blocks of which nothing could be told")
    if resets_dropped:
        typer.echo(f"resets:   {resets_dropped} were damaged; the limits that they named count as before them")
    typer.echo(f"old file: {aside}")


@app.command(
    epilog=examples(
        "callgate counters reset --grant ci",
        "callgate counters reset --grant ci --tool create-ami",
        "callgate counters reset --policy cloud --counter daily",
    )
)
def reset(
    grant: Annotated[str | None, typer.Option(help="Id of the grant: what is counted for it alone.")] = None,
    policy: Annotated[str | None, typer.Option(help="Name of the policy.")] = None,
    tool: Annotated[str | None, typer.Option(help="Name of the tool: what is counted for it alone.")] = None,
    counter: Annotated[str | None, typer.Option(help="Name of the counter.")] = None,
    state: StateFolder = None,
    config: ConfigFile = None,
    admin: AdminUrl = None,
    admin_token_file: AdminTokenFile = None,
    as_json: AsJson = False,
) -> None:
    """Let the limits of a running sidecar begin anew that have all of the given names, at least one."""
    names = {"grant": grant, "policy": policy, "tool": tool, "counter": counter}
    given = {name: value for name, value in names.items() if value is not None}
    if not given:
        raise typer.BadParameter("name what to reset: --grant, --policy, --tool or --counter", param_hint="--grant")
    body = json.dumps(given).encode()
    document = running(state, config, admin, admin_token_file).ask("POST", COUNTERS_RESET, body)
    if as_json:
        typer.echo(json.dumps(document, ensure_ascii=False))
        return
    for limit in document["limits"]:
        nodes = "  (at all nodes)" if limit["shared"] else ""
        typer.echo(f"reset: {visible(limit['policy'])} {visible(limit['rule'])}{nodes}")
    for limit in document["kept"]:
        typer.echo(f"kept:  {visible(limit['policy'])} {visible(limit['rule'])}: {limit['reason']}")
    # Shared counters of the grant may be at other nodes.
    if document["grant_counters"] == 0 and not any(limit["shared"] for limit in document["limits"]):
        typer.echo(f"note:  {quoted(grant or '')} had no live counters; check the id of the grant", err=True)
    if tool is not None and not document["tool_is_known"]:
        near = document["nearest_tool"]
        meant = "." if near is None else f"; did you mean {quoted(near)}?"
        message = f"no policy, catalogue or accepted list names the tool {quoted(tool)}{meant}"
        typer.echo(f"note:  {message} If no call has that name, nothing was reset", err=True)


@app.command(epilog=examples("callgate counters move", "callgate counters move --grant ci --grant release"))
def move(
    grant: Annotated[
        list[str] | None, typer.Option(metavar="ID", help="Id of a grant that is not configured; repeatable.")
    ] = None,
    tool: Annotated[
        list[str] | None,
        typer.Option(metavar="TOOL", help="Name of a tool that no policy and no catalogue names; repeatable."),
    ] = None,
    state: StateFolder = None,
    config: ConfigFile = None,
    admin: AdminUrl = None,
    admin_token_file: AdminTokenFile = None,
    as_json: AsJson = False,
) -> None:
    """Add what a running sidecar has counted alone, in its file, to the counters that it shares with others by now."""
    body = json.dumps({"grants": grant or [], "tools": tool or []}).encode()
    moved = running(state, config, admin, admin_token_file).ask("POST", COUNTERS_MOVE, body)
    if as_json:
        typer.echo(json.dumps(moved))
    else:
        typer.echo(f"moved: {moved['moved']}")
        typer.echo(f"known: {moved['known']} (moved before)")
        typer.echo(f"local: {moved['local']} (of limits that are not shared)")
        typer.echo(f"left:  {moved['left']} (not moved: not all of their values are known)")
    if moved["left"]:
        message = (
            "the shared limits of what was left begin empty: limits by session or argument, and those of grants and "
            "tools that are not configured, which --grant and --tool can name"
        )
        typer.echo(f"note:  {message}", err=True)
        raise typer.Exit(1)


def _time(unix_s: float) -> str:
    return datetime.fromtimestamp(unix_s, timezone.utc).isoformat(sep=" ", timespec="seconds")
