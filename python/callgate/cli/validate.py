"""`callgate validate`."""

from pathlib import Path
from typing import Annotated, Final

import typer

from callgate.cli import render
from callgate.control.review import Finding, review_policies

EXAMPLES: Final = (
    "callgate validate policy.yaml",
    "callgate validate --json policies",
)


def validate(
    paths: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Policy files, or folders of them.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON list of all findings.")] = False,
) -> None:
    """Load policies and print every fault and warning; exit code 2 when one of them has a fault."""
    every = list[Finding]()
    for path in paths:
        found = list(review_policies(path))
        every += found
        if not as_json:
            render.findings(found, ok=str(path))
    if as_json:
        render.findings_as_json(every)
    raise typer.Exit(render.code_of(every))
