"""Scalars as written, because other readers of YAML interpret `010`, `yes` or `5` differently."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from callgate.config.document import KeyPath, Positions

# Line endings of YAML 1.2, by which the positions in a YAML document are counted.
_BREAK: Final = re.compile("\r\n|[\n\r]")
_NUMBER_OR_WORD: Final = re.compile(r"[-+.\w]+")


class Written:
    """Finds the original text of values in a file."""

    def __init__(self, source: Positions) -> None:
        """Takes the file."""
        self._source = source
        self._lines = source.text.split("\n") if source.file.endswith(".json") else _BREAK.split(source.text)

    def number_or_word(self, path: KeyPath) -> str:
        """The characters of a number or a single word; empty for anything else, such as a quoted text."""
        line, column = self._source.place(path)
        found = _NUMBER_OR_WORD.match(self._lines[line - 1], column - 1)
        return found[0] if found else ""
