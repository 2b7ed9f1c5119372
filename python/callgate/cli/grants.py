"""`callgate grants`."""

import json
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Annotated

import typer

from callgate.cli import entries, tokens
from callgate.cli.entries import AsJson, ConfigFile, Entry, Keep, Old, Write
from callgate.cli.examples import examples
from callgate.cli.table import print_table
from callgate.config.bundle import Placed, configured_grants, known_grants, policy_keys
from callgate.config.document import Document, read_document
from callgate.config.fields import format_instant
from callgate.config.grants import Grant, Owner
from callgate.config.load import Loaded, load
from callgate.config.tokens import tokens_of
from callgate.errors import ConfigError
from callgate.text import quoted

_CREATE = "callgate grants create --config callgate.yaml --id alice --server aws --policy team --expires 90d"
_LIST = "callgate grants list --config callgate.yaml"
_ROTATE = "callgate grants rotate --config callgate.yaml --id alice --keep 24h --write"
_REVOKE = "callgate grants revoke --config callgate.yaml --id alice --write"

app = typer.Typer(
    name="grants",
    help="Callers' tokens.",
    epilog=examples(_LIST, _CREATE, _ROTATE, _REVOKE),
    no_args_is_help=True,
    rich_markup_mode=None,
)

_Id = Annotated[str, typer.Option("--id", metavar="ID", help="Id of the grant.")]


@app.callback()
def group() -> None:
    """Callers' tokens."""


@app.command("list", epilog=examples(_LIST, f"{_LIST} --json"))
def list_command(config: ConfigFile, as_json: AsJson = False) -> None:
    """Print the grants: servers with policies, expiry, tokens with their ends, owner; never a hash."""
    grants = [placed.grant for placed in configured_grants(load(config))]
    if as_json:
        typer.echo(json.dumps([_fields(grant) for grant in grants], ensure_ascii=False))
        return
    if not grants:
        typer.echo("no grants are configured", err=True)
    now = datetime.now(timezone.utc)
    print_table([_row(grant, now) for grant in grants])


@app.command(
    epilog=examples(
        _CREATE,
        "callgate grants create --config callgate.yaml --id ci --servers aws=team --servers tickets=readonly --write",
    )
)
def create(
    config: Annotated[Path, typer.Option(metavar="FILE", help="The configuration that will contain the grant.")],
    id: Annotated[str, typer.Option(metavar="ID", help="Id of the grant in counters, logs and decisions.")],  # noqa: A002
    server: Annotated[str | None, typer.Option(help="The grant's server; a key of `servers`.")] = None,
    policy: Annotated[str | None, typer.Option(metavar="KEY", help="The grant's policy; a key of `policies`.")] = None,
    servers: Annotated[
        list[str] | None,
        typer.Option(metavar="SERVER=KEY", help="One of several servers with its policy, in place of --server."),
    ] = None,
    label: Annotated[list[str] | None, typer.Option(metavar="NAME=VALUE", help="A label of the grant.")] = None,
    owner: Annotated[
        tuple[str, str] | None,
        typer.Option(metavar="ISSUER SUBJECT", help="The person to whom the grant belongs.", show_default=False),
    ] = None,
    expires: Annotated[str | None, typer.Option(metavar="WHEN", help="Expiry time: `30d`, or RFC 3339.")] = None,
    write: Annotated[bool, typer.Option("--write", help="Add the grant to the file.")] = False,
    as_json: AsJson = False,
) -> None:
    """Create a token: print it once, with the line for the configuration, which contains only its hash."""
    tokens.must_be_text("--id", id)
    loaded = load(config)
    places = dict(tokens.assignment("--servers", text, "SERVER=KEY") for text in servers or ())
    _must_be_placed(loaded, server, policy, places)
    for placed in known_grants(loaded):
        if placed.grant.id == id:
            where = placed.fault(placed.path, f"the grant {quoted(id)} exists already; choose another id")
            raise typer.BadParameter(str(where), param_hint="--id")
    labels = dict(tokens.assignment("--label", text, "NAME=VALUE") for text in label or ())
    expires_at = None if expires is None else tokens.moment("--expires", expires)
    if expires_at is not None and expires_at <= datetime.now(timezone.utc):
        message = f"{quoted(expires or '')} is over, so every call would be refused; expected a time to come"
        raise typer.BadParameter(message, param_hint="--expires")
    owned_by = None if owner is None else tokens.valid("--owner", Owner, issuer=owner[0], subject=owner[1])
    document = _document_for(loaded) if write else None
    token, token_hash = tokens.new(loaded)
    grant = Grant(
        id=id,
        server=server,
        policy=policy,
        servers=places,
        token_hash=token_hash,
        labels=labels,
        owner=owned_by,
        expires_at=expires_at,
    )
    if document is None:
        tokens.tell(token, "grants", grant, as_json=as_json)
    else:
        fields = grant.model_dump(mode="json", exclude_defaults=True)
        entries.create(document, "grants", fields, token, as_json=as_json)


@app.command(epilog=examples(_ROTATE, "callgate grants rotate --config callgate.yaml --id alice --keep 0s"))
def rotate(
    config: ConfigFile,
    grant: _Id,
    keep: Keep = "24h",
    write: Write = False,
    as_json: AsJson = False,
) -> None:
    """Give a grant a new token: print it once, and let the old one work for a time."""
    loaded = load(config)
    entries.rotate(loaded, _found(loaded, grant), keep, write=write, as_json=as_json)


@app.command(epilog=examples(_REVOKE, "callgate grants revoke --config callgate.yaml --id alice --old --write"))
def revoke(
    config: ConfigFile,
    grant: _Id,
    old: Old = False,
    write: Write = False,
    as_json: AsJson = False,
) -> None:
    """Take a grant out of the configuration, or its old token alone."""
    loaded = load(config)
    entry = _found(loaded, grant)
    if not old and loaded.config.gateway.oauth is not None:
        message = (
            f"warning: a caller whom an issuer names {quoted(grant)} then falls under the server's own policy; to "
            "refuse that caller, keep the grant and write `revoked: true`"
        )
        typer.echo(message, err=True)
    entries.revoke(entry, old=old, write=write, as_json=as_json)


def _found(loaded: Loaded, name: str) -> Entry:
    grants = [_entry(placed) for placed in configured_grants(loaded)]
    return entries.found(grants, name, noun="grant", option="--id")


def _entry(placed: Placed) -> Entry:
    held = tokens_of(placed.grant)
    return Entry("grant", "grants", placed.grant.id, "--id", held, placed.path, placed.document, placed.fault)


def _must_be_placed(loaded: Loaded, server: str | None, policy: str | None, places: Mapping[str, str]) -> None:
    """Refuses servers and policies that do not exist, and a grant without a server."""
    if places and (server is not None or policy is not None):
        other = "--server" if server is not None else "--policy"
        raise typer.BadParameter("--servers gives each server its policy, so it excludes this", param_hint=other)
    if server is None and not places:
        raise typer.BadParameter("expected the grant's server, or --servers for several", param_hint="--server")
    known = policy_keys(loaded)
    if known is None and (policy is not None or places):
        folder = loaded.config.policies_folder
        typer.echo(f"warning: there is no folder `{folder}` here, so the policy was not looked for", err=True)
    pairs = [("--servers", name, key) for name, key in places.items()]
    for option, name, key in [*pairs, *([] if server is None else [("--server", server, policy)])]:
        tokens.must_be_known(option, "server", name, loaded.config.servers)
        if key is not None and known is not None:
            tokens.must_be_known("--policy" if server else option, "policy", key, known)


def _document_for(loaded: Loaded) -> Document:
    """The file to which a new grant is added.

    Raises:
        ConfigError: There is none, or there are several.
    """
    config, document = loaded.config, loaded.document
    if document is None or (loaded.origin(("grants",)) != "default" and loaded.document_of(("grants",)) is None):
        message = "`grants` does not come from the file; add the grant where it is set, without --write"
        raise ConfigError(message)
    if config.grants is not None or config.grants_file is None:
        return document
    if config.grants_file.is_dir():
        message = (
            f"`{config.grants_file}` is a folder, and the grant may belong to any of its files; run the command "
            "without --write, and add the line that it prints to one of them"
        )
        raise ConfigError(message)
    return read_document(config.grants_file)


def _row(grant: Grant, now: datetime) -> list[str]:
    places = ", ".join(f"{server}: {policy or '(no policy)'}" for server, policy in grant.places().items())
    owner = "" if grant.owner is None else f"{grant.owner.subject} at {grant.owner.issuer}"
    return [grant.id, places, _expiry(grant, now), entries.told_tokens(tokens_of(grant), now), owner]


def _expiry(grant: Grant, now: datetime) -> str:
    if grant.revoked:
        return "revoked"
    if grant.expires_at is None:
        return "no expiry"
    return f"{'expired' if grant.expires_at <= now else 'expires'} {format_instant(grant.expires_at)}"


def _fields(grant: Grant) -> dict[str, object]:
    return {
        "id": grant.id,
        "servers": dict(grant.places()),
        "labels": grant.labels,
        "owner": None if grant.owner is None else grant.owner.model_dump(),
        "expires_at": None if grant.expires_at is None else format_instant(grant.expires_at),
        "revoked": grant.revoked,
        "tokens": entries.tokens_as_json(tokens_of(grant)),
    }
