"""`callgate peps create`."""

from pathlib import Path
from typing import Annotated

import typer

from callgate.cli import tokens
from callgate.cli.examples import examples
from callgate.config.load import load
from callgate.config.peps import Pep
from callgate.text import quoted

_EXAMPLES = examples("callgate peps create --config callgate.yaml --name gateway")

app = typer.Typer(
    name="peps", help="Enforcement points.", epilog=_EXAMPLES, no_args_is_help=True, rich_markup_mode=None
)


@app.callback()
def group() -> None:
    """Enforcement points."""


@app.command(epilog=_EXAMPLES)
def create(
    config: Annotated[Path, typer.Option(metavar="FILE", help="The configuration that will contain the PEP.")],
    name: Annotated[str, typer.Option(help="Name of the PEP in logs.")],
    vouches: Annotated[
        bool, typer.Option("--vouches", help="It authenticates callers itself, and may name the grant by its id.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Create a token: print it once, with the line for the configuration, which contains only its hash."""
    tokens.must_be_text("--name", name)
    loaded = load(config)
    for index, pep in enumerate(loaded.config.peps or ()):
        if pep.name == name:
            where = loaded.fault(("peps", index), f"the PEP {quoted(name)} exists already; choose another name")
            raise typer.BadParameter(str(where), param_hint="--name")
    token, token_hash = tokens.new(loaded)
    tokens.tell(token, "peps", Pep(name=name, token_hash=token_hash, vouches=vouches), as_json=as_json)
