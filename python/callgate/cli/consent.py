"""Consent to the start of programs."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import typer

from callgate.errors import ConfigError
from callgate.text import visible

if TYPE_CHECKING:
    from collections.abc import Sequence

    from callgate.workbench.scan.target import StdioTarget


def consented(targets: Sequence[StdioTarget], *, yes: bool) -> bool:
    """True if the programs may be started: somebody at the terminal has agreed, or `--yes` was given.

    Raises:
        ConfigError: There is neither a terminal nor `--yes`.
    """
    if not targets:
        return True
    typer.echo("these programs are started, with the rights of this user:", err=True)
    for target in targets:
        typer.echo(f"  {visible(target.name)}: {target.shown()}", err=True)
        if target.folder is not None:
            typer.echo(f"    in the folder {visible(str(target.folder))}", err=True)
        if target.environment:
            names = ", ".join(visible(name) for name in sorted(target.environment))
            typer.echo(f"    with the variables {names}", err=True)
    if yes:
        return True
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        message = "nobody can be asked whether these programs may be started; read the list, and repeat with --yes"
        raise ConfigError(message)
    return typer.confirm("start them?", err=True)
