"""The exact numbers of a document: its reader gives those with a fraction or an exponent as the nearest float."""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from callgate.config.document import Document, KeyPath

_NUMBER: Final = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")


def exact_data(document: Document) -> dict[str, Any]:
    """The data of a document, in which every number that is not an integer is the `Decimal` that is written there."""
    lines: list[str] | None = None

    def number(value: float, path: KeyPath) -> Decimal:
        nonlocal lines
        if lines is None:
            # As the reader counts lines: no other character ends one.
            lines = re.split("\r\n|\n|\r", document.text)
        line, column = document.place(path)
        written = _NUMBER.match(lines[line - 1], column - 1) if line <= len(lines) else None
        try:
            found = Decimal(written[0]) if written is not None else None
        except InvalidOperation:
            found = None
        # The place of a value that is not written as a plain number gives another one.
        return found if found is not None and float(found) == value else Decimal(repr(value))

    def exact(value: Any, path: KeyPath) -> Any:  # noqa: ANN401  JSON
        if isinstance(value, float):
            return number(value, path)
        if isinstance(value, dict):
            return {key: exact(one, (*path, key)) for key, one in value.items()}
        if isinstance(value, list):
            return [exact(one, (*path, index)) for index, one in enumerate(value)]
        return value

    return {key: exact(value, (key,)) for key, value in document.data.items()}
