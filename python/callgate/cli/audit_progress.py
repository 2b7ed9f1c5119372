"""The progress of a verification on a terminal."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from callgate.text import visible

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_LEAST_BYTES: Final = 32 << 20
"""Smaller logs are read before anybody looks."""


@contextmanager
def progress_of(origin: str, total_bytes: int) -> Iterator[Callable[[int], None]]:
    """Shows how much of a log was read, if standard error is a terminal; gives the function that counts bytes."""
    if total_bytes < _LEAST_BYTES or not sys.stderr.isatty():
        yield lambda _bytes: None
        return
    from rich.console import Console  # noqa: PLC0415  few runs need it
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn  # noqa: PLC0415

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(visible(origin), total=total_bytes)
        yield lambda read: bar.advance(task, read)
