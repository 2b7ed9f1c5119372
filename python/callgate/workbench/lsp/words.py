"""Keys and values of an unfinished document, and the cursor in it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from callgate.config.document import KeyPath

_DOUBLE: Final = re.compile(r'"(?:[^"\\\n]|\\.)*"?')
_SINGLE: Final = re.compile(r"'(?:[^'\n]|'')*'?")


@dataclass(frozen=True)
class Token:
    """A key, or a value that is neither a mapping nor a list."""

    path: KeyPath
    """The path of the value, also for its key."""
    is_key: bool
    start: int
    """Offset of its first character, which may be a quote."""
    end: int
    text: str
    """Its characters, without quotes and escapes."""


@dataclass(frozen=True)
class Cursor:
    """A place in a document, and what may be typed there."""

    path: KeyPath
    """The mapping for a key, the value itself for a value."""
    is_key: bool
    start: int
    """Offset at which the word begins that is typed."""
    is_flow: bool
    """True within brackets."""


def end_of_line(text: str, at: int) -> int:
    """The offset of the end of the line in which an offset is, before its line break."""
    end = text.find("\n", at)
    end = len(text) if end < 0 else end
    return end - 1 if end > at and text[end - 1] == "\r" else end


def quoted_at(text: str, at: int, end: int) -> tuple[int, str] | None:
    """The end of a quoted text that begins at an offset, and its characters; a missing quote is at the line's end."""
    pattern = {'"': _DOUBLE, "'": _SINGLE}.get(text[at])
    found = None if pattern is None else pattern.match(text, at, end)
    if found is None:
        return None
    raw = found.group()
    is_closed = len(raw) > 1 and raw[-1] == raw[0]
    inner = raw[1:-1] if is_closed else raw[1:]
    if raw[0] == "'":
        return found.end(), inner.replace("''", "'")
    try:
        value = json.loads(f'"{inner}"')
    except ValueError:
        value = inner
    return found.end(), str(value)
