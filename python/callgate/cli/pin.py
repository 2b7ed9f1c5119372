"""`callgate pin`: the definitions that servers list for their tools, and those that were accepted."""

import json
import shlex
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Annotated, Any

import typer

import callgate._callgate as native
from callgate.cli import pin_diff, pin_store
from callgate.cli.examples import examples
from callgate.cli.running import StateFolder
from callgate.config.document import unreadable
from callgate.config.load import load
from callgate.config.state import pins_folder
from callgate.config.upstreams import endpoint_url
from callgate.errors import ConfigError
from callgate.text import masked, quoted, visible

app = typer.Typer(
    name="pin",
    help="Show pinned tools, and accept changed ones.",
    epilog=examples("callgate pin list", "callgate pin diff aws", "callgate pin accept aws create-ami"),
    no_args_is_help=True,
    rich_markup_mode=None,
)

_SHOWN_DIGITS = 12

_Server = Annotated[str, typer.Argument(metavar="SERVER", help="The server's name.")]
_Tools = Annotated[list[str] | None, typer.Argument(metavar="TOOL", help="Names of its tools.")]
_Config = Annotated[
    Path | None,
    typer.Option(
        "--config", metavar="FILE", envvar="CALLGATE_CONFIG", help="The configuration that names that folder."
    ),
]
_Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
_UNKNOWN = "unknown"


@app.command("list", epilog=examples("callgate pin list", "callgate pin list aws --config callgate.yaml"))
def list_command(
    server: Annotated[str | None, typer.Argument(metavar="SERVER", help="Only this one.")] = None,
    state: StateFolder = None,
    config: _Config = None,
    as_json: _Json = False,
) -> None:
    """Print every known tool with its state: pinned, changed or new."""
    loaded = load(config).config
    servers = _read(loaded.state if state is None else state, server)
    if as_json:
        rows = [_row(one, tool, loaded.pinning.first_lists) for one in servers for tool in one["tools"]]
        typer.echo(json.dumps(rows, ensure_ascii=False))
        return
    shown = [(one["server"], tool) for one in servers for tool in one["tools"]]
    widths = [max((len(visible(text)) for text in texts), default=0) for texts in _columns(shown)]
    for name, tool in shown:
        for now in tool["listed"] or tool["pinned"][-1:]:
            digest = now["digest"][:_SHOWN_DIGITS]
            twice = "  (listed twice, with different definitions)" if now["is_ambiguous"] else ""
            known = [variant for variant in now["variants"] if variant != _UNKNOWN] if tool["listed"] else []
            to = f"  (shown to {', '.join(known)})" if known else ""
            typer.echo(
                f"{tool['state']:<8}{visible(name):<{widths[0]}}  {visible(tool['tool']):<{widths[1]}}  "
                f"{digest}{twice}{to}"
            )
    for one in servers:
        for line in _of_variants(one, loaded.pinning.first_lists):
            typer.echo(line)
        since = one["unfinished_since_unix_s"]
        if since is not None:
            typer.echo(
                f"{visible(one['server'])}: its first list has not come to its end since {_moment(since)}; until then "
                "whatever it adds is pinned; pin a whole list with `callgate pin record`"
            )
        elif not one["is_complete"]:
            typer.echo(f"{visible(one['server'])}: no whole list was seen yet, so that no tool is new")


@app.command(epilog=examples("callgate pin diff aws", "callgate pin diff aws create-ami --json"))
def diff(
    server: _Server,
    tools: _Tools = None,
    state: StateFolder = None,
    config: _Config = None,
    as_json: _Json = False,
) -> None:
    """Print what is not as it was accepted: what was accepted (-), and what the server lists now (+)."""
    (found,) = native.pins_read(_folder(state, config), server)
    known = {tool["tool"]: tool for tool in found["tools"]}
    for name in tools or ():
        if name not in known:
            message = f"the server {quoted(server)} has listed no tool {quoted(name)}"
            raise typer.BadParameter(message, param_hint="TOOL")
    chosen = [known[name] for name in tools] if tools else [tool for tool in known.values() if _differs(tool)]
    if as_json:
        typer.echo(json.dumps([pin_diff.document(server, tool) for tool in chosen], ensure_ascii=False))
        return
    for tool in chosen:
        for line in pin_diff.lines(tool):
            typer.echo(line)


@app.command(epilog=examples("callgate pin variants aws"))
def variants(
    server: Annotated[str | None, typer.Argument(metavar="SERVER", help="Only this one.")] = None,
    state: StateFolder = None,
    config: _Config = None,
    as_json: _Json = False,
) -> None:
    """Print the variants of clients that were shown lists: protocol version and names of declared capabilities."""
    rows = [
        {
            "server": one["server"],
            "variant": variant,
            "first_list_accepted": has_first_list,
            "to_review": _to_review(one, variant),
        }
        for one in _read(load(config).config.state if state is None else state, server)
        for variant, has_first_list in one["variants"]
    ]
    if as_json:
        typer.echo(json.dumps(rows, ensure_ascii=False))
        return
    widths = [max((len(visible(row[key])) for row in rows), default=0) for key in ("server", "variant")]
    for row in rows:
        first = "first list accepted" if row["first_list_accepted"] else "no first list"
        typer.echo(
            f"{visible(row['server']):<{widths[0]}}  {row['variant']:<{widths[1]}}  {first:<19}  "
            f"{len(row['to_review'])} to review"
        )


@app.command(epilog=examples("callgate pin accept aws create-ami --digest 3f9a0c", "callgate pin accept aws --all"))
def accept(
    server: _Server,
    tools: _Tools = None,
    all_tools: Annotated[bool, typer.Option("--all", help="Every tool that is changed or new.")] = False,
    digest: Annotated[
        str | None, typer.Option(metavar="HEX", help="Digest of the reviewed form, or a prefix of it.")
    ] = None,
    also: Annotated[bool, typer.Option("--also", help="Keep the forms that were accepted before.")] = False,
    variant: Annotated[
        str | None,
        typer.Option(
            metavar="VARIANT",
            help="Accept only for clients of this variant; the forms of other variants are kept.",
        ),
    ] = None,
    state: StateFolder = None,
    config: _Config = None,
    as_json: _Json = False,
) -> None:
    """Accept tools as their server lists them now; a running sidecar follows within two seconds."""
    if (bool(tools) == all_tools) if variant is None else (tools and all_tools):
        raise typer.BadParameter("expected the tools to accept, --all, or --variant", param_hint="TOOL")
    if digest is not None and len(tools or ()) != 1:
        raise typer.BadParameter("expected one tool beside it", param_hint="--digest")
    folder = _folder(state, config)

    def change() -> list[tuple[str, str]]:
        return native.pins_accept(folder, server, tools or None, digest, also, variant)

    accepted = pin_store.changed(folder, server, change, state, config)
    if as_json:
        rows = [{"server": server, "tool": tool, "digest": digest} for tool, digest in accepted]
        typer.echo(json.dumps(rows, ensure_ascii=False))
        return
    for tool, accepted_digest in accepted:
        typer.echo(f"accepted {visible(tool)}  {accepted_digest[:_SHOWN_DIGITS]}")
    if not accepted:
        typer.echo("nothing to accept: all of it is accepted already")


@app.command(epilog=examples("callgate pin reset aws"))
def reset(server: _Server, state: StateFolder = None, config: _Config = None) -> None:
    """Forget what was accepted of a server: its next list is accepted as it is. Works on damaged files, too."""
    folder = _folder(state, config)
    pin_store.changed(folder, server, lambda: native.pins_reset(folder, server), state, config)
    typer.echo(f"forgotten: the next list of {visible(server)} is accepted as it is")


@app.command(
    epilog=examples(
        "callgate pin record aws --list tools.json --url https://mcp.example.com/mcp",
        "callgate pin record files --list tools.json -- npx files-server",
    )
)
def record(
    server: _Server,
    listed: Annotated[
        Path, typer.Option("--list", metavar="FILE", help="The server's answer to `tools/list`, or its result.")
    ],
    url: Annotated[str | None, typer.Option("--url", help="URL of the server, as in the configuration.")] = None,
    command: Annotated[
        list[str] | None, typer.Argument(metavar="COMMAND", help="Instead of --url, after `--`: the server's command.")
    ] = None,
    variant: Annotated[
        str | None,
        typer.Option(metavar="VARIANT", help="The variant of clients that are shown it.", show_default="all"),
    ] = None,
    state: StateFolder = None,
    config: _Config = None,
) -> None:
    """Record a reviewed list as if the server had just sent it: the first is accepted, later ones are compared.

    From then on no first list of any variant is accepted by itself.
    """
    if (url is None) == (not command):
        raise typer.BadParameter("expected --url URL or `-- COMMAND`: a tool at another endpoint is another tool")
    if url is not None:
        try:
            endpoint_url(url)
        except ValueError as error:
            raise typer.BadParameter(str(error), param_hint="--url") from None
    try:
        answer = listed.read_bytes()
    except OSError as error:
        raise unreadable(listed, error) from None
    folder = _folder(state, config)

    def change() -> list[tuple[str, str]]:
        return native.pins_record(folder, server, url, command or None, answer, variant)

    changed = pin_store.changed(folder, server, change, state, config)
    for tool, kind in changed:
        typer.echo(f"{kind:<8}{visible(tool)}")
    typer.echo(f"recorded; `callgate pin {'diff' if changed else 'list'}` shows what")


def _folder(state: Path | None, config: Path | None) -> Path:
    """The folder of a sidecar that is started with the same options and environment."""
    return pins_folder(load(config).config.state if state is None else state)


def _read(state: Path, server: str | None) -> list[dict[str, Any]]:
    """The servers and tools that are recorded in a state folder.

    Raises:
        ConfigError: There is no such folder, so that an empty list would be no answer.
    """
    if not state.is_dir():
        message = (
            f"`{masked(str(state))}` is no folder; name the sidecar's state folder with --state, or the configuration "
            "that names it with --config"
        )
        raise ConfigError(message)
    folder = pins_folder(state)
    if server is None and not folder.is_dir():
        typer.echo(
            f"no tools are pinned in `{masked(str(state))}`: no server has listed its tools through it", err=True
        )
    return native.pins_read(folder, server)


def _columns(rows: list[tuple[str, dict[str, Any]]]) -> tuple[list[str], list[str]]:
    return [name for name, _ in rows], [tool["tool"] for _, tool in rows]


def _differs(tool: dict[str, Any]) -> bool:
    return bool(tool["state"] != "pinned")


def _to_review(server: dict[str, Any], variant: str) -> list[str]:
    """The tools whose form for clients of this variant is not accepted."""
    return [tool["tool"] for tool in server["tools"] if any(variant in form["variants"] for form in tool["listed"])]


def _of_variants(server: dict[str, Any], first_lists: timedelta) -> Iterator[str]:
    """Prints the tools to review for each variant, and the time until which first lists are accepted."""
    name = visible(server["server"])
    for variant, _ in server["variants"]:
        count = len(_to_review(server, variant))
        if count and variant != _UNKNOWN:
            tools = "1 tool" if count == 1 else f"{count} tools"
            typed = shlex.quote(server["server"])
            yield (
                f"{name}: {tools} to review for {variant}: `callgate pin diff {visible(typed)}`, then "
                f"`callgate pin accept {visible(typed)} --variant {variant}`"
            )
    until = _first_lists_until(server, first_lists)
    if until is not None:
        yield f"{name}: first lists of further variants are accepted until {until}"


def _first_lists_until(server: dict[str, Any], first_lists: timedelta) -> str | None:
    since = server["first_lists_since_unix_s"]
    if since is None:
        return None
    until = since + first_lists // timedelta(seconds=1)
    return _moment(until) if until > datetime.now(timezone.utc).timestamp() else None


def _row(server: dict[str, Any], tool: dict[str, Any], first_lists: timedelta) -> dict[str, Any]:
    since = server["unfinished_since_unix_s"]
    return {
        "server": server["server"],
        "whole_list_seen": server["is_complete"],
        "first_list_unfinished_since": None if since is None else _moment(since),
        "first_lists_until": _first_lists_until(server, first_lists),
        "tool": tool["tool"],
        "state": tool["state"],
        "listed_twice": any(form["is_ambiguous"] for form in tool["listed"]),
        "accepted": [_record(form) for form in tool["pinned"]],
        "listed": _record(tool["listed"][-1]) if tool["listed"] else None,
        "listed_forms": [_record(form) for form in tool["listed"]],
    }


def _record(record: dict[str, Any]) -> dict[str, Any]:
    return {
        "digest": record["digest"],
        "endpoint": record["endpoint"],
        "listed_at": _moment(record["listed_at_unix_s"]),
        "variants": record["variants"],
    }


def _moment(unix_s: int) -> str:
    return datetime.fromtimestamp(unix_s, timezone.utc).isoformat().replace("+00:00", "Z")
