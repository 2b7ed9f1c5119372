"""Offsets in a text, and the positions of the protocol for them."""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final

from lsprotocol.types import Position, PositionEncodingKind, Range

if TYPE_CHECKING:
    from collections.abc import Sequence

_LINE_END: Final = re.compile(r"\r\n|\n|\r")
_BEYOND_UTF16: Final = 0xFFFF
_MARK: Final = "\ufeff"


@dataclass(frozen=True)
class Places:
    """The lines of a text, as the protocol counts them: characters in units of the encoding that the client chose."""

    text: str
    encoding: PositionEncodingKind | str = PositionEncodingKind.Utf16

    @cached_property
    def _starts(self) -> Sequence[int]:
        return [0, *(one.end() for one in _LINE_END.finditer(self.text))]

    def offset(self, position: Position) -> int:
        """The offset of a position; the nearest one that the text has."""
        if position.line >= len(self._starts):
            return len(self.text)
        start = self._starts[position.line]
        following = self._starts[position.line + 1] if position.line + 1 < len(self._starts) else len(self.text) + 1
        line = self.text[start : following - 1].rstrip("\r\n")
        units = 0
        for index, char in enumerate(line):
            if units >= position.character:
                return start + index
            units += self._units(char)
        return start + len(line)

    def position(self, offset: int) -> Position:
        """The position of an offset."""
        line = bisect_right(self._starts, offset) - 1
        return Position(line, sum(map(self._units, self.text[self._starts[line] : offset])))

    def range(self, start: int, end: int) -> Range:
        """The range between two offsets."""
        return Range(self.position(start), self.position(end))

    def offset_of(self, line: int, column: int) -> int:
        """The offset of a place in messages: line and column from 1, in characters without a byte order mark."""
        start = self._starts[min(line, len(self._starts)) - 1]
        return min(self._after_mark(start) + column - 1, len(self.text))

    def place(self, offset: int) -> tuple[int, int]:
        """Line and column, as in messages, of an offset."""
        line = bisect_right(self._starts, offset)
        return line, max(offset - self._after_mark(self._starts[line - 1]), 0) + 1

    def _after_mark(self, start: int) -> int:
        return 1 if start == 0 and self.text.startswith(_MARK) else start

    def _units(self, char: str) -> int:
        if self.encoding == PositionEncodingKind.Utf32:
            return 1
        if self.encoding == PositionEncodingKind.Utf8:
            return len(char.encode("utf-8", "surrogatepass"))
        return 2 if ord(char) > _BEYOND_UTF16 else 1
