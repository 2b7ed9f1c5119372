"""The keys and values of a YAML or JSON document that may be unfinished, with their places.

The strict reader refuses a document while somebody types in it. This one takes any text and makes the best of it:
indentation and brackets say where a key or value belongs. Nothing is judged by it.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from callgate.workbench.lsp.flow import MOST_DEPTH, FlowReader
from callgate.workbench.lsp.words import Cursor, Token, end_of_line, quoted_at

if TYPE_CHECKING:
    from collections.abc import Sequence

    from callgate.config.document import KeyPath

_BLOCK_TEXT: Final = re.compile(r"[|>][-+0-9]*[ \t]*(#.*)?")
# Neither looks ahead over blanks: on a long run of them that takes quadratic time.
_KEY_END: Final = re.compile(r"(?P<comment>[ \t]#)|:(?=[ \t]|$)")
_COMMENT: Final = re.compile(r"[ \t]#")
_LONE_RETURN: Final = re.compile(r"\r(?!\n)")
_NO_PLAIN_KEY: Final = frozenset("-#[{]},&*!|>%@`")


@dataclass(frozen=True)
class _Frame:
    """A mapping or list that is open, and the member or item at which the reader is."""

    indent: int
    step: str | int
    is_list: bool
    has_value: bool = False
    """True if the value of the member or item has begun on its line."""


def read_tokens(text: str) -> list[Token]:
    """All keys and values, in order."""
    reader = _Reader(text, len(text) + 1)
    reader.run()
    return reader.tokens


def cursor_at(text: str, offset: int) -> Cursor | None:
    """The kind of text that may be typed at an offset; None within comments and block text."""
    reader = _Reader(text, offset)
    reader.run()
    return reader.cursor


def token_at(tokens: Sequence[Token], offset: int) -> Token | None:
    """The token that covers an offset or ends at it."""
    at = bisect_right(tokens, offset, key=lambda one: one.start) - 1
    return tokens[at] if at >= 0 and tokens[at].start <= offset <= tokens[at].end else None


class _Reader:
    """Reads a text up to an offset."""

    def __init__(self, text: str, stop: int) -> None:
        # YAML ends a line at a lone carriage return as well, and offsets stay.
        self.text = _LONE_RETURN.sub("\n", text)
        self.stop = stop
        self.tokens: list[Token] = []
        self.cursor: Cursor | None = None
        self._frames: list[_Frame] = []

    def run(self) -> None:
        at = 1 if self.text.startswith("\ufeff") else 0
        while at <= len(self.text) and len(self._frames) <= MOST_DEPTH:
            following = self._line(at)
            if following is None:
                return
            at = following

    def _path(self, frames: Sequence[_Frame] | None = None) -> KeyPath:
        return tuple(one.step for one in (self._frames if frames is None else frames))

    def _next_line(self, at: int) -> int:
        end = self.text.find("\n", at)
        return len(self.text) + 1 if end < 0 else end + 1

    def _skip_blanks(self, at: int, end: int) -> int:
        while at < end and self.text[at] in " \t":
            at += 1
        return at

    def _line(self, start: int) -> int | None:
        """Reads one line, and further ones within brackets; gives the beginning of the next, None at the end."""
        text, end = self.text, end_of_line(self.text, start)
        at = self._skip_blanks(start, end)
        if at >= self.stop or (at == end and self.stop <= end):
            # The cursor stands before the first character, or on an empty line.
            self._leave(self.stop - start)
            self._stop_at_key(self.stop, self.stop - start)
            return None
        if at == end or text.startswith(("---", "..."), start) or text[at] in "#%":
            return None if self.stop <= end else self._next_line(end)
        self._leave(at - start, is_item=_is_dash(text, at, end))
        while _is_dash(text, at, end):
            self._item(at - start)
            if len(self._frames) > MOST_DEPTH:
                return None
            at = self._skip_blanks(at + 1, end)
            if self.stop <= at or (at == end and self.stop <= end):
                self.cursor = Cursor(self._path(), is_key=True, start=self.stop, is_flow=False)
                return None
        if at == end or text[at] == "#":
            return None if self.stop <= end else self._next_line(end)
        return self._content(start, at, end)

    def _leave(self, indent: int, *, is_item: bool = False) -> None:
        """Closes what is indented more than this line."""
        frames = self._frames
        while frames and frames[-1].indent > indent:
            frames.pop()
        # A list may stand at the indentation of its key.
        if not is_item and len(frames) > 1 and frames[-1].is_list and frames[-2].indent == frames[-1].indent == indent:
            frames.pop()

    def _item(self, indent: int) -> None:
        frames = self._frames
        while frames and frames[-1].indent > indent:
            frames.pop()
        if frames and frames[-1].is_list and frames[-1].indent == indent:
            step = frames[-1].step
            frames[-1] = _Frame(indent, step + 1 if isinstance(step, int) else 0, is_list=True)
        else:
            frames.append(_Frame(indent, 0, is_list=True))

    def _content(self, start: int, at: int, end: int) -> int | None:
        """Reads a member, an item, or the beginning of one."""
        key = self._key(at, end)
        if key is not None and self.stop > key[0]:
            return self._member(start, at, end, key)
        if key is not None:
            self._stop_at_key(at, at - start)
            return None
        if self.text[at] in "{[":
            return self._flow(at, at - start, end)
        return self._lone(start, at, end)

    def _member(self, start: int, at: int, end: int, key: tuple[int, str, int]) -> int | None:
        """Reads a key and its value."""
        key_end, name, colon = key
        self._enter(at - start, name)
        self.tokens.append(Token(self._path(), is_key=True, start=at, end=key_end, text=name))
        value = self._skip_blanks(colon + 1, end)
        if self.stop <= value or (value == end and self.stop <= end):
            self.cursor = Cursor(self._path(), is_key=False, start=self.stop, is_flow=False)
            return None
        if value == end or self.text[value] == "#":
            return None if self.stop <= end else self._next_line(end)
        if self.text[value] in "{[":
            return self._flow(value, at - start, end)
        if _BLOCK_TEXT.fullmatch(self.text, value, end):
            return self._after_block_text(end, at - start)
        return self._scalar(value, end)

    def _key(self, at: int, end: int) -> tuple[int, str, int] | None:
        """The end of a key that begins here, its text, and its colon."""
        quoted = quoted_at(self.text, at, end)
        if quoted is not None:
            key_end, name = quoted
            colon = self._skip_blanks(key_end, end)
            is_key = colon < end and self.text[colon] == ":"
            return (key_end, name, colon) if is_key else None
        found = None if self.text[at] in _NO_PLAIN_KEY else _KEY_END.search(self.text, at, end)
        if found is None or found["comment"] or found.start() == at:
            return None
        name = self.text[at : found.start()].rstrip(" \t")
        return at + len(name), name, found.start()

    def _enter(self, indent: int, name: str) -> None:
        if self._frames and not self._frames[-1].is_list and self._frames[-1].indent == indent:
            self._frames[-1] = _Frame(indent, name, is_list=False)
        else:
            self._frames.append(_Frame(indent, name, is_list=False))

    def _stop_at_key(self, start: int, indent: int) -> None:
        """The cursor is where a key of the mapping with this indentation may be typed."""
        frames = self._frames
        is_member = bool(frames) and not frames[-1].is_list and frames[-1].indent == indent
        if frames and frames[-1].has_value and not is_member:
            # Deeper text would continue the value.
            self.cursor = None
            return
        self.cursor = Cursor(self._path(frames[:-1] if is_member else frames), is_key=True, start=start, is_flow=False)

    def _lone(self, start: int, at: int, end: int) -> int | None:
        """Reads an item of a list, or a word that may become a key."""
        is_item = bool(self._frames) and self._frames[-1].is_list and self._frames[-1].indent < at - start
        if is_item and self.text[start:at].strip(" \t") == "-" * self.text[start:at].count("-") != "":
            if self.stop <= end:
                self.cursor = Cursor(self._path(), is_key=True, start=at, is_flow=False)
                return None
            return self._scalar(at, end)
        if self.stop <= end:
            self._stop_at_key(at, at - start)
            return None
        return self._next_line(end)

    def _begin_value(self) -> None:
        if self._frames:
            self._frames[-1] = replace(self._frames[-1], has_value=True)

    def _scalar(self, at: int, end: int) -> int | None:
        self._begin_value()
        quoted = quoted_at(self.text, at, end)
        if quoted is not None:
            stops, value = quoted
        else:
            comment = _COMMENT.search(self.text, at, end)
            value = self.text[at : end if comment is None else comment.start()].rstrip(" \t")
            stops = at + len(value)
        self.tokens.append(Token(self._path(), is_key=False, start=at, end=stops, text=value))
        if self.stop <= end:
            if self.stop <= stops:
                self.cursor = Cursor(self._path(), is_key=False, start=at, is_flow=False)
            return None
        return self._next_line(end)

    def _after_block_text(self, end: int, indent: int) -> int | None:
        at = self._next_line(end)
        while at <= len(self.text):
            stops = end_of_line(self.text, at)
            first = self._skip_blanks(at, stops)
            if first < stops and first - at <= indent:
                break
            if self.stop <= stops and (first < stops or self.stop - at > indent):
                return None
            if self.stop <= stops:
                break
            at = self._next_line(stops)
        return None if self.stop <= end else at

    def _flow(self, at: int, indent: int, end: int) -> int | None:
        """Reads what is in brackets, and leaves out the rest of the line after them."""
        self._begin_value()
        flow = FlowReader(self.text, self.stop, self._path(), indent)
        stops = flow.run(at)
        self.tokens += flow.tokens
        self.cursor = flow.cursor
        if stops is None:
            return None
        end = end_of_line(self.text, stops)
        return None if self.stop <= end else self._next_line(end)


def _is_dash(text: str, at: int, end: int) -> bool:
    return at < end and text[at] == "-" and (at + 1 == end or text[at + 1] in " \t")
