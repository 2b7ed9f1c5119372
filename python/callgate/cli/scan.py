"""`callgate scan`."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from callgate.cli import credentials, scan_report
from callgate.cli.client_files import Clients, Project, documents_of, gateways_of, print_states, read_entries
from callgate.cli.consent import consented
from callgate.config.bundle import read_bundle
from callgate.config.fields import checked_text
from callgate.errors import ConfigError
from callgate.exact_json import write_json
from callgate.text import quoted
from callgate.workbench.catalogue import Catalogue, write_catalogue
from callgate.workbench.classify import classified_tool
from callgate.workbench.classify.scanned import ScanFindings, scan_findings
from callgate.workbench.clients.targets import targets_of
from callgate.workbench.scan.errors import require_sdk
from callgate.workbench.scan.merge import Merge, merge
from callgate.workbench.scan.output import CatalogueFile
from callgate.workbench.scan.target import Bounds, StdioTarget, Target
from callgate.workbench.scan.upstreams import header_fields, is_url, upstream_targets, url_target

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from callgate.workbench.clients.entries import Entry
    from callgate.workbench.scan.listing import Listing

EXAMPLES: Final = (
    "callgate scan https://mcp.example.com/mcp --name images",
    "callgate scan --name files -- npx -y @modelcontextprotocol/server-filesystem /workspace",
    "callgate scan --config callgate.yaml --fail-on-change",
    "callgate scan --clients",
)

_STDOUT: Final = Path("-")


def scan(
    servers: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="SERVER",
            help="URLs, or the command of one server after --. With --config and --clients: names of servers there, "
            "by default all.",
            show_default=False,
        ),
    ] = None,
    names: Annotated[
        list[str] | None,
        typer.Option(
            "--name", metavar="NAME", help="Name of the server in the catalogue.", show_default="host of a URL"
        ),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Scan the upstreams of this configuration.", show_default=False),
    ] = None,
    clients: Annotated[
        bool, typer.Option("--clients", help="Scan the servers that MCP clients on this machine use.")
    ] = False,
    client: Clients = None,
    project: Project = None,
    out: Annotated[
        Path,
        typer.Option(
            "--out", "-o", metavar="FILE", help="Catalogue to create or update (.json); - for standard output."
        ),
    ] = Path("catalogue.json"),
    header: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME:VALUE",
            help="Header field for URLs; not for secrets, which other users could see.",
            show_default=False,
        ),
    ] = None,
    token_file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Token for URLs, sent as authorization: Bearer.", show_default=False),
    ] = None,
    env: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Variable of this environment that the command gets; by default it gets a few, such as PATH.",
            show_default=False,
        ),
    ] = None,
    timeout: Annotated[
        float, typer.Option(min=1, max=3600, metavar="SECONDS", help="Longest time for each server.")
    ] = Bounds().seconds,
    yes: Annotated[bool, typer.Option("--yes", help="Start programs without a question.")] = False,
    fail_on_change: Annotated[
        bool,
        typer.Option(
            "--fail-on-change", help="If a list has changed, end with exit code 1 and leave the catalogue as it is."
        ),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the tools of MCP servers, and write them, classified, into a catalogue."""
    require_sdk()
    is_stdout = out == _STDOUT
    has_own = bool(names) or bool(header) or token_file is not None
    for is_wrong, hint, message in (
        (clients and config is not None, "--clients", "give either --config or --clients"),
        (bool(client) and not clients, "--client", "it needs --clients"),
        (project is not None and not clients, "--project", "it needs --clients"),
        (has_own and (clients or config is not None), "--name", "servers have their own name and header fields there"),
        (bool(env) and (clients or config is not None), "--env", "clients say the variables of their servers"),
        (as_json and is_stdout, "--json", "the catalogue itself is JSON on standard output"),
    ):
        if is_wrong:
            raise typer.BadParameter(message, param_hint=hint)
    name = _name(names or [])
    file = None if is_stdout else CatalogueFile(out)
    entries: list[Entry] = []
    is_complete = True
    if clients:
        entries, is_complete = read_entries(client or [], project, servers or [])
        targets, left_out = targets_of(entries, None if project is None else project.resolve())
        for reason in left_out:
            typer.echo(reason, err=True)
    elif config is not None:
        targets = [*upstream_targets(read_bundle(config).upstreams, servers or [])]
    else:
        targets = _given(servers or [], name, header or [], token_file, _variables(env or []))
    if not consented(targets, yes=yes):
        typer.echo("nothing was started", err=True)
        raise typer.Exit(1)
    listings = _listings(targets, timeout)
    merged = merge(Catalogue() if file is None else file.catalogue, listings, _now(), classified_tool)
    scan_report.warnings(merged)
    is_kept = fail_on_change and bool(merged.changes)
    listed = {listing.target.name for listing in listings if listing.failure is None}
    # Before it prints, because findings name places in a file that has been written.
    failure = _saved(file, merged.catalogue) if listed and not is_kept else None
    path = None if file is None or is_kept or failure is not None else file.path
    found = scan_findings(merged.catalogue, listed, path)
    _print(listings, merged, found, entries if clients else None, as_json=as_json, is_stdout=is_stdout)
    if failure is not None:
        raise failure
    if listed:
        _tell(path, merged.catalogue, is_kept=is_kept)
    if not is_complete or any(listing.failure is not None for listing in listings):
        raise typer.Exit(2)
    raise typer.Exit(1 if is_kept else 0)


def _name(names: Sequence[str]) -> str | None:
    """The name of the command line."""
    if len(names) > 1:
        raise typer.BadParameter("it names one server; scan several one after the other", param_hint="--name")
    if not names:
        return None
    try:
        return checked_text(names[0])
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--name") from None


def _variables(names: Sequence[str]) -> dict[str, str]:
    """Variables of this environment."""
    missing = next((name for name in names if name not in os.environ), None)
    if missing is not None:
        message = f"--env: the environment variable {quoted(missing)} is not set; give its name alone"
        raise ConfigError(message)
    return {name: os.environ[name] for name in names}


def _given(
    servers: Sequence[str],
    name: str | None,
    header: Sequence[str],
    token_file: Path | None,
    variables: Mapping[str, str],
) -> list[Target]:
    """The servers of the command line."""
    if not servers:
        message = "missing SERVER: a URL, a command after `--`, or one of `--config` and `--clients`"
        raise ConfigError(message)
    if not is_url(servers[0]):
        if name is None:
            message = (
                f"missing --name: {quoted(servers[0])} is taken for a program, which needs a name for policies and the "
                "catalogue; a URL begins with `https://` or `http://`"
            )
            raise ConfigError(message)
        if header or token_file is not None:
            raise typer.BadParameter("a program takes no header fields", param_hint="--header")
        return [StdioTarget(name, tuple(servers), variables)]
    if variables:
        raise typer.BadParameter("a server at a URL gets no variables", param_hint="--env")
    if name is not None and len(servers) > 1:
        raise typer.BadParameter("it names one server; scan several one after the other", param_hint="--name")
    headers = header_fields(header)
    token = credentials.token(token_file) if token_file is not None else None
    if token is not None:
        headers["authorization"] = f"Bearer {token}"
    targets = [url_target(url, headers, name) for url in servers]
    names = [target.name for target in targets]
    twice = next((one for one in names if names.count(one) > 1), None)
    if twice is not None:
        message = f"two servers would be named {quoted(twice)}; scan them one after the other, with --name"
        raise ConfigError(message)
    return [*targets]


def _listings(targets: Sequence[Target], timeout: float) -> list[Listing]:
    # It imports the MCP client, which takes long.
    from callgate.workbench.scan.listing import list_servers  # noqa: PLC0415

    return list_servers(targets, replace(Bounds(), seconds=timeout), scan_report.page, scan_report.ended)


def _print(
    listings: Sequence[Listing],
    merged: Merge,
    found: ScanFindings,
    entries: Sequence[Entry] | None,
    *,
    as_json: bool,
    is_stdout: bool,
) -> None:
    if as_json:
        document = scan_report.document(listings, merged, found)
        if entries is not None:
            document["clients"] = documents_of(entries, gateways_of(None))
        typer.echo(write_json(document))
        return
    if not is_stdout:
        if listings:
            scan_report.table(listings, merged)
        if entries is not None:
            typer.echo()
            print_states(entries, gateways_of(None))
    scan_report.findings(found, on_stderr=is_stdout)


def _saved(file: CatalogueFile | None, catalogue: Catalogue) -> ConfigError | None:
    """Writes the file; gives the reason if it could not, which is told after the lists that it would have had."""
    try:
        if file is not None:
            file.save(catalogue)
    except ConfigError as error:
        return error
    return None


def _tell(path: Path | None, catalogue: Catalogue, *, is_kept: bool) -> None:
    """Says what became of the file; without one, prints the catalogue."""
    if is_kept:
        typer.echo("lists have changed; the catalogue is left as it is", err=True)
        return
    if path is None:
        typer.echo(write_catalogue(catalogue), nl=False)
        return
    tools = sum(len(server.tools) for server in catalogue.servers.values())
    found = f"{_count(len(catalogue.servers), 'server')}, {_count(tools, 'tool')}"
    typer.echo(f"wrote {quoted(str(path))}: {found}", err=True)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds").replace("+00:00", "Z")
