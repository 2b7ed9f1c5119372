"""Mappings and lists in brackets: all of JSON, and parts of YAML."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from callgate.workbench.lsp.words import Cursor, Token, end_of_line, quoted_at

if TYPE_CHECKING:
    from callgate.config.document import KeyPath

MOST_DEPTH: Final = 64
"""Levels of a document that are read, as many as documents may have."""
_PLAIN: Final = re.compile(r"""[^\s,\[\]{}"'#:](?:[^,\[\]{}\n:#]|:(?![\s,\[\]{}]|$)|(?<!\s)#)*""")


class FlowReader:
    """Reads what is in brackets, up to the last closing one or to the cursor."""

    def __init__(self, text: str, stop: int, base: KeyPath, indent: int) -> None:
        """Takes the text, the offset of the cursor, and the path and indentation of the value that begins here."""
        self.tokens: list[Token] = []
        self.cursor: Cursor | None = None
        self._text = text
        self._stop = stop
        self._base = base
        self._indent = indent
        self._steps: list[str | int] = []
        self._awaits_key = True
        self._is_closed = False
        self._line_end = -1

    def run(self, at: int) -> int | None:
        """Reads on from the first bracket; gives the offset after the last, None at the end or at the cursor."""
        while at < len(self._text) and at < self._stop:
            following = self._step(at)
            if following is None or self._is_closed:
                return following
            at = following
        if self._stop <= at:
            self._put_cursor(self._stop)
        return None

    def _step(self, at: int) -> int | None:
        char = self._text[at]
        if char in "{[":
            return self._open(char, at)
        if char in "}]":
            return self._close(at)
        if char == "\n":
            self._is_closed = self._is_left(at + 1)
            return at if self._is_closed else at + 1
        if char == "#" and self._text[at - 1] in " \t\n":
            end = self._end_of_line(at)
            return None if self._stop <= end else end
        if char == ",":
            step = self._steps[-1]
            self._awaits_key = not isinstance(step, int)
            self._steps[-1] = step + 1 if isinstance(step, int) else ""
        return at + 1 if char in ", \t\r:" else self._word(at)

    def _open(self, char: str, at: int) -> int | None:
        if len(self._steps) + len(self._base) > MOST_DEPTH:
            return None
        self._awaits_key = char == "{"
        self._steps.append("" if self._awaits_key else 0)
        return at + 1

    def _close(self, at: int) -> int:
        self._steps.pop()
        self._awaits_key = False
        self._is_closed = not self._steps
        return at + 1

    def _is_left(self, at: int) -> bool:
        """True if a line of a block begins here, so that a closing bracket is missing."""
        if not self._base:
            return False
        text, first = self._text, at
        while first < len(text) and text[first] in " \t":
            first += 1
        return first < len(text) and text[first] not in "\r\n#}]" and first - at <= self._indent

    def _end_of_line(self, at: int) -> int:
        # Kept, because JSON on one line has many words.
        if at > self._line_end:
            self._line_end = end_of_line(self._text, at)
        return self._line_end

    def _word(self, at: int) -> int | None:
        end = self._end_of_line(at)
        quoted = quoted_at(self._text, at, end)
        if quoted is not None:
            stops, value = quoted
        else:
            found = _PLAIN.match(self._text, at, end)
            if found is None:
                return at + 1
            value = found.group().rstrip()
            stops = at + len(value)
        is_key = self._awaits_key
        if self._stop <= stops:
            self._put_cursor(at)
            return None
        if is_key:
            self._steps[-1] = value
            self._awaits_key = False
        self.tokens.append(Token(self._path(), is_key=is_key, start=at, end=stops, text=value))
        return stops

    def _path(self) -> KeyPath:
        return (*self._base, *self._steps)

    def _put_cursor(self, start: int) -> None:
        path = self._path()
        self.cursor = Cursor(path[:-1] if self._awaits_key else path, self._awaits_key, start, is_flow=True)
