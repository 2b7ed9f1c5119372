"""Text that people read before they answer: sections of fields, in which nothing is hidden.

All names and texts in a section are safe to print: what comes from callers and servers is escaped where the section is
made, so that a terminal and a page show the same.
"""

from __future__ import annotations

import json
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from callgate.exact_json import write_json
from callgate.text import is_unseen

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

_INDENT: Final = 2
_ORDINARY: Final = frozenset("\n\t\r")
"""Characters without an image that ordinary texts have."""
_RIGHT_TO_LEFT: Final = frozenset({"R", "AL", "AN"})

_MARKS: Final = frozenset({"Mn", "Me"})
"""Marks that are drawn onto the character before them; those of the category Mc have a place of their own."""
_MOST_MARKS: Final = 3
"""Marks of one letter: Vietnamese and Hebrew have so many, and stacks of more hide the lines around them."""
_OVERLAY: Final = 1
"""Unicode's class of marks that cross out."""
_BASES: Final = frozenset("LNM")
"""Letters, digits and marks with a place of their own, by the first letter of their category."""


@dataclass(frozen=True)
class Field:
    """A named text, of one line or several; without a name, the text alone."""

    name: str
    text: str


@dataclass(frozen=True)
class Section:
    """A titled group of fields."""

    title: str
    fields: tuple[Field, ...]


def lines_of(sections: Iterable[Section]) -> Iterator[str]:
    """The lines of sections, with an empty one between two."""
    for number, section in enumerate(sections):
        if number:
            yield ""
        yield section.title
        short = [field.name for field in section.fields if field.name and "\n" not in field.text]
        width = max(map(len, short), default=0) + 2
        for field in section.fields:
            lines = field.text.split("\n")
            if not field.name:
                yield from (f"  {line}".rstrip() for line in lines)
            elif len(lines) == 1:
                yield f"  {field.name + ':':<{width}}{lines[0]}".rstrip()
            else:
                yield f"  {field.name}:"
                yield from (f"    {line}".rstrip() for line in lines)


def seen(text: object) -> str:
    """A text on one line, with everything escaped that is invisible, moves other text, or looks like a space."""
    text = str(text)
    if _is_plain(text):
        return text
    return "".join(f"\\u{{{ord(one):x}}}" if is_hidden else one for one, is_hidden in _characters(text))


def block(text: str) -> str:
    """A text of several lines as it is, each behind a mark, so that none looks like one of callgate's own."""
    return "\n".join(f"| {seen(line)}" for line in text.split("\n"))


def pretty(value: Any) -> str:  # noqa: ANN401  JSON
    """A JSON value on several lines, with the same escapes as JSON has them."""
    return write_json(value, indent=_INDENT, string=_string)


def one_line(value: Any) -> str:  # noqa: ANN401  JSON
    """Likewise on one line."""
    return write_json(value, string=_string)


def notes_on(value: Any) -> Iterator[str]:  # noqa: ANN401  JSON
    """Warnings about the characters in the strings of a JSON value."""
    characters = [one for text in _strings(value) if not _is_plain(text) for one in _characters(text)]
    hidden = sum(is_hidden and one not in _ORDINARY for one, is_hidden in characters)
    if hidden:
        shown = "1 character that is" if hidden == 1 else f"{hidden} characters that are"
        yield f"attention: {shown} invisible, or not as it looks, shown as an escape"
    if any(unicodedata.bidirectional(one) in _RIGHT_TO_LEFT for one, _ in characters):
        yield "attention: letters that are written from right to left; a terminal may show the text around them moved"


def long_texts(value: Any, pointer: str = "") -> Iterator[tuple[str, str]]:  # noqa: ANN401  JSON
    """The strings of a JSON value that have several lines, each with its JSON pointer."""
    if isinstance(value, str):
        if "\n" in value:
            yield pointer, value
        return
    items: Iterable[tuple[object, Any]] = ()
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, list):
        items = enumerate(value)
    for name, one in items:
        yield from long_texts(one, f"{pointer}/{str(name).replace('~', '~0').replace('/', '~1')}")


def listed(words: Sequence[str], last: str) -> str:
    """Words in backticks: `a`, `b` or `c`."""
    quoted = [f"`{seen(word)}`" for word in words]
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} {last} {quoted[-1]}"


def _string(text: str) -> str:
    if _is_plain(text):
        return json.dumps(text)
    shown = (json.dumps(one)[1:-1] if is_hidden or one in '"\\' else one for one, is_hidden in _characters(text))
    return f'"{"".join(shown)}"'


def _strings(value: Any) -> Iterator[str]:  # noqa: ANN401  JSON
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, one in value.items():
            yield str(name)
            yield from _strings(one)
    elif isinstance(value, list):
        for one in value:
            yield from _strings(one)


def _is_plain(text: str) -> bool:
    """True for what most texts are; they are long, and the inbox draws them each second."""
    return text.isascii() and text.isprintable()


def _characters(text: str) -> Iterator[tuple[str, bool]]:
    """Each character, and true if it is hidden, or draws over others."""
    marks = _MOST_MARKS
    for one in text:
        category = unicodedata.category(one)
        if category in _MARKS:
            # One without a letter before it would change callgate's own words.
            is_hidden = marks == _MOST_MARKS or category == "Me" or unicodedata.combining(one) == _OVERLAY
            is_hidden = is_hidden or is_unseen(one)
            marks = _MOST_MARKS if is_hidden else marks + 1
        else:
            # Other spaces look like the one of the keyboard, and are not equal to it.
            is_hidden = is_unseen(one) or (one != " " and category == "Zs")
            marks = 0 if category[0] in _BASES else _MOST_MARKS
        yield one, is_hidden
