"""Changes of clients' configurations: their options, and what is printed of them."""

from __future__ import annotations

import shlex
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from callgate.config.check import not_in_a_path, unknown, without_policy
from callgate.config.files import Files
from callgate.config.shared_keys import refuse_shared
from callgate.config.state import default_state_folder
from callgate.control.sidecar import Source
from callgate.errors import ConfigError
from callgate.text import quoted, visible
from callgate.workbench.clients.change import Wrapping
from callgate.workbench.clients.entries import STDIO, Entry
from callgate.workbench.clients.writing import FileChange, changed_files, write_change
from callgate.workbench.scan.secrets import shown_command, shown_url

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


def wrapping(
    entries: Sequence[Entry],
    *,
    policy: Path | None,
    config: Path | None,
    grant: str | None,
    grant_token_file: Path | None,
    state: Path | None,
    gateway: str | None,
) -> Wrapping:
    """The command and the gateway before servers, from options that are checked for each of them.

    Raises:
        ConfigError: The options do not fit; then nothing may be changed, because the servers would not start.
    """
    programs = [entry for entry in entries if entry.kind == STDIO]
    options = list[str]()
    if programs:
        if (policy is None) == (config is None):
            one = f"{quoted(programs[0].name)} of {programs[0].place.client.title}"
            message = f"programs such as {one} need a policy: give either --policy or --config, or name other servers"
            raise typer.BadParameter(message, param_hint="--policy")
        plan = Source(config, policy, {}).read(Files())
        refuse_shared(plan.bundle.loaded)
        # Reads the policies as well: a wrap that does not start would cost the client its server.
        plan.engine(on_trial=True).close()
        for entry in programs:
            fault = None if policy is None else without_policy(entry.name, policy)
            if config is not None and entry.name not in plan.config.servers:
                fault = unknown("server", entry.name, plan.config.servers)
            if fault is not None:
                message = f"{quoted(entry.name)} of {entry.place.client.title}: {fault}"
                raise ConfigError(message)
        has_grants = plan.bundle.grants is not None
        if has_grants != (grant_token_file is not None):
            message = (
                "grants are configured, so that each call needs a token: give --grant-token-file"
                if has_grants
                else "no grants are configured, so that there is no token; name the grant with --grant"
            )
            raise typer.BadParameter(message, param_hint="--grant-token-file")
        if has_grants and grant is not None:
            raise typer.BadParameter("a token names the grant", param_hint="--grant")
        # Clients start servers in folders of their own.
        given = [
            ("--policy", policy),
            ("--config", config),
            ("--grant-token-file", grant_token_file),
            ("--state", state or default_state_folder().with_name("callgate-wrap")),
        ]
        options = [word for name, path in given if path is not None for word in (name, str(path.absolute()))]
        options += [] if grant is None else ["--grant", grant]
    return Wrapping(_program(), tuple(options), _checked(entries, gateway))


def apply(entries: Sequence[Entry], change: Callable[[Entry], str], *, dry_run: bool) -> bool:
    """Changes servers of files, and prints each change; true if one was left as it is."""
    files, refusals = changed_files(entries, change)
    errors: list[ConfigError] = [*refusals]
    written = 0
    for file in files:
        try:
            written += _apply_file(file, dry_run=dry_run)
        except ConfigError as error:  # noqa: PERF203  a file that cannot be written must not keep the others back
            errors.append(error)
    for one in errors:
        typer.echo(str(one), err=True)
    if not written:
        typer.echo("nothing was changed: --dry-run" if dry_run and files else "nothing was changed", err=True)
    else:
        typer.echo("restart the clients: they read their configuration when they start", err=True)
    return bool(errors)


def _apply_file(change: FileChange, *, dry_run: bool) -> bool:
    """Writes one file and prints its changes; true if it was written."""
    path = change.file.place.path
    place = None if dry_run else write_change(change)
    typer.echo(visible(str(path)))
    for one in change.changes:
        typer.echo(f"  {visible(one.before.name)}")
        typer.echo(f"  - {_shown(one.before)}")
        typer.echo(f"  + {_shown(one.after)}")
    if place is None:
        return False
    target, backup = place
    if target != path.absolute():
        typer.echo(f"  the file is a link to {visible(str(target))}, which was changed")
    typer.echo(f"  the file before is {visible(str(backup))}")
    return True


def say_left(entry: Entry, reason: str) -> None:
    """Prints the reason for which a server is left as it is."""
    typer.echo(f"{quoted(entry.name)} of {entry.place.client.title} is left: {reason}", err=True)


def _shown(entry: Entry) -> str:
    """The command or URL as it stands in the file, without secrets."""
    if entry.kind == STDIO:
        return shown_command(entry.command)
    own = shown_url(entry.url)
    return own if entry.original_url == entry.url else f"{own}#{shown_url(entry.original_url)}"


def _program() -> str:
    """This program with its whole path: clients with windows often have another `PATH`."""
    beside = Path(sys.argv[0])
    if beside.name == "callgate" and beside.exists():
        return str(beside.absolute())
    found = shutil.which("callgate")
    if found is None:
        message = f"`callgate` is not on `PATH`, so that clients could not start it ({shlex.quote(sys.argv[0])})"
        raise ConfigError(message)
    return found


def _checked(entries: Sequence[Entry], gateway: str | None) -> str:
    """The gateway's URL, if the names of servers fit into it."""
    if gateway is None:
        return ""
    from callgate.config.upstreams import Gateway  # noqa: PLC0415  its model takes long to import

    try:
        Gateway(public_url=gateway.rstrip("/"))
    except ValueError:
        message = f"--gateway: expected a URL without a path, such as `http://127.0.0.1:9191`, got {quoted(gateway)}"
        raise ConfigError(message) from None
    for entry in entries:
        fault = None if entry.kind == STDIO else not_in_a_path(entry.name)
        if fault is not None:
            raise ConfigError(fault)
    return gateway.rstrip("/")
