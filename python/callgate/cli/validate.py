"""`callgate validate`."""

from pathlib import Path
from typing import Annotated, Final

import typer

from callgate.cli import render
from callgate.config.policies import Catalogue, read_catalogue
from callgate.control.review import Finding, review_catalogue, review_policies
from callgate.errors import ConfigError

EXAMPLES: Final = (
    "callgate validate policy.yaml",
    "callgate validate --catalogue catalogue.json --json policies",
)


def validate(
    paths: Annotated[list[Path], typer.Argument(metavar="FILE", help="Policy files, or folders of them.")],
    catalogue: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Warn of tools that this catalogue does not have; in a folder, a file's stem is its server's name.",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON list of all findings.")] = False,
) -> None:
    """Load policies and print every fault and warning; exit code 2 when one of them has a fault."""
    known = None if catalogue is None else _read(catalogue)
    every = list[Finding]()
    for path in paths:
        found = list(review_policies(path, known))
        every += found
        if not as_json:
            render.findings(found, ok=str(path))
    if as_json:
        render.findings_as_json(every)
    raise typer.Exit(render.code_of(every))


def _read(path: Path) -> Catalogue:
    """The catalogue; one with a fault is refused, because no tool could be looked up in it."""
    faults = list(review_catalogue(path))
    known = read_catalogue(path)
    if faults or known is None:
        raise ConfigError("\n".join(map(str, faults)) or f"`{path}` is no catalogue")
    return known
