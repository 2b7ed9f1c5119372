"""The part of limitador's expressions (CEL) that descriptors can express: an entry is present, or has a value.

descriptors[0].method == 'GET' && descriptors[0]['req.path'] == "/json"
descriptors[0].user_id
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from callgate.text import quoted

if TYPE_CHECKING:
    from collections.abc import Iterator

_TOKEN: Final = re.compile(
    r"""\s*(?:
        (?P<text>'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*")
      | (?P<number>[0-9][0-9a-zA-Z.]*)
      | (?P<name>[A-Za-z_][A-Za-z0-9_]*)
      | (?P<sign>&&|\|\||[=!<>]=|.)
    )""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPES: Final = {"\\": "\\", "'": "'", '"': '"', "n": "\n", "r": "\r", "t": "\t"}

_SIGNS: Final = {
    "!=": "`!=` holds for all values but one; a descriptor names one value, or every value with a count of its own",
    "||": "`||` would be several descriptors with one count; here each has its own",
    "in": "`in` would be several descriptors with one count; here each has its own",
    "!": "a descriptor says what is there, not what is not",
    "?": "a descriptor knows no choice",
    **dict.fromkeys(("<", ">", "<=", ">="), "a descriptor knows no order of values"),
    **dict.fromkeys(("+", "-", "*", "/", "%"), "a descriptor knows no arithmetic"),
}
_EXPECTED: Final = "expected `descriptors[0].KEY == 'VALUE'`, or several joined by `&&`"
_EXPECTED_VARIABLE: Final = "expected `descriptors[0].KEY` or `descriptors[0]['KEY']`"


class NotKeptError(Exception):
    """An expression that descriptors cannot express."""


class _Reader:
    """The tokens of an expression, in order."""

    def __init__(self, expression: str, expected: str) -> None:
        self._tokens = list(_tokens(expression))
        self._at = 0
        self._expected = expected

    def peek(self) -> tuple[str, str]:
        """The kind and the text of the next token; both empty at the end."""
        return self._tokens[self._at] if self._at < len(self._tokens) else ("", "")

    def take(self, kind: str) -> str:
        """Takes the next token, which must be of the given kind; returns its text."""
        found, text = self.peek()
        if found != kind:
            raise self.refusal()
        self._at += 1
        return text

    def take_if(self, sign: str) -> bool:
        """Takes the next token if it is the given sign; returns true if it was."""
        found = self.peek() == ("sign", sign)
        self._at += found
        return found

    def refusal(self) -> NotKeptError:
        """The error for the next token, with the reason."""
        kind, text = self.peek()
        if kind in {"sign", "name"} and text in _SIGNS:
            return NotKeptError(_SIGNS[text])
        return NotKeptError(self._expected)

    def entry(self) -> str:
        """The key of an entry of the first descriptor."""
        name = self.take("name")
        if name == "limit":
            raise NotKeptError("a condition on `limit` itself; remove it, or the limit where it does not hold")
        if name != "descriptors":
            follows = self.peek()[1]
            if follows == "(":
                raise NotKeptError(f"a descriptor knows no functions, such as {quoted(name)}")
            if name in _SIGNS:
                raise NotKeptError(_SIGNS[name])
            raise NotKeptError(f"{quoted(name)} is no entry of a descriptor; those are `descriptors[0].{name}`")
        self._bracket()
        if self.take("number") != "0":
            raise NotKeptError("only the first descriptor, `descriptors[0]`; here descriptors are looked at one by one")
        self._close()
        if self.take_if("."):
            key = self.take("name")
        else:
            self._bracket()
            key = _text(self.take("text"))
            self._close()
        follows = self.peek()[1]
        if follows in {".", "[", "("}:
            raise NotKeptError("a descriptor knows no functions and no parts of values" + _dotted_hint(follows))
        if not key:
            raise NotKeptError("an entry with an empty key")
        return key

    def _bracket(self) -> None:
        if not self.take_if("["):
            raise self.refusal()

    def _close(self) -> None:
        if not self.take_if("]"):
            raise self.refusal()


def parse_condition(expression: str) -> list[tuple[str, str]]:
    """The keys of a condition, each with the value that it must have.

    Raises:
        NotKeptError: A descriptor cannot express it.
    """
    reader = _Reader(expression, _EXPECTED)
    equalities = []
    depth = 0
    while True:
        while reader.take_if("("):
            depth += 1
        equalities.append(_equality(reader))
        while depth and reader.take_if(")"):
            depth -= 1
        if not reader.take_if("&&"):
            break
    if depth or reader.peek() != ("", ""):
        raise reader.refusal()
    return equalities


def parse_variable(expression: str) -> str:
    """The key of a variable, each value of which has its own count.

    Raises:
        NotKeptError: A descriptor cannot express it.
    """
    reader = _Reader(expression, _EXPECTED_VARIABLE)
    key = reader.entry()
    if reader.peek() != ("", ""):
        raise reader.refusal()
    return key


def _equality(reader: _Reader) -> tuple[str, str]:
    if reader.peek()[0] == "text":
        value = _text(reader.take("text"))
        _equals(reader)
        return reader.entry(), value
    key = reader.entry()
    _equals(reader)
    if reader.peek()[0] == "number":
        raise NotKeptError("values of a descriptor are text; put the number in quotes")
    return key, _text(reader.take("text"))


def _equals(reader: _Reader) -> None:
    if not reader.take_if("=="):
        raise reader.refusal()


def _dotted_hint(follows: str) -> str:
    return "; a key with a dot is written `descriptors[0]['A.B']`" if follows == "." else ""


def _tokens(expression: str) -> Iterator[tuple[str, str]]:
    for found in _TOKEN.finditer(expression.rstrip()):
        kind = found.lastgroup or ""
        yield kind, found[kind]


def _text(literal: str) -> str:
    def unescaped(found: re.Match[str]) -> str:
        if found[1] not in _ESCAPES:
            raise NotKeptError(f"the escape {quoted(found[0])}; write the character itself")
        return _ESCAPES[found[1]]

    return re.sub(r"\\(.)", unescaped, literal[1:-1], flags=re.DOTALL)
