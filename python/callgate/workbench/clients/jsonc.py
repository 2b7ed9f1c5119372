"""JSON as editors write it, with comments and trailing commas, and the place of each value.

callgate's own reader of JSON refuses both, because policies are no place for them.
"""

from __future__ import annotations

import json
import re
from typing import Final

from callgate.text import quoted
from callgate.workbench.clients.nodes import DEEPEST, Member, Node, fault

_BLANK: Final = re.compile(r"(?:[ \t\r\n]|//[^\r\n]*|/\*(?:[^*]|\*(?!/))*\*/)*")
_STRING: Final = re.compile(r'"(?:[^"\\\x00-\x1f]|\\.)*"')
_NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]{0,400})(?:\.[0-9]{1,400})?(?:[eE][+-]?[0-9]{1,4})?")
_WORDS: Final = {"true": True, "false": False, "null": None}


def parse_jsonc(file: str, text: str) -> Node:
    """The value of a text.

    Raises:
        InvalidConfigError: It is no JSON with comments, or a key stands twice in one object.
    """
    reader = _Reader(file, text)
    node = reader.value(reader.blank(0), 0)
    end = reader.blank(node.end)
    if end < len(text):
        raise fault(file, text, end, "expected the end of the file")
    return node


class _Reader:
    def __init__(self, file: str, text: str) -> None:
        self._file = file
        self._text = text

    def blank(self, at: int) -> int:
        """The end of white space and comments."""
        found = _BLANK.match(self._text, at)
        return at if found is None else found.end()

    def value(self, at: int, depth: int) -> Node:
        if depth > DEEPEST:
            raise self._fault(at, f"nested deeper than {DEEPEST} levels")
        first = self._text[at : at + 1]
        if first == "{":
            return self._object(at, depth)
        if first == "[":
            return self._list(at, depth)
        if first == '"':
            end = self._string_end(at)
            return Node(at, end, self._string(at, end))
        for word, value in _WORDS.items():
            if self._text.startswith(word, at):
                return Node(at, at + len(word), value)
        number = _NUMBER.match(self._text, at)
        if number is None:
            raise self._fault(at, "expected a value")
        return Node(at, number.end(), json.loads(number[0]))

    def _object(self, start: int, depth: int) -> Node:
        members: dict[str, Member] = {}
        at = self.blank(start + 1)
        while self._text[at : at + 1] != "}":
            if self._text[at : at + 1] != '"':
                raise self._fault(at, "expected a key in double quotes, or `}`")
            end = self._string_end(at)
            key = self._string(at, end)
            if key in members:
                raise self._fault(at, f"key {quoted(key)} appears twice in one object")
            colon = self.blank(end)
            if self._text[colon : colon + 1] != ":":
                raise self._fault(colon, "expected `:`")
            node = self.value(self.blank(colon + 1), depth + 1)
            members[key] = Member(at, at, node)
            at = self._next(node.end, "}")
        return Node(start, at + 1, members=members)

    def _list(self, start: int, depth: int) -> Node:
        items = list[Node]()
        at = self.blank(start + 1)
        while self._text[at : at + 1] != "]":
            items.append(self.value(at, depth + 1))
            at = self._next(items[-1].end, "]")
        return Node(start, at + 1, items=items)

    def _next(self, end: int, closing: str) -> int:
        """The beginning of the next element, or of the closing bracket."""
        at = self.blank(end)
        if self._text[at : at + 1] == ",":
            return self.blank(at + 1)
        if self._text[at : at + 1] != closing:
            raise self._fault(at, f"expected `,` or `{closing}`")
        return at

    def _string_end(self, at: int) -> int:
        found = _STRING.match(self._text, at)
        if found is None:
            raise self._fault(at, "a text has no end on its line")
        return found.end()

    def _string(self, start: int, end: int) -> str:
        try:
            value = json.loads(self._text[start:end])
        except ValueError:
            raise self._fault(start, "a text has an escape that JSON does not know") from None
        assert isinstance(value, str)  # noqa: S101  it begins with a quotation mark
        return value

    def _fault(self, at: int, message: str) -> Exception:
        return fault(self._file, self._text, at, message)
