"""Small changes of YAML and JSON files that leave every other character as it is.

A change is made in the text, at the places that callgate's own reader gives. The reader then reads the result again: if
that is not the intended value, the change is refused. So a layout that these functions do not understand is never
damaged.
"""

from __future__ import annotations

import copy
import difflib
import json
import re
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Final

from callgate.config.document import Document, parse_document
from callgate.config.fields import parse_instant
from callgate.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from callgate.config.document import KeyPath

_DASH: Final = re.compile(r"([ \t]*)-([ \t]+|$)")
_BARE_DASH: Final = re.compile(r"[ \t]*-[ \t]*(#.*)?")
_NOTHING: Final = re.compile(r"[ \t]*(#.*)?")
_WORD: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
_HASH: Final = re.compile(r"[0-9a-f]{64}")
_RESERVED: Final = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n"})
_BOM: Final = "\ufeff"


class UneditableError(ConfigError):
    """A file whose layout these functions cannot keep."""


def append_item(document: Document, path: KeyPath, item: Mapping[str, Any]) -> Document:
    """Adds an item to the end of a list, in the layout of the item before it.

    Raises:
        UneditableError: The layout cannot be kept.
    """
    text = _Text(document)
    wanted = copy.deepcopy(document.data)
    items = _at(wanted, path)
    count = len(items)
    items.append(dict(item))
    if count == 0 and not text.is_flow(path[:-1]):
        return text.edited(wanted, *_first_line(text, path, item))
    if text.is_flow(path):
        return text.edited(wanted, *_flow_append(text, path, count, item))
    start, dash = text.dash(path, count - 1)
    end = text.item_end(path, count - 1, count, dash)
    indent = " " * dash
    last = text.offset((*path, count - 1))
    if text.is_flow((*path, count - 1)):
        lines = [f"{indent}- {_flow(item, quote=text.is_quoted((*path, count - 1)))}"]
    else:
        # The dash may be alone on its line.
        same_line = text.text.find("\n", start, last) < 0
        gap = text.column(last) - dash - 1 if same_line else 1
        lines = _block(item, " " * dash + "-" + " " * gap, " " * (dash + 1 + gap))
    return text.edited(wanted, (end, end, text.lines_at(end, lines)))


def add_list(document: Document, key: str, item: Mapping[str, Any]) -> Document:
    """Adds a list of one item under a new key at the top.

    Raises:
        UneditableError: The layout cannot be kept.
    """
    text = _Text(document)
    wanted = {**document.data, key: [dict(item)]}
    if text.at(text.offset(())) != "{":
        end = len(text.text)
        lines = [f"{key}:", *_block(item, "  - ", "    ")]
        return text.edited(wanted, (end, end, text.lines_at(end, lines)))
    last = list(document.data)[-1]
    end = text.end((last,))
    start = text.offset((last,), of_key=True)
    before = text.before(start)
    between = f"{text.newline}{before}" if not before.strip() else " "
    return text.edited(wanted, (end, end, f",{between}{json.dumps(key)}: [{_flow(item, quote=True)}]"))


def remove_item(document: Document, path: KeyPath) -> Document:
    """Takes an item out of a list, with the comments inside it; comments before and after it stay.

    Raises:
        UneditableError: The layout cannot be kept.
    """
    text = _Text(document)
    *parent, index = path
    items = tuple(parent)
    wanted = copy.deepcopy(document.data)
    rest = _at(wanted, items)
    count = len(rest)
    del rest[index]
    if text.is_flow(items):
        return text.edited(wanted, *_flow_remove(text, items, int(index), count))
    start, dash = text.dash(items, int(index))
    end = text.item_end(items, int(index), count, dash)
    removal = (text.line_start(start), end, "")
    if rest:
        return text.edited(wanted, removal)
    colon = text.colon(items)
    return text.edited(wanted, (colon + 1, colon + 1, " []"), removal)


def set_member(document: Document, path: KeyPath, key: str, value: str, *, after: str) -> Document:
    """Gives a key of a section a text as its value, in place of the one before; a new key comes after another key.

    Raises:
        UneditableError: The layout cannot be kept.
    """
    text = _Text(document)
    wanted = copy.deepcopy(document.data)
    section = _at(wanted, path)
    is_new = key not in section
    section[key] = value
    if not is_new:
        start, end = text.offset((*path, key)), text.end((*path, key))
        return text.edited(wanted, (start, end, _scalar(value, quote=text.is_quoted((*path, key)))))
    quote, end = text.is_quoted((*path, after), of_key=True), text.end((*path, after))
    if text.is_flow(path):
        return text.edited(wanted, (end, end, f", {_member(key, value, quote=quote)}"))
    column = text.column(text.offset((*path, after), of_key=True))
    line = text.line_end(end)
    return text.edited(wanted, (line, line, text.lines_at(line, [" " * column + _member(key, value, quote=quote)])))


def into_list(document: Document, path: KeyPath, key: str, names: tuple[str, str], until: str) -> Document:
    """Replaces `key: VALUE` in a section by a list with one section, `LIST: [{NAME: VALUE, until: UNTIL}]`.

    The value stays where it is, with the comment after it.

    Args:
        document: The file.
        path: The section.
        key: The key that is replaced.
        names: The key of the list, and the key of the value in it.
        until: The value of `until`.

    Raises:
        UneditableError: The layout cannot be kept.
    """
    text = _Text(document)
    wanted = copy.deepcopy(document.data)
    section = _at(wanted, path)
    list_name, name = names
    section[list_name] = [{name: section.pop(key), "until": until}]
    key_start, start, end = text.offset((*path, key), of_key=True), text.offset((*path, key)), text.end((*path, key))
    quote = text.is_quoted((*path, key), of_key=True)
    if text.is_flow(path):
        opened = f"{_name(list_name, quote=quote)}: [{{{_name(name, quote=quote)}: "
        return text.edited(
            wanted, (key_start, start, opened), (end, end, f", {_member('until', until, quote=quote)}}}]")
        )
    inner = " " * text.column(key_start) + text.step(path)
    opened = f"{list_name}:{text.newline}{inner}- {name}: "
    line = text.line_end(end)
    added = text.lines_at(line, [f"{inner}  {_member('until', until, quote=False)}"])
    return text.edited(wanted, (key_start, start, opened), (line, line, added))


def diff(before: Document, after: Document) -> str:
    """The change as a unified diff."""
    one, other = (_split(document.text) for document in (before, after))
    lines = difflib.unified_diff(one, other, before.file, after.file)
    return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)


def _split(text: str) -> list[str]:
    """The lines with their ends; a carriage return belongs to its line."""
    return re.findall(r"[^\n]*\n|[^\n]+", text)


class _Text:
    """The text of a document, with the offsets of its keys and values."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.text = document.text
        self.newline = "\r\n" if "\r\n" in self.text else "\n"
        if "\r" in self.text.replace("\r\n", ""):
            raise self.refusal()
        self._starts = [0, *accumulate(len(line) for line in _split(self.text))]

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
        start, value = self.offset(path), _at(self.document.data, path)
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


def _first_line(text: _Text, path: KeyPath, item: Mapping[str, Any]) -> list[tuple[int, int, str]]:
    """Turns `key: []` into a list in lines."""
    colon, end = text.colon(path), text.end(path)
    indent = " " * (text.column(text.offset(path, of_key=True)) + 2)
    line = text.line_end(end)
    added = text.lines_at(line, _block(item, f"{indent}- ", f"{indent}  "))
    return [(colon + 1, end, ""), (line, line, added)]


def _flow_append(text: _Text, path: KeyPath, count: int, item: Mapping[str, Any]) -> list[tuple[int, int, str]]:
    if count == 0:
        inside = text.offset(path) + 1
        return [(inside, inside, _flow(item, quote=_is_json(text)))]
    last = (*path, count - 1)
    begin, end = text.offset(last), text.end(last)
    written = _flow(item, quote=text.is_quoted(last) or _is_json(text))
    before = text.before(begin)
    if before.strip():
        return [(end, end, f", {written}")]
    if "\n" in text.text[begin:end] and _is_json(text):
        key = text.before(text.offset((*last, next(iter(_at(text.document.data, last)))), of_key=True))
        step = len(key) - len(before)
        written = json.dumps(item, ensure_ascii=False, indent=max(step, 1)).replace("\n", f"{text.newline}{before}")
    comma = text.comma(end)
    after = end if comma is None else comma + 1
    line = text.line_end(after)
    rest = text.text[after:line].rstrip("\r\n")
    if rest.strip() and _NOTHING.fullmatch(rest):
        # A comment belongs to the item before it.
        at = after + len(rest)
        changes = [(at, at, f"{text.newline}{before}{written}{'' if comma is None else ','}")]
        return changes if comma is not None else [(end, end, ","), *changes]
    return [(end, end, f",{text.newline}{before}{written}")]


def _flow_remove(text: _Text, items: KeyPath, index: int, count: int) -> list[tuple[int, int, str]]:
    start, end = text.offset((*items, index)), text.end((*items, index))
    changes = []
    comma = text.comma(end)
    if comma is not None:
        end = comma + 1
    elif index > 0:
        before = text.comma(text.end((*items, index - 1)))
        if before is None:
            raise text.refusal()
        changes.append((before, before + 1, ""))
    line = text.line_end(end)
    if not text.before(start).strip() and not text.text[end:line].strip():
        return [*changes, (text.line_start(start), line, "")]
    if comma is not None and index + 1 < count:
        end += len(text.text[end:]) - len(text.text[end:].lstrip(" \t"))
    elif changes:
        start -= len(text.before(start)) - len(text.before(start).rstrip(" \t"))
    return [*changes, (start, end, "")]


def _block(item: Mapping[str, Any], first: str, others: str) -> list[str]:
    """The lines of a section; nested values are in brackets."""
    lines = [_member(key, value, quote=False) for key, value in item.items()]
    return [f"{first if number == 0 else others}{line}" for number, line in enumerate(lines)]


def _member(key: str, value: object, *, quote: bool) -> str:
    return f"{_name(key, quote=quote)}: {_flow(value, quote=quote)}"


def _name(key: str, *, quote: bool) -> str:
    return _scalar(key, quote=quote)


def _flow(value: object, *, quote: bool) -> str:
    """A value in brackets; JSON if everything is quoted."""
    if quote:
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, dict):
        return f"{{{', '.join(_member(key, member, quote=False) for key, member in value.items())}}}"
    if isinstance(value, list):
        return f"[{', '.join(_flow(member, quote=False) for member in value)}]"
    return _scalar(value, quote=False) if isinstance(value, str) else json.dumps(value)


def _scalar(value: str, *, quote: bool) -> str:
    """A text, plain where YAML has no other meaning for it."""
    is_word = _WORD.fullmatch(value) and value.lower() not in _RESERVED and not _HASH.fullmatch(value)
    if not quote and (is_word or _is_instant(value)):
        return value
    return json.dumps(value, ensure_ascii=False)


def _is_instant(value: str) -> bool:
    try:
        parse_instant(value)
    except ValueError:
        return False
    return True


def _is_json(text: _Text) -> bool:
    return text.document.file.endswith(".json")


def _at(data: Any, path: KeyPath) -> Any:  # noqa: ANN401  a document holds anything
    for step in path:
        data = data[step]
    return data
