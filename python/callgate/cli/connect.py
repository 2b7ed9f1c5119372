"""`callgate connect`."""

import signal
from pathlib import Path
from typing import Annotated, Final
from urllib.parse import urlsplit

import typer

from callgate._callgate import connect as lead
from callgate.cli import credentials
from callgate.config.address import is_loopback
from callgate.config.document import read_bytes
from callgate.errors import ConfigError

_AUTHORIZATION: Final = "authorization"


EXAMPLES: Final = ("callgate connect https://callgate.example.com/mcp/aws --token-file token",)


def connect(
    url: Annotated[str, typer.Argument(metavar="URL", help="The server's endpoint, behind the gateway or not.")],
    token_file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help=f"The caller's token; else that of {credentials.TOKEN}."),
    ] = None,
    header: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME:VALUE", help="Further header field; not for secrets, which other users could see."),
    ] = None,
    ca: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Trust these authorities (PEM) instead of the system's.")
    ] = None,
) -> None:
    """Connect a client that communicates over pipes to a server with streamable HTTP."""
    fields = [_field(text) for text in header or ()]
    token = credentials.token(token_file)
    if token is not None:
        if any(name.lower() == _AUTHORIZATION for name, _ in fields):
            message = "`authorization` is where the token goes; give one of the two"
            raise typer.BadParameter(message, param_hint="--header")
        fields.append((_AUTHORIZATION, f"Bearer {token}"))
        if _is_in_the_clear(url):
            typer.echo("callgate: warning: without TLS the token travels in the clear; use an `https` URL", err=True)
    # Python's own handler would raise after the exit code has been decided.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    raise typer.Exit(lead(url, headers=fields, ca=None if ca is None else read_bytes(ca)))


def _field(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon or not name.strip():
        raise typer.BadParameter("expected NAME:VALUE", param_hint="--header")
    return name.strip(), value.strip()


def _is_in_the_clear(url: str) -> bool:
    """True if the traffic to this URL leaves this machine unencrypted."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError as error:
        message = f"the URL cannot be read: {error}"
        raise ConfigError(message) from None
    return parts.scheme == "http" and not is_loopback(host)
