"""Evidence on a terminal, and the question after it."""

from __future__ import annotations

import shutil
import sys
from typing import TYPE_CHECKING, Final

import typer
from rich.cells import get_character_cell_size

from callgate.approvals.sections import lines_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from callgate.approvals.sections import Section

CONTINUED: Final = "> "
"""The mark of a line that goes on: a terminal's own break would let a text look like a line of callgate's own."""
_NARROWEST: Final = 10


def print_sections(sections: Iterable[Section], *, err: bool = False) -> None:
    """Prints sections in full; on a terminal, what is longer than a line goes on behind a mark."""
    is_terminal = (sys.stderr if err else sys.stdout).isatty()
    width = shutil.get_terminal_size().columns if is_terminal else None
    for line in lines_of(sections):
        for part in [line] if width is None else broken(line, width):
            typer.echo(part, err=err)


def broken(line: str, width: int) -> Iterator[str]:
    """The parts of a line that fit a width; each after the first begins with a mark."""
    width = max(width, _NARROWEST)
    if len(line) <= width and line.isascii():
        yield line
        return
    part, used = "", 0
    for character in line:
        size = get_character_cell_size(character)
        if used + size > width:
            yield part
            part, used = CONTINUED, len(CONTINUED)
        part += character
        used += size
    yield part


def is_interactive(*, yes: bool) -> bool:
    """True if a person at a terminal can be asked, and did not say `--yes`."""
    return not yes and sys.stdin.isatty() and sys.stdout.isatty()


def confirm(question: str, *, err: bool) -> None:
    """Asks a question, and ends the command with exit code 1 unless the answer is yes."""
    if not typer.confirm(question, err=err):
        typer.echo("nothing was answered", err=True)
        raise typer.Exit(1)
