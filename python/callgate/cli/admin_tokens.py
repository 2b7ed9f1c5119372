"""`callgate admin tokens`."""

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from callgate import clock
from callgate.approvals.times import instant
from callgate.cli.admin_store import Reason, made_or_opened, members, operator
from callgate.cli.entries import print_token
from callgate.cli.examples import examples
from callgate.cli.running import AsJson
from callgate.cli.stores import StoreConfig, StoreState, opened
from callgate.cli.table import print_table
from callgate.cli.tokens import moment
from callgate.errors import ConfigError

if TYPE_CHECKING:
    from callgate.store.store import Store
    from callgate.store.tokens import MachineToken

_CREATE = "callgate admin tokens create prometheus --role viewer --scope status --expires 90d"
_LIST = "callgate admin tokens list"
_REVOKE = "callgate admin tokens revoke ID --reason 'the laptop is lost'"

app = typer.Typer(
    name="tokens",
    help="Tokens of machines for the admin API. No machine answers approvals.",
    epilog=examples(_CREATE, _LIST, _REVOKE),
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.callback()
def group() -> None:
    """Tokens of machines for the admin API. No machine answers approvals."""


@app.command(
    epilog=examples(_CREATE, "callgate admin tokens create gitops --role policy_manager --scope policies --expires 30d")
)
def create(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The name in the admin audit.", show_default=False)],
    expires: Annotated[
        str, typer.Option("--expires", metavar="WHEN", help="The end: `30d`, or RFC 3339; at most a year away.")
    ],
    role: Annotated[
        list[str] | None, typer.Option("--role", metavar="ROLE", help="viewer, policy_manager or admin.")
    ] = None,
    scope: Annotated[
        list[str] | None,
        typer.Option("--scope", metavar="AREA", help="An area that it is limited to, such as `policies` or `status`."),
    ] = None,
    reason: Reason = "",
    state: StoreState = None,
    config: StoreConfig = None,
    as_json: AsJson = False,
) -> None:
    """Create a token, and print it once; the store holds only its digest."""
    from callgate.identity.identities import Identities  # noqa: PLC0415  SQLAlchemy takes long to import
    from callgate.store.people import Role  # noqa: PLC0415  as above
    from callgate.store.tokens import Scope  # noqa: PLC0415  as above

    if not role:
        raise typer.BadParameter("expected at least one: viewer, policy_manager or admin", param_hint="--role")
    roles = members("--role", "role", Role, role)
    scopes = None if scope is None else members("--scope", "area", Scope, scope)
    expires_us = int(moment("--expires", expires).timestamp() * 1_000_000)
    with made_or_opened(state, config) as store:
        try:
            stored, text = Identities(store).new_token(name, roles, scopes, expires_us, operator(), reason)
        except ValueError as error:
            raise ConfigError(str(error)) from None
    if as_json:
        typer.echo(json.dumps({"token": text, **_fields(stored)}, ensure_ascii=False))
        return
    print_token(text)
    typer.echo(f"id {stored.id}, expires {instant(stored.expires_us)}", err=True)


@app.command("list", epilog=examples(_LIST, f"{_LIST} --json"))
def list_command(state: StoreState = None, config: StoreConfig = None, as_json: AsJson = False) -> None:
    """Print all tokens, newest first, also those that have ended; never a token or its digest."""
    with opened(state, config) as found:
        tokens = _every(found.store)
    if as_json:
        typer.echo(json.dumps([_fields(token) for token in tokens], ensure_ascii=False))
        return
    if not tokens:
        typer.echo("there are no tokens", err=True)
    now = clock.now_us()
    print_table([_row(token, now) for token in tokens])


@app.command(epilog=examples(_REVOKE))
def revoke(
    token: Annotated[str, typer.Argument(metavar="ID", help="The id of the token, as `list` prints it.")],
    reason: Reason = "",
    state: StoreState = None,
    config: StoreConfig = None,
) -> None:
    """End a token for good, from its next request on."""
    with opened(state, config) as found:
        revoked = found.store.tokens.revoke(token, operator(), reason, clock.now_us())
    typer.echo(f"revoked: {revoked.name} ({revoked.id})")


def _every(store: "Store") -> list["MachineToken"]:
    page = store.tokens.page(size=1_000)
    tokens = list(page.items)
    while page.next_token is not None:
        page = store.tokens.page(size=1_000, token=page.next_token)
        tokens += page.items
    return tokens


def _row(token: "MachineToken", now: int) -> list[str]:
    roles = ", ".join(sorted(role.value for role in token.roles))
    scopes = "every area" if token.scopes is None else ", ".join(sorted(scope.value for scope in token.scopes))
    used = "never used" if token.used_us is None else f"used {instant(token.used_us)}"
    return [token.id, token.name, roles, scopes, _end(token, now), used]


def _end(token: "MachineToken", now: int) -> str:
    if token.revoked_us is not None:
        return f"revoked {instant(token.revoked_us)}"
    return f"{'expires' if token.is_valid(now) else 'expired'} {instant(token.expires_us)}"


def _fields(token: "MachineToken") -> dict[str, Any]:
    return {
        "id": token.id,
        "name": token.name,
        "roles": sorted(role.value for role in token.roles),
        "scopes": None if token.scopes is None else sorted(scope.value for scope in token.scopes),
        "made": instant(token.made_us),
        "made_by": token.made_by.name,
        "expires": instant(token.expires_us),
        "revoked": None if token.revoked_us is None else instant(token.revoked_us),
        "used": None if token.used_us is None else instant(token.used_us),
    }
