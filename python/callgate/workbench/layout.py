"""The layout of a YAML or JSON file: the offsets of its keys, values, lines and list items."""

from __future__ import annotations

import re
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Final

from callgate.config.document import Document, parse_document
from callgate.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from callgate.config.document import KeyPath

_DASH: Final = re.compile(r"([ \t]*)-([ \t]+|$)")
_BARE_DASH: Final = re.compile(r"[ \t]*-[ \t]*(#.*)?")
_BOM: Final = "\ufeff"


class UneditableError(ConfigError):
    """A file whose layout edits cannot keep."""


class DocumentText:
    """The text of a document, with the offsets of its keys and values."""

    def __init__(self, document: Document) -> None:
        """Takes a document; refuses one with lone carriage returns."""
        self.document = document
        self.text = document.text
        self.newline = "\r\n" if "\r\n" in self.text else "\n"
        if "\r" in self.text.replace("\r\n", ""):
            raise self.refusal()
        self._starts = [0, *accumulate(len(line) for line in lines_of(self.text))]

    def edited(self, wanted: dict[str, Any], *changes: tuple[int, int, str]) -> Document:
        """The document after replacements of spans, if it has the wanted value."""
        text = self.text
        for start, end, new in sorted(changes, reverse=True):
            text = text[:start] + new + text[end:]
        bom = _BOM if self.document.content.startswith(_BOM.encode()) else ""
        try:
            after = parse_document(self.document.file, (bom + text).encode())
        except ConfigError:
            raise self.refusal() from None
        if after.data != wanted:
            raise self.refusal()
        return after

    def refusal(self) -> UneditableError:
        """The error for a layout that cannot be kept."""
        return UneditableError(f"`{self.document.file}` is laid out in a way that this command cannot keep")

    def offset(self, path: KeyPath, *, of_key: bool = False) -> int:
        """The beginning of the value at a path, or of its key."""
        line, column = self.document.place(path, of_key=of_key)
        return self._starts[line - 1] + column - 1

    def at(self, offset: int) -> str:
        """The character there; a line break at the end of the text."""
        return self.text[offset : offset + 1] or "\n"

    def column(self, offset: int) -> int:
        """The number of characters before it on its line."""
        return offset - self.line_start(offset)

    def line_start(self, offset: int) -> int:
        """The beginning of the line of an offset."""
        return self.text.rfind("\n", 0, offset) + 1

    def line_end(self, offset: int) -> int:
        """The beginning of the next line, or the end of the text."""
        found = self.text.find("\n", offset)
        return len(self.text) if found < 0 else found + 1

    def before(self, offset: int) -> str:
        """The text before it on its line."""
        return self.text[self.line_start(offset) : offset]

    def lines_at(self, offset: int, lines: Sequence[str]) -> str:
        """Lines in the form in which they are inserted at the beginning of a line, or at the end of the text."""
        joined = "".join(f"{line}{self.newline}" for line in lines)
        is_open = offset == len(self.text) and self.text and not self.text.endswith("\n")
        return f"{self.newline}{joined.removesuffix(self.newline)}" if is_open else joined

    def is_flow(self, path: KeyPath) -> bool:
        """True if the value at a path, or one around it, is written in brackets."""
        return any(self._is_in_brackets(path[:length]) for length in range(len(path) + 1))

    def _is_in_brackets(self, path: KeyPath) -> bool:
        start, value = self.offset(path), value_at(self.document.data, path)
        # A list whose dashes are no deeper than its key begins, for the reader, where its first item does.
        is_at_its_item = isinstance(value, list) and value and self.offset((*path, 0)) == start
        return self.at(start) in "[{" and not is_at_its_item

    def is_quoted(self, path: KeyPath, *, of_key: bool = False) -> bool:
        """True if a text is in double quotes, or the first key of a section."""
        start = self.offset(path, of_key=of_key)
        return re.compile(r'[{\s]*"').match(self.text, start) is not None

    def colon(self, path: KeyPath) -> int:
        """The colon after the key at a path."""
        start = self.offset(path, of_key=True)
        return self.text.index(":", self._quoted_end(start) if self.at(start) in "\"'" else start)

    def step(self, path: KeyPath) -> str:
        """The indentation of lists below their key, as in the list around the section at a path."""
        if len(path) < 2 or self.is_flow(path[:-1]):  # noqa: PLR2004  a list and an index
            return "  "
        _, dash = self.dash(path[:-1], int(path[-1]))
        return " " * max(0, dash - self.column(self.offset(path[:-1], of_key=True)))

    def dash(self, items: KeyPath, index: int) -> tuple[int, int]:
        """The dash of an item of a list in lines: its offset and its column."""
        offset = self.offset((*items, index))
        before = self.before(offset)
        found = _DASH.fullmatch(before)
        if found is not None:
            return offset - len(before) + len(found[1]), len(found[1])
        start = self.line_start(offset)
        while not before.strip() or before.lstrip().startswith("#"):
            if start == 0:
                raise self.refusal()
            end, start = start, self.line_start(start - 1)
            before = self.text[start:end].rstrip("\r\n")
            if _BARE_DASH.fullmatch(before):
                column = before.index("-")
                return start + column, column
        raise self.refusal()

    def item_end(self, items: KeyPath, index: int, count: int, dash: int) -> int:
        """The end of an item of a list in lines: empty lines and comments of what follows are not part of it."""
        is_last = index + 1 == count
        limit = len(self.text) if is_last else self.line_start(self.dash(items, index + 1)[0])
        end = line = self.line_end(self.offset((*items, index)))
        while line < limit:
            following = self.line_end(line)
            content = self.text[line:following].rstrip("\r\n")
            indent = len(content) - len(content.lstrip())
            line = following
            if not content.strip():
                continue
            if indent <= dash:
                if content.lstrip().startswith("#"):
                    continue
                break
            end = following
        return end

    def member_end(self, path: KeyPath) -> int:
        """The end of a key with its value in lines: empty lines and comments of what follows are not part of it."""
        column = self.column(self.offset(path, of_key=True))
        is_list = isinstance(value_at(self.document.data, path), list)
        start = self.offset(path)
        is_inside = self.at(start) in "[{" and self.is_flow(path)
        end = line = self.line_end(self.flow_end(start) if is_inside else self.offset(path, of_key=True))
        while line < len(self.text):
            following = self.line_end(line)
            content = self.text[line:following].rstrip("\r\n")
            stripped = content.lstrip()
            indent = len(content) - len(stripped)
            line = following
            if not stripped:
                continue
            # A list may be as deep as its key.
            is_item = is_list and indent == column and _DASH.match(content) is not None
            if indent <= column and not is_item:
                if stripped.startswith("#"):
                    continue
                break
            end = following
        return end

    def end(self, path: KeyPath) -> int:
        """The end of the value at a path: one in brackets, or a text on one line."""
        start = self.offset(path)
        if self.at(start) in "[{":
            return self.flow_end(start)
        if self.at(start) in "\"'":
            return self._quoted_end(start)
        stop = re.compile(r"[ \t]+#|[\r\n]|[ \t]*[,\]}]" if self.is_flow(path[:-1]) else r"[ \t]+#|[\r\n]")
        found = stop.search(self.text, start)
        return start + len(self.text[start : found.start() if found else len(self.text)].rstrip())

    def flow_end(self, start: int) -> int:
        """The end of a value in brackets."""
        depth, at = 0, start
        while at < len(self.text):
            character = self.text[at]
            if character in "\"'" and self.text[at - 1] in " \t\r\n[{,:":
                at = self._quoted_end(at)
                continue
            if character == "#" and self.text[at - 1].isspace():
                at = self.line_end(at)
                continue
            depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(character, 0)
            at += 1
            if depth == 0:
                return at
        raise self.refusal()

    def comma(self, start: int) -> int | None:
        """The comma that follows, after nothing but white space and comments."""
        found = re.compile(r"(?:\s|(?<=\s)#[^\n]*)*,").match(self.text, start)
        return None if found is None else found.end() - 1

    def _quoted_end(self, start: int) -> int:
        form = r'"(?:[^"\\]|\\.)*"' if self.text[start] == '"' else r"'(?:[^']|'')*'"
        found = re.compile(form, re.DOTALL).match(self.text, start)
        if found is None:
            raise self.refusal()
        return found.end()


def lines_of(text: str) -> list[str]:
    """The lines with their ends; a carriage return belongs to its line."""
    return re.findall(r"[^\n]*\n|[^\n]+", text)


def value_at(data: Any, path: KeyPath) -> Any:  # noqa: ANN401  a document holds anything
    """The value at a path."""
    for step in path:
        data = data[step]
    return data
