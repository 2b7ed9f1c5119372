"""TOML with the place of each value; the standard library's reader judges whether it is TOML at all."""

from __future__ import annotations

import re
import sys
from typing import Any, Final

from callgate.config.faults import Fault, InvalidConfigError
from callgate.text import quoted
from callgate.workbench.clients.nodes import DEEPEST, Member, Node, fault

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_SPACE: Final = re.compile(r"[ \t]*")
_BLANK: Final = re.compile(r"(?:[ \t\r\n]|#[^\r\n]*)*")
_BARE: Final = re.compile(r"[A-Za-z0-9_-]+")
_TOKEN: Final = re.compile(r"""(?P<word>[A-Za-z0-9_-]+|"[^"]*"|'[^']*')|(?P<dot>\.)|[ \t]+|(?P<end>.)""", re.DOTALL)
_STRINGS: Final = (
    re.compile(r'"""(?:[^\\]|\\.)*?"""(?:"{1,2}(?!"))?', re.DOTALL),
    re.compile(r"'''.*?'''(?:'{1,2}(?!'))?", re.DOTALL),
    re.compile(r'"(?:[^"\\\r\n]|\\.)*"'),
    re.compile(r"'[^'\r\n]*'"),
)
_PLAIN: Final = re.compile(r"[^\s,\]}#][^,\]}#\r\n]*")
"""Numbers, truth values and times, which no edit touches."""


def parse_toml(file: str, text: str) -> Node:
    """The value of a text.

    Raises:
        InvalidConfigError: It is no TOML, or is laid out in a way that this reader does not know.
    """
    for number, line in enumerate(text.split("\n")):
        if line.count(".") > DEEPEST and _has_long_key(line):
            # The standard library's reader takes memory by the square of the words of a key.
            message = f"a key has more than {DEEPEST} words"
            raise InvalidConfigError([Fault(message, file, number + 1, 1)])
    try:
        wanted = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise fault(file, text, 0, f"it is no TOML: {quoted(str(error))}") from None
    except RecursionError:
        raise fault(file, text, 0, f"nested deeper than {DEEPEST} levels") from None
    reader = _Reader(file, text)
    node = reader.document()
    if not _is_same(node, wanted):
        raise fault(file, text, 0, "it is laid out in a way that this command does not know")
    return node


def _has_long_key(line: str) -> bool:
    """True if a line has more words with dots between them than a key may have."""
    words, is_after_dot = 0, True
    for token in _TOKEN.finditer(line):
        if token["word"]:
            words = words + 1 if is_after_dot else 1
            is_after_dot = False
        elif token["dot"]:
            words, is_after_dot = (words, True) if not is_after_dot else (0, True)
        elif token["end"]:
            words, is_after_dot = 0, True
        if words > DEEPEST:
            return True
    return False


def _is_same(node: Node, wanted: Any) -> bool:  # noqa: ANN401  a configuration holds anything
    """True if a node has the value that the standard library reads; values that no edit touches are not compared."""
    if node.members is not None:
        return (
            isinstance(wanted, dict)
            and node.members.keys() == wanted.keys()
            and all(_is_same(member.node, wanted[key]) for key, member in node.members.items())
        )
    if node.items is not None:
        return (
            isinstance(wanted, list)
            and len(node.items) == len(wanted)
            and all(_is_same(item, one) for item, one in zip(node.items, wanted, strict=True))
        )
    return not isinstance(wanted, (dict, list)) and (not isinstance(wanted, str) or node.value == wanted)


class _Reader:
    def __init__(self, file: str, text: str) -> None:
        self._file = file
        self._text = text

    def document(self) -> Node:
        root = Node(0, len(self._text), members={})
        table = root
        at = self._blank(0)
        while at < len(self._text):
            if self._text[at] == "[":
                at, table = self._header(at, root)
            else:
                at = self._statement(at, table, 0, is_inline=False)
            at = self._blank(at)
        return root

    def _header(self, at: int, root: Node) -> tuple[int, Node]:
        is_list = self._text.startswith("[[", at)
        start = at
        words, at = self._key(at + (2 if is_list else 1))
        if not self._text.startswith("]]" if is_list else "]", at):
            raise self._fault(at, "expected the end of a table's name")
        at += 2 if is_list else 1
        *parents, (name, name_start) = words
        parent = self._table(root, parents, start)
        assert parent.members is not None  # noqa: S101  a table
        member = parent.members.get(name)
        if not is_list:
            if member is None:
                member = Member(name_start, start, Node(start, at, members={}), is_inline=False)
                parent.members[name] = member
            return at, self._last(member.node)
        if member is None:
            member = Member(name_start, start, Node(start, at, items=[]), is_inline=False)
            parent.members[name] = member
        if member.node.items is None:
            raise self._fault(start, "expected a list of tables")
        member.node.items.append(Node(start, at, members={}))
        return at, member.node.items[-1]

    def _table(self, table: Node, words: list[tuple[str, int]], start: int) -> Node:
        """The table at a path, which is made if it does not exist."""
        for word, word_start in words:
            if table.members is None:
                raise self._fault(word_start, "expected a table")
            member = table.members.get(word)
            if member is None:
                member = Member(word_start, start, Node(word_start, word_start, members={}), is_inline=False)
                table.members[word] = member
            table = self._last(member.node)
        if table.members is None:
            raise self._fault(start, "expected a table")
        return table

    @staticmethod
    def _last(node: Node) -> Node:
        """The table that later keys belong to: the last one of a list of tables."""
        return node.items[-1] if node.items else node

    def _statement(self, start: int, table: Node, depth: int, *, is_inline: bool) -> int:
        """Reads `key = value` into a table, and gives its end."""
        words, at = self._key(start)
        if self._text[at : at + 1] != "=":
            raise self._fault(at, "expected `=`")
        node = self._value(self._space(at + 1), depth)
        *parents, (name, name_start) = words
        table = self._table(table, parents, start)
        assert table.members is not None  # noqa: S101  a table
        table.members[name] = Member(name_start, start, node, is_inline=is_inline)
        return node.end

    def _key(self, at: int) -> tuple[list[tuple[str, int]], int]:
        """The words of a key, each with its place, and the end of the space after it."""
        words = list[tuple[str, int]]()
        while True:
            at = self._space(at)
            bare = _BARE.match(self._text, at)
            if bare is not None:
                words.append((bare[0], at))
                at = bare.end()
            else:
                end = self._string_end(at)
                words.append((self._string(at, end), at))
                at = end
            at = self._space(at)
            if self._text[at : at + 1] != ".":
                return words, at
            at += 1

    def _value(self, at: int, depth: int) -> Node:
        if depth > DEEPEST:
            raise self._fault(at, f"nested deeper than {DEEPEST} levels")
        first = self._text[at : at + 1]
        if first == "[":
            return self._list(at, depth)
        if first == "{":
            return self._inline(at, depth)
        if first and first in "\"'":
            end = self._string_end(at)
            return Node(at, end, self._string(at, end))
        found = _PLAIN.match(self._text, at)
        if found is None:
            raise self._fault(at, "expected a value")
        plain = found[0].rstrip()
        return Node(at, at + len(plain), {"true": True, "false": False}.get(plain, plain))

    def _list(self, start: int, depth: int) -> Node:
        items = list[Node]()
        at = self._blank(start + 1)
        while self._text[at : at + 1] != "]":
            items.append(self._value(at, depth + 1))
            at = self._next(items[-1].end, "]")
        return Node(start, at + 1, items=items)

    def _inline(self, start: int, depth: int) -> Node:
        table = Node(start, start, members={})
        at = self._blank(start + 1)
        while self._text[at : at + 1] != "}":
            at = self._next(self._statement(at, table, depth + 1, is_inline=True), "}")
        table.end = at + 1
        return table

    def _next(self, end: int, closing: str) -> int:
        at = self._blank(end)
        if self._text[at : at + 1] == ",":
            return self._blank(at + 1)
        if self._text[at : at + 1] != closing:
            raise self._fault(at, f"expected `,` or `{closing}`")
        return at

    def _string_end(self, at: int) -> int:
        for form in _STRINGS:
            found = form.match(self._text, at)
            if found is not None:
                return found.end()
        raise self._fault(at, "expected a text")

    def _string(self, start: int, end: int) -> str:
        value = tomllib.loads(f"k = {self._text[start:end]}")["k"]
        assert isinstance(value, str)  # noqa: S101  it begins with a quotation mark
        return value

    def _space(self, at: int) -> int:
        found = _SPACE.match(self._text, at)
        return at if found is None else found.end()

    def _blank(self, at: int) -> int:
        found = _BLANK.match(self._text, at)
        return at if found is None else found.end()

    def _fault(self, at: int, message: str) -> Exception:
        return fault(self._file, self._text, at, message)
