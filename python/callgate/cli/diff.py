"""`callgate diff`."""

from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Annotated, Final

import typer

from callgate.text import did_you_mean, quoted
from callgate.workbench.catalogue import read_catalogue
from callgate.workbench.diff import Comparison, Verdict, compare_files, document, text_lines

EXAMPLES: Final = (
    "callgate diff old.yaml new.yaml",
    "callgate diff --fail-on wider,unknown --catalogue catalogue.json policies-main policies",
)


class FailOn(Enum):
    """What makes the command fail."""

    WIDER = "wider"
    STRICTER = "stricter"
    ANY = "any"
    UNKNOWN = "unknown"


def diff(
    old: Annotated[Path, typer.Argument(metavar="OLD", help="Policy file that is in force, or a folder of them.")],
    new: Annotated[Path, typer.Argument(metavar="NEW", help="Policy file, or folder, that is to take its place.")],
    catalogue: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Catalogue with categories, risks and input schemas of the tools."),
    ] = None,
    fail_on: Annotated[
        list[str] | None,
        typer.Option(
            metavar="WORDS",
            help="Exit code 1 for `wider`, `stricter`, `unknown` or `any` of them; several with commas, or repeated.",
            show_default=False,
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Compare two policies: wider, stricter, both or same, with calls that show it."""
    words = set(_words(fail_on or []))
    found = compare_files(old, new, None if catalogue is None else read_catalogue(catalogue))
    if as_json:
        typer.echo(document(found))
    else:
        for line in text_lines(found):
            typer.echo(line)
    failing = _failing(found)
    for word in sorted(one.value for one in words - failing):
        if any(word in one.maybe for one in found) and not {FailOn.UNKNOWN, FailOn.ANY} & words:
            typer.echo(f"`{word}` is not excluded; `--fail-on unknown` fails in this case, too", err=True)
    raise typer.Exit(1 if words & failing else 0)


def _words(given: list[str]) -> Iterator[FailOn]:
    known = [one.value for one in FailOn]
    for word in (one.strip() for text in given for one in text.split(",")):
        if word not in known:
            message = f"unknown word {quoted(word)}{did_you_mean(word, known)}"
            raise typer.BadParameter(message, param_hint="--fail-on")
        yield FailOn(word)


def _failing(found: list[Comparison]) -> set[FailOn]:
    """The words that apply to what was found."""
    failing = {FailOn(difference.direction) for one in found for difference in one.differences}
    if any(one.unknown for one in found):
        failing.add(FailOn.UNKNOWN)
    if any(one.verdict != Verdict.SAME for one in found):
        failing.add(FailOn.ANY)
    return failing
