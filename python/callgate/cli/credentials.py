"""Tokens and certificates for the command line: from files and the environment, never from arguments.

What stands on a command line is seen by every user of the machine, and kept in the shell's history.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

import typer

from callgate.errors import ConfigError
from callgate.text import reason_of

if TYPE_CHECKING:
    from pathlib import Path

    import grpc

GRANT_TOKEN: Final = "CALLGATE_GRANT_TOKEN"  # noqa: S105  a name, not a secret
"""Environment variable of the caller's token."""

TOKEN: Final = "CALLGATE_TOKEN"  # noqa: S105  a name, not a secret
"""Environment variable of the enforcement point's token."""


def grant_token(file: Path | None) -> str | None:
    """The caller's token: from a file, else from the environment, else none."""
    return _secret(file, GRANT_TOKEN)


def token(file: Path | None) -> str | None:
    """The enforcement point's token: from a file, else from the environment, else none."""
    return _secret(file, TOKEN)


def tls(ca: Path | None, certificate: Path | None, key: Path | None) -> grpc.ChannelCredentials | None:
    """The TLS settings for a sidecar; None if no option requests TLS.

    Raises:
        ConfigError: A file cannot be read.
    """
    if (certificate is None) != (key is None):
        missing = "--tls-key" if key is None else "--tls-cert"
        raise typer.BadParameter("a certificate and its key go together", param_hint=missing)
    if ca is None and certificate is None:
        return None
    import grpc  # noqa: PLC0415  it takes long to import, and most commands need none of it

    read = [None if file is None else _read(file) for file in (ca, key, certificate)]
    return grpc.ssl_channel_credentials(*read)


def _secret(file: Path | None, variable: str) -> str | None:
    if file is None:
        return os.environ.get(variable) or None
    try:
        # Without the newline that editors and `echo` append.
        text = _read(file).decode("ascii").strip()
    except UnicodeDecodeError:
        text = ""
    if not text or not text.isprintable() or " " in text:
        message = f"`{file}` holds no token: expected one line of printable ASCII without spaces"
        raise ConfigError(message)
    return text


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        message = f"cannot read `{file}`: {reason_of(error)}"
        raise ConfigError(message) from None
