"""`callgate diff`."""

from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Annotated, Final

import typer

from callgate.text import did_you_mean, quoted
from callgate.workbench.catalogue import read_catalogue
from callgate.workbench.diff import Comparison, compare_files, document, text_lines

EXAMPLES: Final = (
    "callgate diff old.yaml new.yaml",
    "callgate diff --fail-on wider --catalogue catalogue.json policies-main policies",
)


class FailOn(Enum):
    """A reason for exit code 1."""

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
            help="Exit code 1 for `wider`, `stricter`, `unknown` or `any` of them; several with commas, or repeated. "
            "`wider` and `stricter` also apply where they are not excluded.",
            show_default=False,
        ),
    ] = None,
    allow_unknown: Annotated[
        bool, typer.Option("--allow-unknown", help="With --fail-on: do not fail for what is not known.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Compare two policies: wider, stricter, both or same, with calls that show it."""
    words = set(_words(fail_on or []))
    if allow_unknown and not words:
        raise typer.BadParameter("--allow-unknown needs --fail-on")
    if allow_unknown and FailOn.UNKNOWN in words:
        raise typer.BadParameter("--allow-unknown does not go with `unknown` in --fail-on")
    found = compare_files(old, new, None if catalogue is None else read_catalogue(catalogue))
    if as_json:
        typer.echo(document(found))
    else:
        for line in text_lines(found):
            typer.echo(line)
    known = _known(found)
    for word in sorted(one.value for one in words - known):
        if any(word in one.maybe for one in found):
            said = "allowed by --allow-unknown" if allow_unknown else "--allow-unknown does not fail for it"
            typer.echo(f"`{word}` is not excluded ({said})", err=True)
    failing = known if allow_unknown else known | _not_excluded(found)
    raise typer.Exit(1 if words & failing else 0)


def _words(given: list[str]) -> Iterator[FailOn]:
    known = [one.value for one in FailOn]
    for word in (one.strip() for text in given for one in text.split(",")):
        if word not in known:
            message = f"unknown word {quoted(word)}{did_you_mean(word, known)}"
            raise typer.BadParameter(message, param_hint="--fail-on")
        yield FailOn(word)


def _known(found: list[Comparison]) -> set[FailOn]:
    """The words that apply to the differences."""
    directions = {FailOn(difference.direction) for one in found for difference in one.differences}
    return directions | {FailOn.ANY} if directions else directions


def _not_excluded(found: list[Comparison]) -> set[FailOn]:
    """The words that may apply, because a search was not complete."""
    if not any(one.unknown for one in found):
        return set()
    return {FailOn.UNKNOWN, FailOn.ANY, *(FailOn(word) for one in found for word in one.maybe)}
