"""`callgate clients`: the MCP servers that clients on this machine use, and their way behind callgate."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from callgate.cli import clients_change
from callgate.cli.client_files import (
    Clients,
    Config,
    Gateways,
    Project,
    documents_of,
    gateways_of,
    print_states,
    read_entries,
)
from callgate.cli.examples import examples
from callgate.exact_json import write_json
from callgate.workbench.clients.change import unwrap, wrap
from callgate.workbench.clients.state import BEHIND, state_of
from callgate.workbench.clients.wrapped import original_words, wrapped_url

if TYPE_CHECKING:
    from callgate.workbench.clients.entries import Entry

app = typer.Typer(
    name="clients",
    help="Show the MCP servers that clients on this machine use, and put them behind callgate.",
    epilog=examples(
        "callgate clients list",
        "callgate clients wrap --policy policies files",
        "callgate clients unwrap --client cursor",
    ),
    no_args_is_help=True,
    rich_markup_mode=None,
)

_Servers = Annotated[
    list[str] | None, typer.Argument(metavar="SERVER", help="Names of servers; by default all.", show_default=False)
]
_DryRun = Annotated[bool, typer.Option("--dry-run", help="Print the changes, and change nothing.")]


@app.callback()
def group() -> None:
    """Show the MCP servers that clients on this machine use, and put them behind callgate."""


@app.command("list", epilog=examples("callgate clients list", "callgate clients list --project . --json"))
def list_command(
    client: Clients = None,
    project: Project = None,
    gateway: Gateways = None,
    config: Config = None,
    shadow: Annotated[
        bool, typer.Option("--fail-on-shadow", help="Exit with code 1 if a server is not behind callgate.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Print each server of each client, and whether it is behind callgate."""
    entries, is_complete = read_entries(client or [], project, [])
    gateways = gateways_of(config, gateway or [])
    if as_json:
        typer.echo(write_json(documents_of(entries, gateways)))
    else:
        print_states(entries, gateways)
    if not is_complete:
        raise typer.Exit(2)
    is_open = any(not entry.is_disabled and state_of(entry, gateways).word != BEHIND for entry in entries)
    raise typer.Exit(1 if shadow and is_open else 0)


@app.command(
    "wrap",
    epilog=examples(
        "callgate clients wrap --policy policies --dry-run",
        "callgate clients wrap --client cursor --policy files.yaml files",
        "callgate clients wrap --gateway http://127.0.0.1:9191 images",
    ),
)
def wrap_command(
    servers: _Servers = None,
    client: Clients = None,
    project: Project = None,
    policy: Annotated[
        Path | None,
        typer.Option(metavar="FILE_OR_DIR", help="A policy, or a folder of SERVER.json|yaml.", show_default=False),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Configuration with policies and grants, instead.", show_default=False),
    ] = None,
    grant: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Id of the charged grant, if none are configured.", show_default="anonymous"),
    ] = None,
    grant_token_file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The caller's token, if grants are configured.", show_default=False),
    ] = None,
    state: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Folder for counts, pins and approvals.", show_default="callgate-wrap beside serve's"
        ),
    ] = None,
    gateway: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Gateway of servers over HTTP, without a path.", show_default=False),
    ] = None,
    dry_run: _DryRun = False,
) -> None:
    """Put servers behind callgate: programs behind `callgate wrap`, servers over HTTP behind a gateway."""
    entries, is_complete = read_entries(client or [], project, servers or [])
    gateways = gateways_of(config, [] if gateway is None else [gateway])
    open_ones = [entry for entry in entries if state_of(entry, gateways).word != BEHIND]
    wrapping = clients_change.wrapping(
        open_ones,
        policy=policy,
        config=config,
        grant=grant,
        grant_token_file=grant_token_file,
        state=state,
        gateway=gateway,
    )
    for entry in entries:
        if entry not in open_ones:
            clients_change.say_left(entry, "it is behind callgate already")
    failed = clients_change.apply(open_ones, lambda entry: wrap(entry, wrapping), dry_run=dry_run)
    raise typer.Exit(2 if failed or not is_complete else 0)


@app.command("unwrap", epilog=examples("callgate clients unwrap", "callgate clients unwrap --client cursor files"))
def unwrap_command(
    servers: _Servers = None, client: Clients = None, project: Project = None, dry_run: _DryRun = False
) -> None:
    """Take callgate out of the way to servers again; the files are as before to the byte."""
    entries, is_complete = read_entries(client or [], project, servers or [])
    wrapped = [entry for entry in entries if _is_behind(entry)]
    for entry in entries if servers else ():
        if entry not in wrapped:
            clients_change.say_left(entry, "it is not behind callgate by `callgate clients wrap`")
    failed = clients_change.apply(wrapped, unwrap, dry_run=dry_run)
    raise typer.Exit(2 if failed or not is_complete else 0)


def _is_behind(entry: Entry) -> bool:
    return original_words(entry.command) is not None or wrapped_url(entry.url) is not None
