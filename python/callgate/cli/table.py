"""Tables of text."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, TypeVar

import typer

from callgate.text import visible

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from callgate.store.place import Place

Row = TypeVar("Row")


def table_lines(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """The rows in columns, without invisible characters."""
    # It takes time to import, and most commands print no table.
    from rich.cells import cell_len  # noqa: PLC0415

    shown = [[visible(cell) for cell in row] for row in rows]
    widths = [max(map(cell_len, column)) for column in zip(*shown, strict=True)]
    for row in shown:
        cells = (cell + " " * (width - cell_len(cell)) for cell, width in zip(row, widths, strict=True))
        yield "  ".join(cells).rstrip()


def print_list(
    noun: str,
    found: Iterable[Row],
    limit: int,
    *,
    place: Place | str,
    table: tuple[Sequence[str], Callable[[Row], Sequence[str]]],
    document: Callable[[Row], object] | None,
) -> None:
    """Prints the first rows of a list, and says if there are more.

    Args:
        noun: The key of the rows in JSON.
        found: The rows.
        limit: Most rows that are printed.
        place: The store that was looked into, or the address of the admin port.
        table: The head of a table, and the cells of a row.
        document: Makes a row's JSON; None for a table.
    """
    rows = list(islice(found, limit + 1))
    shown, more = rows[:limit], len(rows) > limit
    if document is not None:
        from callgate.exact_json import write_json  # noqa: PLC0415  it takes long to import

        typer.echo(write_json({noun: [document(one) for one in shown], "is_complete": not more}))
        return
    if not shown:
        typer.echo(f"there are none in `{place}`", err=True)
        return
    head, cells = table
    print_table([head, *map(cells, shown)])
    if more:
        typer.echo(f"there are more than {limit}; --limit shows more", err=True)


def print_table(rows: Sequence[Sequence[str]]) -> None:
    """Prints rows in columns."""
    for line in table_lines(rows):
        typer.echo(line)
