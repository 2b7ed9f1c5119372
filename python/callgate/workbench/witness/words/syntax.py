"""Regular expressions in the syntax of Rust's `regex` crate, as far as words are made from them.

The engine alone says what an expression matches. What is read here is used to find words, and to know that no others
are left; `Expression.is_exact` is False where the second cannot be said.
"""

from __future__ import annotations

import string
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from callgate.workbench.witness.words.charsets import ANY_IN_LINE, CharSet, in_both_cases, only


@dataclass(frozen=True)
class Sequence:
    """One part after the other; without any, the empty word."""

    parts: tuple[Node, ...]


@dataclass(frozen=True)
class Choice:
    """One of the parts."""

    parts: tuple[Node, ...]


@dataclass(frozen=True)
class Repeat:
    """A part several times; without `most` as often as one likes."""

    part: Node
    least: int
    most: int | None


@dataclass(frozen=True)
class Edge:
    """The begin or the end of the word."""

    which: Literal["begin", "end"]


Node: TypeAlias = "CharSet | Sequence | Choice | Repeat | Edge"


@dataclass(frozen=True)
class Expression:
    """A regular expression that was read."""

    node: Node
    is_exact: bool
    """False if it was simplified: it may match other words than the engine says."""


class UnsupportedSyntaxError(Exception):
    """A part of the syntax from which no words are made."""


_CONTROLS: Final = {"t": "\t", "n": "\n", "r": "\r", "f": "\f", "v": "\v", "a": "\a"}
_DEEPEST: Final = 50
_LAST_ASCII: Final = 127


def parse_expression(text: str) -> Expression:
    """Reads an expression that the engine accepts.

    Raises:
        UnsupportedSyntaxError: It has a part from which no words are made.
    """
    reader = _Reader(text)
    node = reader.choice(0)
    if reader.at < len(text):
        raise UnsupportedSyntaxError(text[reader.at])
    return Expression(node, reader.is_exact)


class _Reader:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.is_exact = True
        self.is_caseless = False

    def choice(self, depth: int) -> Node:
        if depth > _DEEPEST:
            raise UnsupportedSyntaxError("nested groups")
        parts = [self._sequence(depth)]
        while self._take("|"):
            parts.append(self._sequence(depth))
        return parts[0] if len(parts) == 1 else Choice(tuple(parts))

    def _sequence(self, depth: int) -> Node:
        parts: list[Node] = []
        while self.at < len(self.text) and self.text[self.at] not in "|)":
            parts.append(self._repeated(self._item(depth)))
        return parts[0] if len(parts) == 1 else Sequence(tuple(parts))

    def _item(self, depth: int) -> Node:  # noqa: PLR0911  one return for each kind
        match self._next():
            case "(":
                return self._group(depth)
            case "[":
                return self._set()
            case ".":
                return ANY_IN_LINE
            case "^":
                return Edge("begin")
            case "$":
                return Edge("end")
            case "\\":
                return self._escape()
            case "*" | "+" | "?" | "{" as sign:
                raise UnsupportedSyntaxError(sign)
            case character:
                return self._cased(only(character))

    def _group(self, depth: int) -> Node:
        if self._take("?"):
            if self._take("P<") or self._take("<"):
                self.at = self.text.index(">", self.at) + 1
            elif self._take("i)"):
                self.is_caseless = True
                return Sequence(())
            elif not self._take(":"):
                raise UnsupportedSyntaxError("flags")
        outer = self.is_caseless
        node = self.choice(depth + 1)
        self.is_caseless = outer
        if not self._take(")"):
            raise UnsupportedSyntaxError("(")
        return node

    def _repeated(self, node: Node) -> Node:
        while self.at < len(self.text):
            if self._take("*"):
                node = Repeat(node, 0, None)
            elif self._take("+"):
                node = Repeat(node, 1, None)
            elif self._take("?"):
                node = Repeat(node, 0, 1)
            elif self._take("{"):
                end = self.text.index("}", self.at)
                least, comma, most = self.text[self.at : end].partition(",")
                self.at = end + 1
                lowest = int(least or "0")
                node = Repeat(node, lowest, (int(most) if most.strip() else None) if comma else lowest)
            else:
                break
            # A lazy repetition matches the same words.
            self._take("?")
        return node

    def _escape(self) -> Node:
        character = self._next()
        match character:
            case "d" | "D" | "w" | "W" | "s" | "S":
                return CharSet(classes=frozenset(character))
            case "A":
                return Edge("begin")
            case "z":
                return Edge("end")
            case "b" | "B" | "<" | ">":
                self.is_exact = False
                return Sequence(())
            case "p" | "P":
                return self._property(is_negated=character == "P")
            case _:
                return self._cased(only(self._escaped(character)))

    def _property(self, *, is_negated: bool) -> CharSet:
        """A Unicode property; words of letters and digits are tried for it."""
        self.is_exact = False
        if self._next() == "{":
            self.at = self.text.index("}", self.at) + 1
        return CharSet(classes=frozenset("W" if is_negated else "w"))

    def _escaped(self, character: str) -> str:
        if character in _CONTROLS:
            return _CONTROLS[character]
        if character in ("x", "u", "U"):
            if self._take("{"):
                end = self.text.index("}", self.at)
                code, self.at = self.text[self.at : end], end + 1
            else:
                length = {"x": 2, "u": 4, "U": 8}[character]
                code, self.at = self.text[self.at : self.at + length], self.at + length
            return chr(int(code, 16))
        if character in string.ascii_letters + string.digits:
            raise UnsupportedSyntaxError(f"\\{character}")
        return character

    def _set(self) -> CharSet:
        is_negated = self._take("^")
        ranges: list[tuple[int, int]] = []
        classes: set[str] = set()
        is_first = True
        while is_first or self.text[self.at : self.at + 1] != "]":
            is_first = False
            character = self._next()
            if character == "[" or self.text[self.at - 1 : self.at + 1] in ("&&", "--", "~~"):
                raise UnsupportedSyntaxError(character)
            if character == "\\":
                escape = self._next()
                if escape in "dDwWsS":
                    classes.add(escape)
                    continue
                if escape in "pP":
                    classes |= self._property(is_negated=escape == "P").classes
                    continue
                character = self._escaped(escape)
            last = character
            if self.text[self.at : self.at + 1] == "-" and self.text[self.at + 1 : self.at + 2] not in ("]", ""):
                self.at += 1
                last = self._next()
                if last == "\\":
                    last = self._escaped(self._next())
            ranges.append((ord(character), ord(last)))
        self.at += 1
        return self._cased(CharSet(tuple(ranges), frozenset(classes), is_negated))

    def _cased(self, one: CharSet) -> CharSet:
        if not self.is_caseless:
            return one
        # The other case of a letter beyond ASCII is not looked for.
        self.is_exact = self.is_exact and all(high <= _LAST_ASCII for _, high in one.ranges)
        return in_both_cases(one)

    def _next(self) -> str:
        if self.at >= len(self.text):
            raise UnsupportedSyntaxError("end")
        self.at += 1
        return self.text[self.at - 1]

    def _take(self, text: str) -> bool:
        found = self.text.startswith(text, self.at)
        self.at += len(text) if found else 0
        return found
