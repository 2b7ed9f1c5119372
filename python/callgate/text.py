"""Names and texts of others in messages: quoted, without secrets, printable, and with the nearest name that exists."""

from __future__ import annotations

import difflib
import re
import unicodedata
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_SECRET: Final = re.compile(r"cgt_[\w-]+|[\w+/-]{43}=|[0-9a-fA-F]{32,}", re.ASCII)
"""A token; a key in base64; half of one in hex, or more."""

_SHOWN: Final = 4
"""Characters of a secret that tell which one it is, and nothing else."""

_UNSEEN: Final = frozenset({"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp"})
_UNSEEN_LETTERS: Final = frozenset("\u115f\u1160\u2800\u3164\uffa0")
# They come after characters, and can carry a text of their own.
_VARIATION_SELECTORS: Final = (range(0xFE00, 0xFE10), range(0xE0100, 0xE01F0))


def is_text(text: str) -> bool:
    """Whether all of it are characters: Python also holds halves of surrogate pairs, and bytes that are not UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def masked(text: str) -> str:
    """The text without what may be a token or a key: either is easily put where a path or a name belongs.

    Messages with what a user wrote end on stderr, in logs and on `/readyz`, which asks for no token.
    """
    return _SECRET.sub(lambda found: f"{found[0][:_SHOWN]}...", text)


def quoted(text: str) -> str:
    """A user's text in backticks: printable, without secrets, and not longer than a message should be."""
    longest = 60
    text = masked(text)
    shown = text if len(text) <= longest else f"{text[:longest]}..."
    return f"`{printable(shown)}`"


def printable(text: str) -> str:
    """The text with a replacement character in place of everything that ends a line, or that a terminal would obey."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def visible(text: str) -> str:
    """The text with everything escaped that a terminal would obey or not show: a model reads it all the same."""
    return "".join(f"\\u{{{ord(character):x}}}" if _is_unseen(character) else character for character in text)


def _is_unseen(character: str) -> bool:
    selects = any(ord(character) in selectors for selectors in _VARIATION_SELECTORS)
    return selects or character in _UNSEEN_LETTERS or unicodedata.category(character) in _UNSEEN


def nearest(name: str, known: Iterable[str], *, likeness: float = 0.6) -> str | None:
    """The name that was probably meant; None where none is like it by that share, from 0 to 1."""
    return next(iter(difflib.get_close_matches(name, list(known), n=1, cutoff=likeness)), None)


def did_you_mean(name: str, known: Sequence[str]) -> str:
    """The nearest name, or what there is."""
    wanted = name.lower().replace("-", "_")
    longer = [key for key in known if wanted and key.startswith(wanted)]
    near = longer[0] if len(longer) == 1 else nearest(wanted, known)
    if near is not None:
        return f"; did you mean `{near}`?"
    if not known:
        return "; there is none"
    return f"; expected one of {', '.join(quoted(key) for key in sorted(known)[:20])}"
