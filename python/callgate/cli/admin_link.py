"""`callgate admin link`."""

from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import typer

from callgate.cli.running import running
from callgate.cli.stores import StoreConfig, StoreState, opened
from callgate.config.address import is_loopback
from callgate.config.load import load
from callgate.control.port.routes import STATUS
from callgate.errors import ConfigError


def link(
    url: Annotated[
        str | None,
        typer.Option(
            "--url",
            metavar="URL",
            help="The admin port on loopback, if not that of the sidecar that runs, or of the configuration.",
        ),
    ] = None,
    state: StoreState = None,
    config: StoreConfig = None,
) -> None:
    """Print a one-time link to log in as this user, while there are no people; it works for ten minutes."""
    from callgate.identity.identities import Identities  # noqa: PLC0415  SQLAlchemy takes long to import

    base = _address(state, config) if url is None else url
    if not _is_usable(base):
        message = "expected http://HOST:PORT on loopback: over the network, people log in with their passwords"
        raise typer.BadParameter(message, param_hint="--url")
    with opened(state, config) as found:
        token = Identities(found.store).new_once()
    typer.echo("open this on this machine; it works once, for ten minutes:", err=True)
    typer.echo(f"{base.rstrip('/')}/login?once={token}")


def _address(state: Path | None, config: Path | None) -> str:
    """The admin port of the sidecar that runs with this state folder; without one, that of the configuration."""
    admin = load(config).config.admin
    try:
        listen = running(state, config).ask("GET", STATUS)["admin"]
    except ConfigError:
        listen = admin.listen
    return f"{'http' if admin.tls is None else 'https'}://{listen}"


def _is_usable(url: str) -> bool:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and host is not None and is_loopback(host) and port != 0
