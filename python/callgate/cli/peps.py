"""`callgate peps`."""

import json
from datetime import datetime, timezone
from pathlib import Path
from typing import Annotated

import typer

from callgate.cli import entries, tokens
from callgate.cli.entries import AsJson, ConfigFile, Entry, Keep, Old, Write
from callgate.cli.examples import examples
from callgate.cli.table import print_table
from callgate.config.load import Loaded, load
from callgate.config.peps import Pep
from callgate.config.tokens import tokens_of
from callgate.errors import ConfigError
from callgate.text import quoted

_CREATE = "callgate peps create --config callgate.yaml --name gateway"
_LIST = "callgate peps list --config callgate.yaml"
_ROTATE = "callgate peps rotate --config callgate.yaml --name gateway --keep 24h --write"
_REVOKE = "callgate peps revoke --config callgate.yaml --name gateway --write"

app = typer.Typer(
    name="peps",
    help="Enforcement points.",
    epilog=examples(_LIST, _CREATE, _ROTATE, _REVOKE),
    no_args_is_help=True,
    rich_markup_mode=None,
)

_Name = Annotated[str, typer.Option("--name", help="Name of the PEP.")]


@app.callback()
def group() -> None:
    """Enforcement points."""


@app.command("list", epilog=examples(_LIST, f"{_LIST} --json"))
def list_command(config: ConfigFile, as_json: AsJson = False) -> None:
    """Print the PEPs: tokens with their ends, certificates and users; never a hash."""
    peps = load(config).config.peps or []
    if as_json:
        typer.echo(json.dumps([_fields(pep) for pep in peps], ensure_ascii=False))
        return
    if not peps:
        typer.echo("no peps are configured", err=True)
    now = datetime.now(timezone.utc)
    print_table([_row(pep, now) for pep in peps])


@app.command(epilog=examples(_CREATE, f"{_CREATE} --vouches --write"))
def create(
    config: Annotated[Path, typer.Option(metavar="FILE", help="The configuration that will contain the PEP.")],
    name: Annotated[str, typer.Option(help="Name of the PEP in logs.")],
    vouches: Annotated[
        bool, typer.Option("--vouches", help="It authenticates callers itself, and may name the grant by its id.")
    ] = False,
    write: Annotated[bool, typer.Option("--write", help="Add the PEP to the file.")] = False,
    as_json: AsJson = False,
) -> None:
    """Create a token: print it once, with the line for the configuration, which contains only its hash."""
    tokens.must_be_text("--name", name)
    loaded = load(config)
    for index, pep in enumerate(loaded.config.peps or ()):
        if pep.name == name:
            where = loaded.fault(("peps", index), f"the PEP {quoted(name)} exists already; choose another name")
            raise typer.BadParameter(str(where), param_hint="--name")
    document = loaded.document
    if write and (
        document is None or (loaded.origin(("peps",)) != "default" and loaded.document_of(("peps",)) is None)
    ):
        message = "`peps` does not come from the file; add the PEP where it is set, without --write"
        raise ConfigError(message)
    token, token_hash = tokens.new(loaded)
    pep = Pep(name=name, token_hash=token_hash, vouches=vouches)
    if write and document is not None:
        entries.create(document, "peps", pep.model_dump(mode="json", exclude_defaults=True), token, as_json=as_json)
    else:
        tokens.tell(token, "peps", pep, as_json=as_json)


@app.command(epilog=examples(_ROTATE, "callgate peps rotate --config callgate.yaml --name gateway --keep 0s"))
def rotate(config: ConfigFile, name: _Name, keep: Keep = "24h", write: Write = False, as_json: AsJson = False) -> None:
    """Give a PEP a new token: print it once, and let the old one work for a time."""
    loaded = load(config)
    entries.rotate(loaded, _found(loaded, name), keep, write=write, as_json=as_json)


@app.command(epilog=examples(_REVOKE, "callgate peps revoke --config callgate.yaml --name gateway --old --write"))
def revoke(config: ConfigFile, name: _Name, old: Old = False, write: Write = False, as_json: AsJson = False) -> None:
    """Take a PEP out of the configuration, or its old token alone."""
    entries.revoke(_found(load(config), name), old=old, write=write, as_json=as_json)


def _found(loaded: Loaded, name: str) -> Entry:
    document = loaded.document_of(("peps",))
    peps = [
        Entry("PEP", "peps", pep.name, "--name", tokens_of(pep), ("peps", index), document, loaded.fault)
        for index, pep in enumerate(loaded.config.peps or ())
    ]
    return entries.found(peps, name, noun="PEP", option="--name")


def _row(pep: Pep, now: datetime) -> list[str]:
    proofs = [entries.told_tokens(tokens_of(pep), now)]
    proofs += [f"certificates {', '.join(pep.certificates)}"] if pep.certificates else []
    proofs += [f"users {', '.join(map(str, pep.uids))}"] if pep.uids else []
    return [pep.name, "vouches" if pep.vouches else "does not vouch", "; ".join(proofs)]


def _fields(pep: Pep) -> dict[str, object]:
    return {
        "name": pep.name,
        "vouches": pep.vouches,
        "certificates": pep.certificates,
        "uids": pep.uids,
        "tokens": entries.tokens_as_json(tokens_of(pep)),
    }
