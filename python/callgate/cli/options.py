"""Options shared by several commands."""

from typing import Annotated

import typer

CountersPlace = Annotated[
    str | None,
    typer.Option(
        "--counters", metavar="memory|file:PATH", help="Where counts are kept; in the state folder if not given."
    ),
]
