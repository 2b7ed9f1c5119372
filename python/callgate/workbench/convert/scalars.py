"""Scalars as they are written: other readers of YAML take `010`, `yes` or `5` for something else than ours."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from callgate.config.document import KeyPath, Positions

# What ends a line in YAML 1.1, whose lines the places of a YAML document count.
_BREAK: Final = re.compile("\r\n|[\n\r\x85\u2028\u2029]")
_NUMBER_OR_WORD: Final = re.compile(r"[-+.\w]+")


class Written:
    """Looks up what stands in a file."""

    def __init__(self, source: Positions) -> None:
        """Takes the file."""
        self._source = source
        self._lines = source.text.split("\n") if source.file.endswith(".json") else _BREAK.split(source.text)

    def number_or_word(self, path: KeyPath) -> str:
        """The characters of a number or a single word; empty where something else stands there, such as a quote."""
        line, column = self._source.place(path)
        found = _NUMBER_OR_WORD.match(self._lines[line - 1], column - 1)
        return found[0] if found else ""
