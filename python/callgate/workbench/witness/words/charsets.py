"""Sets of characters, and characters that stand for all others of an alphabet."""

from __future__ import annotations

import string
import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

_SPACES: Final = frozenset(
    [*"\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000", *map(chr, range(0x2000, 0x200B))]
)
"""The property White_Space. `str.isspace` says more: it counts U+001C to U+001F."""

_WORD_CATEGORIES: Final = frozenset(("Lu", "Ll", "Lt", "Lm", "Lo", "Mn", "Mc", "Me", "Nd", "Nl", "Pc"))

# Letters in circles and squares are alphabetic, too; the last two are the joiners.
_OTHER_WORD_RANGES: Final = (
    (0x24B6, 0x24E9),
    (0x1F130, 0x1F149),
    (0x1F150, 0x1F169),
    (0x1F170, 0x1F189),
    (0x200C, 0x200D),
)


def _is_word(character: str) -> bool:
    """True for a character of the class `w`: alphabetic, a mark, a decimal digit, a connector or a joiner (UTS 18)."""
    code = ord(character)
    return unicodedata.category(character) in _WORD_CATEGORIES or any(
        low <= code <= high for low, high in _OTHER_WORD_RANGES
    )


_TESTS: Final = {"d": str.isdecimal, "w": _is_word, "s": _SPACES.__contains__}

# One character beyond ASCII of each kind that the classes tell apart: a digit, a letter, a space, none of them.
_BEYOND_ASCII: Final = "\u0663\u00e9\u2003\u20ac"
_LAST_ASCII: Final = 127
_LAST: Final = 0x10FFFF
_SURROGATES: Final = range(0xD800, 0xE000)


@dataclass(frozen=True)
class CharSet:
    """Characters in some ranges and classes, or all others."""

    ranges: tuple[tuple[int, int], ...] = ()
    """First and last code points."""
    classes: frozenset[str] = frozenset()
    """`d`, `w` and `s`; in upper case the characters that are not in it."""
    is_negated: bool = False

    def __contains__(self, character: str) -> bool:
        """True if the character belongs to the set."""
        code = ord(character)
        found = any(low <= code <= high for low, high in self.ranges) or any(
            _TESTS[name.lower()](character) != name.isupper() for name in self.classes
        )
        return found != self.is_negated

    @property
    def boundaries(self) -> set[int]:
        """The code points at which membership by ranges begins or ends, and the last ones before."""
        return {code for low, high in self.ranges for code in (low - 1, low, high, high + 1)}


ANY: Final = CharSet(is_negated=True)
"""Every character."""

ANY_IN_LINE: Final = CharSet(((10, 10),), is_negated=True)
"""Every character but a line break."""


def only(character: str) -> CharSet:
    """The set of one character."""
    return CharSet(((ord(character), ord(character)),))


@dataclass(frozen=True)
class Alphabet:
    """Characters of which one belongs to each combination of some sets that is not empty."""

    characters: tuple[str, ...]
    is_complete: bool
    """False if a combination may have been missed: ranges beyond ASCII, or unassigned characters, meet classes."""


@lru_cache(maxsize=256)
def alphabet(sets: frozenset[CharSet]) -> Alphabet:
    """The alphabet of these sets; letters and digits come first, so that words are readable."""
    ordered = list(sets)
    beyond = sorted(
        {code for one in ordered for code in one.boundaries if _LAST_ASCII < code <= _LAST and code not in _SURROGATES}
    )
    found: dict[tuple[bool, ...], str] = {}
    for character in (*_readable(), *map(chr, beyond), *_BEYOND_ASCII):
        found.setdefault(tuple(character in one for one in ordered), character)
    has_classes = any(one.classes for one in ordered)
    # A single character is tried itself; the characters of a range may be of several kinds.
    has_ranges = any(high > low and high > _LAST_ASCII for one in ordered for low, high in one.ranges)
    # The engine may know a newer version of Unicode, in which these are letters.
    has_unassigned = any(unicodedata.category(chr(code)) == "Cn" for code in beyond)
    return Alphabet(tuple(found.values()), is_complete=not (has_classes and (has_ranges or has_unassigned)))


def _readable() -> Iterable[str]:
    first = "x" + string.ascii_lowercase + string.digits + string.ascii_uppercase + "-_./:@ "
    return dict.fromkeys((*first, *map(chr, range(128))))


# Characters beyond ASCII that equal an ASCII letter if case does not matter.
_FOLDED: Final = {"k": "\u212a", "s": "\u017f"}


def in_both_cases(one: CharSet) -> CharSet:
    """The set with the characters that differ from its ASCII letters by their case alone."""
    added = [
        (ord(other), ord(other))
        for letter in string.ascii_letters
        if any(low <= ord(letter) <= high for low, high in one.ranges)
        for other in (letter.swapcase(), _FOLDED.get(letter.lower(), letter))
    ]
    return CharSet((*one.ranges, *added), one.classes, one.is_negated)
