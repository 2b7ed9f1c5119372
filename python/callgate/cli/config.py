"""`callgate config check` and `callgate config show`."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from callgate.cli import render
from callgate.cli.examples import examples
from callgate.config.load import load
from callgate.config.origins import effective
from callgate.control.review import review_configuration

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
    found = review_configuration(file)
    if as_json:
        render.findings_as_json(found)
    else:
        render.findings(found, ok=str(file))
    raise typer.Exit(render.code_of(found))


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
