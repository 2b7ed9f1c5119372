"""`callgate grants create`."""

from datetime import datetime, timezone
from pathlib import Path
from typing import Annotated

import typer

from callgate.cli import tokens
from callgate.cli.examples import examples
from callgate.config.bundle import known_grants, policy_keys
from callgate.config.fields import format_instant, parse_instant
from callgate.config.grants import Grant
from callgate.config.load import load
from callgate.config.units import parse_duration
from callgate.text import quoted

_EXAMPLES = examples(
    "callgate grants create --config callgate.yaml --id alice --server aws --policy team --expires 90d"
)

app = typer.Typer(name="grants", help="Callers' tokens.", epilog=_EXAMPLES, no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def group() -> None:
    """Callers' tokens."""


@app.command(epilog=_EXAMPLES)
def create(
    config: Annotated[Path, typer.Option(metavar="FILE", help="The configuration that will contain the grant.")],
    id: Annotated[str, typer.Option(metavar="ID", help="Id of the grant in counters, logs and decisions.")],  # noqa: A002
    server: Annotated[str, typer.Option(help="The grant's server; a key of `servers`.")],
    policy: Annotated[str | None, typer.Option(metavar="KEY", help="The grant's policy; a key of `policies`.")] = None,
    label: Annotated[list[str] | None, typer.Option(metavar="NAME=VALUE", help="A label of the grant.")] = None,
    expires: Annotated[str | None, typer.Option(metavar="WHEN", help="Expiry time: `30d`, or RFC 3339.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Create a token: print it once, with the line for the configuration, which contains only its hash."""
    tokens.must_be_text("--id", id)
    loaded = load(config)
    tokens.must_be_known("--server", "server", server, loaded.config.servers)
    if policy is not None:
        known = policy_keys(loaded)
        if known is None:
            folder = loaded.config.policies_folder
            typer.echo(f"warning: there is no folder `{folder}` here, so the policy was not looked for", err=True)
        else:
            tokens.must_be_known("--policy", "policy", policy, known)
    for placed in known_grants(loaded):
        if placed.grant.id == id:
            where = placed.fault(placed.path, f"the grant {quoted(id)} exists already; choose another id")
            raise typer.BadParameter(str(where), param_hint="--id")
    labels = dict(tokens.label(text) for text in label or ())
    expires_at = None if expires is None else _moment(expires)
    if expires_at is not None and expires_at <= datetime.now(timezone.utc):
        message = f"{quoted(expires or '')} is over, so every call would be refused; expected a time to come"
        raise typer.BadParameter(message, param_hint="--expires")
    token, token_hash = tokens.new(loaded)
    grant = Grant(
        id=id,
        server=server,
        policy=policy,
        token_hash=token_hash,
        labels=labels,
        expires_at=expires_at,
    )
    tokens.tell(token, "grants", grant, as_json=as_json)


def _moment(text: str) -> datetime:
    try:
        return datetime.now(timezone.utc).replace(microsecond=0) + parse_duration(text)
    except (ValueError, OverflowError):
        pass
    try:
        return parse_instant(text)
    except ValueError:
        example = format_instant(datetime(2027, 1, 31, tzinfo=timezone.utc))
        message = f"{quoted(text)}: expected a duration such as `30d`, or a time such as `{example}`"
        raise typer.BadParameter(message, param_hint="--expires") from None
