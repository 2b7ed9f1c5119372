"""Offsets in a text, and the positions of the protocol for them."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import TYPE_CHECKING, Final

from lsprotocol.types import Position, PositionEncodingKind, Range

if TYPE_CHECKING:
    from collections.abc import Sequence

_LINE_END: Final = re.compile(r"\r\n|\n|\r")
_BEYOND_ASCII: Final = re.compile(r"[^\x00-\x7f]")
_BEYOND_UTF16: Final = re.compile(r"[\U00010000-\U0010ffff]")
"""Characters that UTF-16 writes with two units."""
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
        end = start + len(self.text[start : following - 1].rstrip("\r\n"))
        offsets, units = range(start, end), self._units(start) + position.character
        return start + bisect_left(offsets, units, key=self._units)

    def position(self, offset: int) -> Position:
        """The position of an offset."""
        line = bisect_right(self._starts, offset) - 1
        return Position(line, self._units(offset) - self._units(self._starts[line]))

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

    def _units(self, offset: int) -> int:
        """The units of all characters before an offset."""
        offsets, further = self._wide
        return offset + further[bisect_left(offsets, offset)]

    @cached_property
    def _wide(self) -> tuple[Sequence[int], Sequence[int]]:
        """The offsets of the characters of several units, and how many units there are beyond one a character.

        They are counted once: a document on one line may have many places, each after most of the text.
        """
        if self.encoding == PositionEncodingKind.Utf32:
            return [], [0]
        is_utf8 = self.encoding == PositionEncodingKind.Utf8
        found = list((_BEYOND_ASCII if is_utf8 else _BEYOND_UTF16).finditer(self.text))
        more = [len(one[0].encode("utf-8", "surrogatepass")) - 1 if is_utf8 else 1 for one in found]
        return [one.start() for one in found], [0, *accumulate(more)]
