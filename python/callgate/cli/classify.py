"""`callgate classify`."""

from enum import Enum
from pathlib import Path
from typing import Annotated, Final

import typer

from callgate.cli.finding_lines import finding_line
from callgate.cli.table import print_table
from callgate.exact_json import write_json
from callgate.text import visible
from callgate.workbench.classify.report import Report, report

EXAMPLES: Final = (
    "callgate classify catalogue.json",
    "callgate classify --write catalogue.json",
    "callgate classify --config callgate.yaml --format sarif catalogue.json",
)

_RANK: Final = {"note": 0, "warning": 1, "error": 2}


class Format(str, Enum):
    """The form of the output."""

    TABLE = "table"
    JSON = "json"
    SARIF = "sarif"


class Level(str, Enum):
    """The level of findings from which the command fails."""

    NOTE = "note"
    WARNING = "warning"
    ERROR = "error"
    NEVER = "never"


def classify(
    catalogue: Annotated[Path, typer.Argument(metavar="CATALOGUE", help="Catalogue of tools.")],
    policy: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Report tools that leak together among those that this policy admits.",
            show_default=False,
        ),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Report tools that leak together for each grant of this configuration.",
            show_default=False,
        ),
    ] = None,
    write: Annotated[
        bool, typer.Option("--write", help="Put the classification into the catalogue; people's corrections stay.")
    ] = False,
    form: Annotated[Format, typer.Option("--format", help="Form of the output.")] = Format.TABLE,
    fail_on: Annotated[
        Level, typer.Option(help="Exit with 1 if there is a finding of this level or above.")
    ] = Level.ERROR,
) -> None:
    """Classify the tools of a catalogue and find poisoned definitions; exit code 1 if one is found."""
    if policy is not None and config is not None:
        message = "give one of --policy and --config: both say which tools are called together"
        raise typer.BadParameter(message, param_hint="--policy")
    found = report(catalogue, policy, config)
    if write:
        # Before anything is printed: whoever reads it, such as `head`, may end early.
        is_new = found.write()
        typer.echo(f"{'wrote' if is_new else 'nothing new for'} {visible(str(catalogue))}", err=True)
    if form is Format.JSON:
        typer.echo(write_json(found.json()))
    elif form is Format.SARIF:
        import callgate._callgate as native  # noqa: PLC0415  the other forms need none of it
        from callgate.workbench.classify.sarif import sarif  # noqa: PLC0415  as above

        typer.echo(write_json(sarif(found.findings, found.document, native.version())))
    else:
        _table(found)
    if fail_on is not Level.NEVER and any(_RANK[one.level] >= _RANK[fail_on.value] for one in found.findings):
        raise typer.Exit(1)


def _table(found: Report) -> None:
    rows = [["server", "tool", "category", "risk", "confidence", "evidence"]]
    for server, tool in found.catalogue.tools():
        correction = found.catalogue.overrides.get(server, {}).get(tool.name)
        evidence = tool.evidence
        if correction is not None and correction.has_effect:
            evidence = f"corrected{f': {correction.reason}' if correction.reason else ''}"
        rows.append([server, tool.name, tool.category or "", tool.risk or "", f"{tool.confidence:.2f}", evidence])
    print_table(rows)
    for finding in found.findings:
        typer.echo(finding_line(finding, str(found.path), found.place(finding)))
    if found.grants is None:
        typer.echo("tools that leak together are not looked for without --policy or --config", err=True)
