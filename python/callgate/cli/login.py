"""`callgate login`."""

from pathlib import Path
from typing import Annotated, Any, Final

import typer

from callgate.cli.remote.port import RemotePort, admin_address
from callgate.errors import CallgateError, ConfigError
from callgate.text import masked, quoted, reason_of, visible

EXAMPLES: Final = (
    "callgate login --admin https://callgate.example.com:9193",
    "callgate login --admin https://callgate.example.com:9193 --issuer https://login.example.com",
)


def login(
    admin: Annotated[str, typer.Option("--admin", metavar="URL", help="The admin port of the sidecar.")],
    issuer: Annotated[
        str | None, typer.Option("--issuer", metavar="URL", help="The issuer to log in at, if there are several.")
    ] = None,
    ca: Annotated[
        Path | None,
        typer.Option("--ca", metavar="FILE", help="PEM file of the authorities trusted for the admin port."),
    ] = None,
    issuer_ca: Annotated[
        Path | None, typer.Option("--issuer-ca", metavar="FILE", help="PEM file of those trusted for the issuer.")
    ] = None,
) -> None:
    """Log in at a sidecar's issuer with any browser; commands with --admin then act as you."""
    from callgate.cli.remote import device  # noqa: PLC0415  imported when it is used
    from callgate.cli.remote.saved import SavedSession, save  # noqa: PLC0415  likewise
    from callgate.identity.oidc.http import IssuerHttp  # noqa: PLC0415  likewise

    address = admin_address(admin)
    port = RemotePort(address, None if ca is None else ca.absolute())
    chosen = _chosen(port.get("/login/issuers").get("issuers"), issuer, address)
    http = IssuerHttp(None if issuer_ca is None else _authorities(issuer_ca))
    name, client = str(chosen["issuer"]), str(chosen["client_id"])
    begun = device.begin(http, name, client, [str(one) for one in chosen["scopes"]])
    typer.echo(f"open {visible(begun.url)} in a browser, and enter the code {begun.user_code}", err=True)
    if begun.full_url is not None:
        typer.echo(f"or open {visible(begun.full_url)}, and compare the code", err=True)
    token = device.wait(http, name, client, begun)
    given = port.post_form("/login/id-token", {"id_token": token})
    person = _person(given)
    ca_file = None if port.ca is None else str(port.ca)
    path = save(SavedSession(address, str(given.get("token")), person, str(given.get("expires")), ca_file))
    typer.echo(f"logged in as {visible(person)} until {visible(str(given.get('expires')))}, at most; kept in `{path}`")


def _chosen(listed: Any, wanted: str | None, address: str) -> dict[str, Any]:  # noqa: ANN401  JSON
    """The issuer to log in at."""
    found = [one for one in listed if _is_issuer(one)] if isinstance(listed, list) else []
    if not found:
        message = f"`{address}` has no issuer with a login for commands; its configuration names one as `admin.login`"
        raise CallgateError(message)
    names = [str(one["issuer"]) for one in found]
    if wanted is None and len(found) > 1:
        shown = ", ".join(map(quoted, names))
        raise typer.BadParameter(f"there are several; give one of {shown}", param_hint="--issuer")
    if wanted is not None and wanted not in names:
        shown = ", ".join(map(quoted, names))
        raise typer.BadParameter(f"expected one of {shown}, got {quoted(wanted)}", param_hint="--issuer")
    return next(one for one in found if wanted in {None, one["issuer"]})


def _is_issuer(document: Any) -> bool:  # noqa: ANN401  JSON
    if not isinstance(document, dict) or not isinstance(document.get("scopes"), list):
        return False
    return all(isinstance(document.get(name), str) for name in ("issuer", "client_id"))


def _person(given: dict[str, Any]) -> str:
    person = given.get("person")
    if not isinstance(person, dict) or not isinstance(given.get("token"), str):
        message = "the admin port gave no session; is it that of a callgate of this version?"
        raise CallgateError(message)
    named = f"{person.get('subject')} ({person.get('issuer')})"
    return f"{given['name']}, {named}" if given.get("name") else named


def _authorities(path: Path) -> bytes:
    from callgate.config.shared_keys import checked_authorities  # noqa: PLC0415  few runs need it

    try:
        return checked_authorities(path.read_bytes(), f"`{path}`")
    except OSError as error:
        message = f"cannot read `{masked(str(path))}`: {reason_of(error)}"
        raise ConfigError(message) from None
