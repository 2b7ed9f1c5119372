"""Passwords for the command line: typed, from a file, or made here; never from arguments, which others can read."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import typer

from callgate.config.key import is_open_to_others
from callgate.errors import ConfigError
from callgate.text import reason_of

if TYPE_CHECKING:
    from pathlib import Path


def new_password(file: Path | None, *, generate: bool) -> tuple[str, bool]:
    """The new password, and true if it was made here.

    Raises:
        ConfigError: The file cannot be read, or nobody is there to type it.
    """
    from callgate.identity.passwords import check_password, generated_password  # noqa: PLC0415  it takes long to import

    if generate and file is not None:
        raise typer.BadParameter("give a file or let one be made, not both", param_hint="--generate")
    if generate:
        return generated_password(), True
    if file is not None:
        password = _read(file)
    elif sys.stdin.isatty():
        password = typer.prompt("password", hide_input=True, confirmation_prompt=True)
    else:
        message = "nobody is there to type a password: give --password-file FILE, or --generate to have one made"
        raise ConfigError(message)
    check_password(password)
    if file is not None and is_open_to_others(file):
        typer.echo(f"warning: other users may read the password `{file}`; chmod 600 it, or delete it", err=True)
    return password, False


def _read(file: Path) -> str:
    try:
        # Without the newline that editors and `echo` append.
        return file.read_bytes().decode("utf-8").rstrip("\r\n")
    except UnicodeDecodeError:
        message = f"`{file}` holds no password: expected one line of UTF-8 text"
        raise ConfigError(message) from None
    except OSError as error:
        message = f"cannot read `{file}`: {reason_of(error)}"
        raise ConfigError(message) from None


def hashed(password: str) -> str:
    """The hash of a new password."""
    from callgate.identity.passwords import Passwords  # noqa: PLC0415  it takes long to import

    return Passwords().hash(password)


def print_password(password: str) -> None:
    """Prints a password that was made here."""
    typer.echo("the password, which is shown here and nowhere else:", err=True)
    typer.echo(password)
    sys.stdout.flush()
