"""Tables of text."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from callgate.text import visible

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


def table_lines(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """The rows in columns, without what cannot be seen."""
    # It takes time to import, and most commands print no table.
    from rich.cells import cell_len  # noqa: PLC0415

    shown = [[visible(cell) for cell in row] for row in rows]
    widths = [max(map(cell_len, column)) for column in zip(*shown, strict=True)]
    for row in shown:
        cells = (cell + " " * (width - cell_len(cell)) for cell, width in zip(row, widths, strict=True))
        yield "  ".join(cells).rstrip()


def print_table(rows: Sequence[Sequence[str]]) -> None:
    """Prints rows in columns."""
    for line in table_lines(rows):
        typer.echo(line)
