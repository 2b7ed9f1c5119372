"""Options and output of commands that read the configurations of MCP clients."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from callgate.cli.table import table_lines
from callgate.config.bundle import read_bundle
from callgate.errors import ConfigError
from callgate.text import did_you_mean, quoted
from callgate.workbench.clients.entries import Entry, read_all
from callgate.workbench.clients.places import CLIENTS, client_named, places
from callgate.workbench.clients.state import BEHIND, USUAL_GATEWAYS, document_of, shown_endpoint, state_of

if TYPE_CHECKING:
    from collections.abc import Sequence

Clients = Annotated[
    list[str] | None,
    typer.Option(
        "--client",
        metavar="CLIENT",
        help=f"Only this client, as often as needed: {', '.join(client.name for client in CLIENTS)}.",
        show_default=False,
    ),
]
Project = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR", help="Folder of a project whose files are read as well; `.` for this one.", show_default=False
    ),
]
Gateways = Annotated[
    list[str] | None,
    typer.Option(
        "--gateway",
        metavar="URL",
        help="URL of a gateway, without a path, as often as needed.",
        show_default=", ".join(USUAL_GATEWAYS),
    ),
]
Config = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE", help="Configuration that names the gateway.", show_default=False),
]


def read_entries(clients: Sequence[str], project: Path | None, servers: Sequence[str]) -> tuple[list[Entry], bool]:
    """The servers of clients, and true if every file could be read; faults of files are printed.

    Raises:
        ConfigError: A client or a server is not known.
    """
    chosen = [client_named(name) for name in clients] or list(CLIENTS)
    if project is not None and not project.is_dir():
        message = f"--project: {quoted(str(project))} is no folder"
        raise ConfigError(message)
    entries, errors = read_all(places(chosen, None if project is None else project.resolve()))
    for error in errors:
        typer.echo(str(error), err=True)
    names = [entry.name for entry in entries]
    for server in servers:
        if server not in names:
            message = f"no client has a server {quoted(server)}{did_you_mean(server, list(dict.fromkeys(names)))}"
            raise ConfigError(message)
    return [entry for entry in entries if not servers or entry.name in servers], not errors


def gateways_of(config: Path | None, urls: Sequence[str] = ()) -> list[str]:
    """URLs of gateways: those given, and the configuration's; else the usual ones."""
    found = list(urls)
    if config is not None:
        read = read_bundle(config).config
        if read.gateway.public_url is not None:
            found.append(read.gateway.public_url)
        if read.listen is not None:
            found.append(f"{'http' if read.tls is None else 'https'}://{read.listen}")
    return found or list(USUAL_GATEWAYS)


def documents_of(entries: Sequence[Entry], gateways: Sequence[str]) -> list[dict[str, Any]]:
    """The servers as JSON."""
    return [document_of(entry, state_of(entry, gateways)) for entry in entries]


def print_states(entries: Sequence[Entry], gateways: Sequence[str]) -> None:
    """Prints each server with its state, and the number of those that are not behind callgate."""
    if not entries:
        typer.echo("no client has a server", err=True)
        return
    rows = [("CLIENT", "SCOPE", "SERVER", "STATE", "COMMAND OR URL")]
    states = [state_of(entry, gateways) for entry in entries]
    for entry, state in zip(entries, states, strict=True):
        name = f"{entry.name} (off)" if entry.is_disabled else entry.name
        rows.append((entry.place.client.name, entry.place.scope, name, state.word, shown_endpoint(entry)))
    for line in table_lines(rows):
        typer.echo(line)
    for entry, state in zip(entries, states, strict=True):
        if state.has_hint:
            typer.echo(f"{quoted(entry.name)} of {entry.place.client.title}: {state.reason}", err=True)
    opened = sum(state.word != BEHIND and not entry.is_disabled for entry, state in zip(entries, states, strict=True))
    if opened:
        servers = "1 server is" if opened == 1 else f"{opened} servers are"
        typer.echo(f"{servers} not behind callgate: `callgate clients wrap` puts servers behind it", err=True)
