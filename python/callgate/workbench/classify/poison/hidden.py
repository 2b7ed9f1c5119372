"""Text that people do not see: invisible characters, reversed writing, terminal escapes, text after long gaps."""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING, Final, NamedTuple

from callgate.text import is_unseen

if TYPE_CHECKING:
    from collections.abc import Iterator

_GAP: Final = re.compile(r"[ \t\u00a0\u3000]{120,}(?=\S)|(?:[ \t\u00a0]*\r?\n){25,}(?=\s*\S)")
_ESCAPE: Final = re.compile(r"\x1b|\x9b|\\x1b\[|\\u001b\[|\\033\[", re.IGNORECASE)
_ORDINARY: Final = frozenset("\t\n\r" + "".join(map(chr, range(0x20, 0x7F))))
_JOINERS: Final = frozenset("\u200c\u200d")
_MARKS: Final = frozenset("\u200e\u200f\u061c")
_TAGS: Final = range(0xE0000, 0xE0080)
_SELECTORS: Final = (range(0xFE00, 0xFE10), range(0xE0100, 0xE01F0))
_BIDI: Final = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_JOINED_SCRIPTS: Final = range(0x0590, 0x1100)
"""Hebrew, Arabic, Indic and South-East Asian scripts, which use joiners and direction marks."""


class Hidden(NamedTuple):
    """One kind of hidden text, with its place."""

    kind: str
    """As a noun phrase for a message."""
    at: int


def hidden_in(text: str) -> Hidden | None:
    """The first hidden text; None if people see all of it."""
    escape = _ESCAPE.search(text)
    if escape:
        return Hidden("a terminal escape sequence", escape.start())
    gap = _GAP.search(text.strip())
    if gap:
        return Hidden("a long gap that moves text out of sight", gap.start())
    suspects = {one for one in set(text) - _ORDINARY if is_unseen(one)}
    return next(_unseen(text, suspects), None) if suspects else None


def _unseen(text: str, suspects: set[str]) -> Iterator[Hidden]:
    for at, one in enumerate(text):
        if one in suspects and (kind := _kind(text, at)) is not None:
            yield Hidden(f"{kind} U+{ord(one):04X}", at)


def _kind(text: str, at: int) -> str | None:
    """The kind of an invisible character; None where it belongs to a script or an emoji."""
    one = text[at]
    if ord(one) in _TAGS:
        return None if _is_flag(text, at) else "the Unicode tag character"
    if one in _BIDI:
        return "the direction control"
    if one in _JOINERS or one in _MARKS:
        return None if _belongs(text, at) else "the invisible character"
    if _is_selector(one):
        return "several variation selectors, the first" if _is_selector(text[at + 1 : at + 2]) else None
    if (one == "\ufeff" and at == 0) or unicodedata.category(one) == "Cn":
        return None
    return "the invisible character"


def _is_selector(one: str) -> bool:
    return bool(one) and any(ord(one) in selectors for selectors in _SELECTORS)


def _belongs(text: str, at: int) -> bool:
    """True if a joiner or direction mark stands where its script or an emoji needs it."""
    around = [one for one in text[max(0, at - 3) : at + 4] if not is_unseen(one)]
    return any(ord(one) in _JOINED_SCRIPTS or unicodedata.category(one) in ("So", "Sk") for one in around)


def _is_flag(text: str, at: int) -> bool:
    """True if a tag character belongs to the flag of a region, which begins with a black flag."""
    return "\N{WAVING BLACK FLAG}" in text[max(0, at - 7) : at]
