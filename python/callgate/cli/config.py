"""`callgate config check` and `callgate config show`."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

import callgate._callgate as native
from callgate.cli.examples import examples
from callgate.config.bundle import Bundle, read_bundle
from callgate.config.check import check, warnings
from callgate.config.load import load
from callgate.config.origins import effective
from callgate.control.sidecar import trial

app = typer.Typer(
    name="config",
    help="Check or print a configuration.",
    epilog=examples("callgate config check callgate.yaml", "callgate config show callgate.yaml"),
    no_args_is_help=True,
    rich_markup_mode=None,
)

File = Annotated[Path, typer.Argument(metavar="FILE", help="callgate.yaml, or JSON of the same shape.")]


@app.command("check", epilog=examples("callgate config check callgate.yaml"))
def check_command(file: File) -> None:
    """Check a configuration and all files that it names; exit code 2 if `callgate serve` would refuse it."""
    bundle = read_bundle(file)
    check(bundle)
    trial(bundle)
    for warning in warnings(bundle):
        typer.echo(f"warning: {warning}")
    for warning in _of_policies(bundle):
        typer.echo(warning)
    typer.echo(f"{file}: ok")


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


def _of_policies(bundle: Bundle) -> list[str]:
    return [
        f"{file}:{line}:{column}: warning: {message}"
        for name, _ in bundle.policies.values()
        for file, line, column, message in native.validate(name)
    ]
