"""JSON with positions."""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from contextlib import suppress
from typing import Any, Final, NoReturn

from callgate.config.place import Malformed, Place
from callgate.text import is_text, quoted

__all__ = ["Malformed", "places", "read"]

_STRING: Final = json.JSONDecoder()
_MOST_DIGITS: Final = 300
"""As in YAML. Python converts long numbers in more than linear time, and refuses very long ones."""

_SPACE: Final = re.compile(r"[ \t\n\r]*")
_TEXT: Final = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
_SCALAR: Final = re.compile(r'"(?:[^"\\]|\\.)*"|[^\s,\]}]+', re.DOTALL)


class _TwiceError(Exception):
    """An object contains a key twice; the standard library does not give the position."""


def read(text: str) -> Any:  # noqa: ANN401  a document may hold anything
    """The value of a document.

    Raises:
        Malformed: It is not JSON, is nested too deeply, or has a key twice.
    """
    if not text.strip():
        raise Malformed("expected a JSON object, the file is empty", 1, 1)
    try:
        value = json.loads(text, object_pairs_hook=_object, parse_constant=_no_constant, parse_int=_integer)
    except json.JSONDecodeError as error:
        message = f"not well-formed JSON: {error.msg[:1].lower()}{error.msg[1:]}"
        raise Malformed(message, error.lineno, error.colno) from None
    except _TwiceError:
        places(text)
        raise
    except _ConstantError as error:
        message = f"`{error}` is not JSON; write a number, or null"
        raise Malformed(message, *_Walk(text).line_and_column(text.find(str(error)))) from None
    except _LongError as error:
        message = f"expected a number of at most {_MOST_DIGITS} digits"
        raise Malformed(message, *_Walk(text).line_and_column(text.find(str(error)))) from None
    except RecursionError:
        raise Malformed("nested too deeply", 1, 1) from None
    _refuse_halves(text)
    return value


def places(text: str) -> dict[tuple[str | int, ...], Place]:
    """The position of each value of a well-formed document.

    Raises:
        Malformed: An object has a key twice.
    """
    walk = _Walk(text)
    # The positions found so far are above the deep nesting, and a fault names its nearest known ancestor.
    with suppress(RecursionError):
        walk.value(walk.skip(0), (), None)
    return walk.found


class _ConstantError(Exception):
    """A name that Python reads as a number, but JSON does not define."""


def _no_constant(name: str) -> NoReturn:
    raise _ConstantError(name)


class _LongError(Exception):
    """An integer has too many digits."""


def _integer(text: str) -> int:
    if len(text) > _MOST_DIGITS:
        raise _LongError(text)
    return int(text)


def _refuse_halves(text: str) -> None:
    r"""Refuses `\ud800` without its other half: it is no character, and no name of a file or anything else."""
    if "\\u" not in text and is_text(text):
        return
    for found in _TEXT.finditer(text):
        if not is_text(json.loads(found[0])):
            message = "expected text, this has half of a surrogate pair; write the character itself"
            raise Malformed(message, *_Walk(text).line_and_column(found.start()))


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        raise _TwiceError
    return members


class _Walk:
    """A walk through a document that the standard library has read without a fault."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.found: dict[tuple[str | int, ...], Place] = {}
        self._lines = [0, *(newline.end() for newline in re.finditer("\n", text))]

    def skip(self, at: int) -> int:
        """The position of the next character that is not white space."""
        space = _SPACE.match(self.text, at)
        return space.end() if space else at

    def line_and_column(self, at: int) -> tuple[int, int]:
        """Line and column, both from 1."""
        line = bisect_right(self._lines, at)
        return line, at - self._lines[line - 1] + 1

    def value(self, at: int, path: tuple[str | int, ...], key_at: int | None) -> int:
        """Records the value at `at` and those inside it; returns its end."""
        place = self.line_and_column(at)
        self.found[path] = Place(place if key_at is None else self.line_and_column(key_at), place)
        if self.text[at] == "{":
            return self._members(at, path)
        if self.text[at] == "[":
            at, index = self.skip(at + 1), 0
            while self.text[at] != "]":
                at = self._after_comma(self.value(at, (*path, index), None))
                index += 1
            return at + 1
        scalar = _SCALAR.match(self.text, at)
        return scalar.end() if scalar else len(self.text)

    def _members(self, at: int, path: tuple[str | int, ...]) -> int:
        at = self.skip(at + 1)
        while self.text[at] != "}":
            key_at = at
            name, at = _STRING.raw_decode(self.text, at)
            if (*path, name) in self.found:
                message = f"the key {quoted(name)} stands here twice; keep one of them"
                raise Malformed(message, *self.line_and_column(key_at))
            colon_at = self.skip(at)
            at = self._after_comma(self.value(self.skip(colon_at + 1), (*path, name), key_at))
        return at + 1

    def _after_comma(self, at: int) -> int:
        at = self.skip(at)
        return self.skip(at + 1) if self.text[at] == "," else at
