"""`callgate validate`."""

from pathlib import Path
from typing import Annotated, Final

import typer

import callgate._callgate as native
from callgate.errors import CallgateError

EXAMPLES: Final = (
    "callgate validate policy.yaml",
    "callgate validate policies",
)


def validate(
    paths: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Policy files, or folders of them.")],
) -> None:
    """Load policies and print warnings; exit code 2 when one of them has a fault."""
    failed = False
    for path in paths:
        try:
            warnings = native.validate(path)
        except CallgateError as error:
            typer.echo(error, err=True)
            failed = True
            continue
        for file, line, column, message in warnings:
            typer.echo(f"{file}:{line}:{column}: warning: {message}")
        typer.echo(f"{path}: ok")
    raise typer.Exit(2 if failed else 0)
