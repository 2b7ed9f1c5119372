"""Positions in a document."""

from __future__ import annotations

from typing import NamedTuple


class Place(NamedTuple):
    """Lines and columns, from 1."""

    key: tuple[int, int]
    """Position of the key, if the value has one; else of the value."""
    value: tuple[int, int]


class Malformed(Exception):  # noqa: N818  reads as what it says about a document
    """A text is not a document of its format."""

    def __init__(self, message: str, line: int, column: int) -> None:
        """Takes the fault and its position."""
        super().__init__(message)
        self.message = message
        self.line = line
        self.column = column
