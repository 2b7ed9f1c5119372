"""`callgate admin link`."""

from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import typer

from callgate.cli.running import running
from callgate.cli.stores import StoreConfig, StoreState, opened
from callgate.config.address import host_of, is_loopback
from callgate.control.port.routes import STATUS
from callgate.errors import ConfigError


def link(
    url: Annotated[
        str | None,
        typer.Option("--url", metavar="URL", help="The admin port on loopback, if not that of the running sidecar."),
    ] = None,
    state: StoreState = None,
    config: StoreConfig = None,
) -> None:
    """Print a one-time link to log in as this user, while there are no people; it works for ten minutes."""
    from callgate.identity.identities import Identities  # noqa: PLC0415  SQLAlchemy takes long to import

    base = _of_sidecar(state, config) if url is None else url
    if not _is_usable(base):
        message = "expected http://HOST:PORT on loopback: over the network, people log in with their passwords"
        raise typer.BadParameter(message, param_hint="--url")
    with opened(state, config) as found:
        token = Identities(found.store).new_once()
    typer.echo("open this on this machine; it works once, for ten minutes:", err=True)
    typer.echo(f"{base.rstrip('/')}/login?once={token}")


def _of_sidecar(state: Path | None, config: Path | None) -> str:
    """The URL of the admin port of the running sidecar: another port may be somebody else's, who would get the link.

    Raises:
        ConfigError: None runs, or others than this machine reach its port.
    """
    document = running(state, config).ask("GET", STATUS)
    address = str(document["admin"])
    if not is_loopback(host_of(address)):
        message = (
            f"the sidecar's admin port `{address}` is not on loopback, and one-time links are for this machine alone; "
            "`callgate admin people add NAME --role admin` makes a person, who logs in with a password"
        )
        raise ConfigError(message)
    return f"{'https' if document.get('admin_tls') else 'http'}://{address}"


def _is_usable(url: str) -> bool:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and host is not None and is_loopback(host) and port != 0
