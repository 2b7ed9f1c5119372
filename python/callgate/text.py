"""Texts in messages: foreign ones quoted, visible and without secrets, nearest names, reasons of the system."""

from __future__ import annotations

import difflib
import re
import unicodedata
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_SECRET: Final = re.compile(r"cg[alst]_[\w-]+|[\w+/-]{43}=|[0-9a-fA-F]{32,}", re.ASCII)
"""A token; a key in base64; or at least half a key in hex."""

_MOST_SHOWN: Final = 40
"""Known names of a message: more than the configuration has keys at its top, and few enough to read."""

_SHOWN: Final = 4
"""Characters of a secret that are shown, enough to identify it and no more."""

_UNSEEN: Final = frozenset({"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp"})
# Blank letters, and marks that are ignored in display.
_UNSEEN_LETTERS: Final = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
# They follow characters, and can carry a hidden text.
_VARIATION_SELECTORS: Final = (range(0x180B, 0x1810), range(0xFE00, 0xFE10), range(0xE0100, 0xE01F0))


def is_text(text: str) -> bool:
    """True if it contains only characters. Python strings can also hold lone surrogates and bytes outside UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def masked(text: str) -> str:
    """The text without possible tokens and keys, which users easily write in place of a path or a name.

    Messages with users' texts appear on stderr, in logs and on `/readyz`, which requires no token.
    """
    return _SECRET.sub(lambda found: f"{found[0][:_SHOWN]}...", text)


def quoted(text: str) -> str:
    """A user's text in backticks: all of it visible, without secrets, and shortened."""
    longest = 60
    text = masked(text)
    shown = text if len(text) <= longest else f"{text[:longest]}..."
    return f"`{visible(shown)}`"


def visible(text: str) -> str:
    """The text with everything escaped that controls a terminal or is invisible there: a model reads it anyway."""
    return "".join(f"\\u{{{ord(character):x}}}" if is_unseen(character) else character for character in text)


def plain_line(text: str) -> str:
    """A person's words on one line, without characters that control a terminal or are invisible there."""
    spaced = "".join(
        " " if character.isspace() or unicodedata.category(character) == "Cc" else character for character in text
    )
    return " ".join("".join(one for one in spaced if not is_unseen(one)).split())


def is_unseen(character: str) -> bool:
    """True if it controls a terminal or is invisible there."""
    selects = any(ord(character) in selectors for selectors in _VARIATION_SELECTORS)
    return selects or character in _UNSEEN_LETTERS or unicodedata.category(character) in _UNSEEN


def nearest(name: str, known: Iterable[str], *, likeness: float = 0.6) -> str | None:
    """The probably intended name; None if no name has at least this similarity, from 0 to 1."""
    return next(iter(difflib.get_close_matches(name, list(known), n=1, cutoff=likeness)), None)


def did_you_mean(name: str, known: Sequence[str]) -> str:
    """The end of a message: the nearest name, or the known names."""
    wanted = name.lower().replace("-", "_")
    longer = [key for key in known if wanted and key.startswith(wanted)]
    near = longer[0] if len(longer) == 1 else nearest(wanted, known)
    if near is not None:
        return f"; did you mean {quoted(near)}?"
    if not known:
        return "; there is none"
    shown = [quoted(key) for key in sorted(known)[:_MOST_SHOWN]]
    more = len(known) - len(shown)
    return f"; expected one of {', '.join(shown)}{f' and {more} more' if more else ''}"


def reason_of(error: Exception) -> str:
    """The reason of an error of the system, in lower case: `no such file or directory`."""
    return (getattr(error, "strerror", None) or str(error) or type(error).__name__).lower()
