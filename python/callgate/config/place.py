"""Where something stands in a document."""

from __future__ import annotations

from typing import NamedTuple


class Place(NamedTuple):
    """Lines and columns, from 1."""

    key: tuple[int, int]
    """Of the key, where the value has one; else of the value."""
    value: tuple[int, int]


class Malformed(Exception):  # noqa: N818  reads as what it says about a document
    """A text is no document of its format."""

    def __init__(self, message: str, line: int, column: int) -> None:
        """Takes what is wrong, and where."""
        super().__init__(message)
        self.message = message
        self.line = line
        self.column = column
