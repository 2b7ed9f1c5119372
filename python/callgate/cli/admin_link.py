"""`callgate admin link`."""

from typing import Annotated
from urllib.parse import urlsplit

import typer

from callgate.cli.stores import StoreConfig, StoreState, opened
from callgate.config.address import is_loopback
from callgate.config.load import load


def link(
    url: Annotated[
        str | None,
        typer.Option("--url", metavar="URL", help="The admin port on loopback, if not as the configuration has it."),
    ] = None,
    state: StoreState = None,
    config: StoreConfig = None,
) -> None:
    """Print a one-time link to log in as this user, while there are no people; it works for ten minutes."""
    from callgate.identity.identities import Identities  # noqa: PLC0415  SQLAlchemy takes long to import

    base = f"http://{load(config).config.admin.listen}" if url is None else url
    if not _is_usable(base):
        message = "expected http://HOST:PORT on loopback: over the network, people log in with their passwords"
        raise typer.BadParameter(message, param_hint="--url")
    with opened(state, config) as found:
        token = Identities(found.store).new_once()
    typer.echo("open this on this machine; it works once, for ten minutes:", err=True)
    typer.echo(f"{base.rstrip('/')}/login?once={token}")


def _is_usable(url: str) -> bool:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and host is not None and is_loopback(host) and port != 0
