"""`callgate config check` and `callgate config show`."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.text import Text

from callgate.cli import render
from callgate.cli.examples import examples
from callgate.config.load import load
from callgate.config.origins import effective
from callgate.config.store_place import store_place
from callgate.control.review import review_configuration

if TYPE_CHECKING:
    from collections.abc import Sequence

    from callgate.config.load import Loaded

app = typer.Typer(
    name="config",
    help="Check or print a configuration.",
    epilog=examples("callgate config check callgate.yaml", "callgate config show callgate.yaml"),
    no_args_is_help=True,
    rich_markup_mode=None,
)

File = Annotated[Path, typer.Argument(metavar="FILE", help="callgate.yaml, or JSON of the same shape.")]


@app.command(
    "check", epilog=examples("callgate config check callgate.yaml", "callgate config check --json callgate.yaml")
)
def check_command(
    file: File,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON list of all findings.")] = False,
) -> None:
    """Check a configuration and all files that it names; exit code 2 if `callgate serve` would refuse it."""
    found = review_configuration(file, _approver_groups)
    if as_json:
        render.findings_as_json(found)
    else:
        render.findings(found, ok=str(file))
    raise typer.Exit(render.code_of(found))


def _approver_groups(loaded: "Loaded") -> "Sequence[frozenset[str]] | None":
    """The groups of each approver in the store of a configuration, which is opened and not changed."""
    # SQLAlchemy takes long to import, and most configurations need none of it.
    from callgate.store.open import must_exist  # noqa: PLC0415
    from callgate.store.store import open_store  # noqa: PLC0415

    place = store_place(loaded)
    must_exist(place.path)
    store = open_store(place, migrate=False)
    try:
        return store.people.approver_groups()
    finally:
        store.close()


@app.command(epilog=examples("callgate config show callgate.yaml", "callgate config show --json callgate.yaml"))
def show(
    file: File,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Print the effective values from the file and the environment, with the origin of each; secrets are masked."""
    values = list(effective(load(file)))
    if as_json:
        document = {value.key: {"value": value.value, "origin": value.origin} for value in values}
        typer.echo(json.dumps(document, ensure_ascii=False, indent=2))
        return
    console = Console(highlight=False, soft_wrap=True)
    for value in values:
        text = json.dumps(value.value, ensure_ascii=False)
        console.print(Text.assemble((value.key, "bold"), f" = {text}", (f"  # {value.origin}", "dim")))
