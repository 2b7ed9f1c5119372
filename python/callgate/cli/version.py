"""`callgate version`."""

from typing import Final

import typer

import callgate._callgate as native

EXAMPLES: Final = ("callgate version",)


def version() -> None:
    """Print the version."""
    typer.echo(f"callgate {native.version()}")
