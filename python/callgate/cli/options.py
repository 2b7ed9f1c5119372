"""Options shared by several commands."""

from typing import Annotated

import typer

CountersPlace = Annotated[
    str | None,
    typer.Option("--counters", metavar="memory|file:PATH", help="Place of the counters; default: the state folder."),
]
