"""Numbers that Intercept's reader of YAML understands differently."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from callgate.text import quoted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from callgate.config.document import KeyPath, Positions

# Line endings of YAML 1.2, by which the positions in a document are counted.
_BREAK: Final = re.compile("\r\n|[\n\r]")
_PLAIN: Final = re.compile(r"[-+.\w]+")
_OCTAL: Final = re.compile(r"[-+]?0[0-9]+")
_NUMBER_THERE: Final = re.compile(r"[-+]?0b[01_]+|[-+]?[0-9.]*_[0-9a-fA-FoxX_.]*")


class Written:
    """Finds numbers by their original text."""

    def __init__(self, source: Positions) -> None:
        """Takes the file."""
        self._source = source
        self._lines: list[str] | None = None

    def ambiguous(self, path: KeyPath, value: Any) -> Iterator[tuple[KeyPath, str]]:  # noqa: ANN401  of a document
        """The path of each such number in a value, and the reason; in JSON there is none."""
        if isinstance(value, (dict, list)):
            members = value.items() if isinstance(value, dict) else enumerate(value)
            for step, member in members:
                yield from self.ambiguous((*path, step), member)
        elif isinstance(value, int) and not isinstance(value, bool):
            if _OCTAL.fullmatch(text := self._text(path)):
                yield path, f"{quoted(text)} is octal in Intercept and decimal here; write it without leading zeros"
        elif isinstance(value, str) and _NUMBER_THERE.fullmatch(value) and self._text(path) == value:
            yield path, f"{quoted(value)} is a number in Intercept and a text here; quote it, or write digits alone"

    def _text(self, path: KeyPath) -> str:
        """The characters of a number or a word as they stand in the file; empty for a quoted text."""
        if self._source.file.endswith(".json"):
            return ""
        if self._lines is None:
            self._lines = _BREAK.split(self._source.text)
        line, column = self._source.place(path)
        found = _PLAIN.match(self._lines[line - 1], column - 1)
        return found[0] if found else ""
