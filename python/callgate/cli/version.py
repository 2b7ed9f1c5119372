"""`callgate version`."""

import typer

import callgate._callgate as native


def version() -> None:
    """Print the version."""
    typer.echo(f"callgate {native.version()}")
