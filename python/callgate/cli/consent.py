"""Consent to the start of programs, and to sending variables of this process to servers."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import typer

from callgate.errors import ConfigError
from callgate.text import visible
from callgate.workbench.scan.target import HttpTarget, StdioTarget

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from callgate.workbench.scan.target import Target


def consented(targets: Sequence[Target], *, yes: bool) -> bool:
    """True if the scan may begin: it needs no consent, somebody at the terminal has agreed, or `--yes` was given.

    The start of programs needs consent. So does sending variables of this process over HTTP, because a project's
    configuration may come from somebody else.

    Raises:
        ConfigError: There is neither a terminal nor `--yes`.
    """
    programs = [target for target in targets if isinstance(target, StdioTarget)]
    receivers = [target for target in targets if isinstance(target, HttpTarget) and target.variables]
    if not programs and not receivers:
        return True
    if programs:
        typer.echo("these programs are started, with the rights of this user:", err=True)
    for program in programs:
        typer.echo(f"  {visible(program.name)}: {program.shown()}", err=True)
        if program.folder is not None:
            typer.echo(f"    in the folder {visible(str(program.folder))}", err=True)
        if program.environment:
            typer.echo(f"    with the variables {_names(program.environment)}", err=True)
    if receivers:
        typer.echo("these servers are sent values of your environment variables:", err=True)
    for receiver in receivers:
        typer.echo(f"  {visible(receiver.name)}: {receiver.shown()}", err=True)
        typer.echo(f"    with the values of {_names(receiver.variables)}", err=True)
    if yes:
        return True
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        message = "nobody can be asked whether this may be done; read the list, and repeat with --yes"
        raise ConfigError(message)
    return typer.confirm("go on?", err=True)


def _names(names: Iterable[str]) -> str:
    return ", ".join(visible(name) for name in sorted(names))
