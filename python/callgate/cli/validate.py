"""`callgate validate`."""

from enum import Enum
from pathlib import Path
from typing import Annotated, Final

import typer

from callgate.cli import render
from callgate.config.policies import Catalogue, read_catalogue
from callgate.control.review import Finding, review_catalogue, review_policies
from callgate.errors import ConfigError
from callgate.workbench.catalogue import read_catalogue as read_tools

EXAMPLES: Final = (
    "callgate validate policy.yaml",
    "callgate validate --catalogue catalogue.json --json policies",
    "callgate validate --deep --fix --dry-run policy.yaml",
    "callgate validate --explain CG121",
)


class FailOn(str, Enum):
    """The least severity of a finding that makes the exit code 1."""

    WARNING = "warning"
    INFO = "info"


def validate(
    paths: Annotated[
        list[Path] | None, typer.Argument(metavar="FILE", help="Policy files, or folders of them.", show_default=False)
    ] = None,
    catalogue: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Warn of tools that this catalogue does not have; in a folder, a file's stem is its server's name.",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON list of all findings.")] = False,
    is_deep: Annotated[
        bool,
        typer.Option(
            "--deep", help="Look for rules without effect, contradictions and leaks, each with a code and evidence."
        ),
    ] = False,
    fix: Annotated[
        bool, typer.Option("--fix", help="With --deep: remove what has no effect; no decision changes.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="With --fix: show the edits as a diff, and write nothing.")
    ] = False,
    is_verbose: Annotated[
        bool, typer.Option("--verbose", help="With --deep: show notes and questions without an answer.")
    ] = False,
    fail_on: Annotated[
        FailOn | None,
        typer.Option(help="Exit with code 1 if there is a finding of this severity.", show_default=False),
    ] = None,
    is_strict: Annotated[bool, typer.Option("--strict", help="Short for `--fail-on warning`.")] = False,
    explained: Annotated[
        str | None,
        typer.Option(
            "--explain", metavar="CODE", help="Print the meaning of a code, such as CG121, and do nothing else."
        ),
    ] = None,
) -> None:
    """Load policies and print every fault and warning; exit code 2 when one of them has a fault."""
    # Imported when used: the analysis is not needed for a plain validation.
    from callgate.cli import deep  # noqa: PLC0415  as above

    if explained is not None:
        deep.explain(explained)
        return
    if not paths:
        raise typer.BadParameter("missing FILE: a policy file, or a folder of them")
    for name, given, needed, is_there in (
        ("--fix", fix, "--deep", is_deep),
        ("--verbose", is_verbose, "--deep", is_deep),
        ("--dry-run", dry_run, "--fix", fix),
    ):
        if given and not is_there:
            raise typer.BadParameter(f"{name} needs {needed}")
    failing = FailOn.WARNING if is_strict and fail_on is None else fail_on
    known = None if catalogue is None else _read(catalogue)
    if is_deep:
        tools = None if catalogue is None else read_tools(catalogue)
        options = deep.Options(tools, known, is_verbose, as_json, fix, dry_run)
        raise typer.Exit(deep.run(paths, options, None if failing is None else failing.value))
    every = list[Finding]()
    for path in paths:
        found = list(review_policies(path, known))
        every += found
        if not as_json:
            render.findings(found, ok=str(path))
    if as_json:
        render.findings_as_json(every)
    code = render.code_of(every)
    raise typer.Exit(1 if not code and every and failing is not None else code)


def _read(path: Path) -> Catalogue:
    """The catalogue; one with a fault is refused, because no tool could be looked up in it."""
    faults = list(review_catalogue(path))
    known = read_catalogue(path)
    if faults or known is None:
        raise ConfigError("\n".join(map(str, faults)) or f"`{path}` is no catalogue")
    return known
