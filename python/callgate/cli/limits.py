"""`callgate limits`."""

import json
from typing import Annotated, Any, Final

import typer

from callgate.cli.running import AdminTokenFile, AdminUrl, AsJson, ConfigFile, StateFolder, running
from callgate.config.document import read_json
from callgate.control.port.routes import LIMITS
from callgate.text import visible

EXAMPLES: Final = (
    "callgate limits --grant ci",
    "callgate limits --grant ci --tool create-ami --json",
)


def limits(
    grant: Annotated[str, typer.Option(help="Id of the grant.")],
    tool: Annotated[str | None, typer.Option(help="Name of the tool; default: the limits of every tool.")] = None,
    args: Annotated[str | None, typer.Option(metavar="JSON", help="Arguments of the call.")] = None,
    server: Annotated[
        str | None, typer.Option(help="Name of the server; default: that of the grant, or the only one.")
    ] = None,
    session: Annotated[str | None, typer.Option(help="Id of the session.")] = None,
    state: StateFolder = None,
    config: ConfigFile = None,
    admin: AdminUrl = None,
    admin_token_file: AdminTokenFile = None,
    as_json: AsJson = False,
) -> None:
    """Print what is left of each limit of a grant, and when it is free again; takes no units."""
    fields = {"grant": grant, "tool": tool, "server": server, "session": session}
    body = json.dumps({name: value for name, value in fields.items() if value is not None})
    if args is not None:
        try:
            is_object = isinstance(read_json(args), dict)
        except ValueError as error:
            raise typer.BadParameter(str(error), param_hint="--args") from None
        if not is_object:
            raise typer.BadParameter("expected a JSON object", param_hint="--args")
        # As they were given: a number keeps its exact value.
        body = f'{body[:-1]}, "args": {args}}}'
    sidecar = running(state, config, admin, admin_token_file)
    document = sidecar.ask("POST", LIMITS, body.encode(errors="surrogateescape"))
    decision = document.get("decision")
    if as_json:
        typer.echo(json.dumps(document, ensure_ascii=False))
    else:
        _print(document, decision)
    if not document["policy"]:
        raise typer.Exit(1)


def _print(document: dict[str, Any], decision: dict[str, Any] | None) -> None:
    if document["policy"]:
        typer.echo(f"policy {visible(document['policy'])} {document['policy_version']}")
    rows = [_row(limit) for limit in document["limits"]]
    widths = [max((len(row[column]) for row in rows), default=0) for column in range(3)]
    for row in rows:
        typer.echo("  ".join([*(f"{text:<{width}}" for text, width in zip(row, widths, strict=False)), row[-1]]))
    if document["policy"] and not rows:
        typer.echo("no limit applies")
    if decision is not None:
        after = decision.get("retry_after_ms")
        when = "" if after is None else f", free in {_seconds(after)}"
        typer.echo(f"a call now: {decision['outcome']} {visible(decision['rule'])}".rstrip() + when)
        if decision["message"]:
            typer.echo(f"  {visible(decision['message'])}")


def _row(limit: dict[str, Any]) -> tuple[str, str, str, str]:
    """Counter, units left, when they are free, rule."""
    shadow = " (in shadow)" if limit["shadow"] else ""
    rule = f"{visible(limit['rule'])}{shadow}"
    counter = visible(limit["counter"])
    missing = " and ".join(f"`{visible(name)}`" for name in limit["missing"])
    if "remaining" not in limit:
        return counter, f"? of {limit['max']} left", f"counted by {missing}: name it", rule
    left = f"{limit['remaining']} of {limit['max']} left"
    return counter, left, f"all in {_seconds(limit['reset_after_ms'])}" if limit["reset_after_ms"] else "", rule


def _seconds(milliseconds: int) -> str:
    """Rounded up, so that nobody comes back too early."""
    return f"{-(-milliseconds // 1_000)} s"
