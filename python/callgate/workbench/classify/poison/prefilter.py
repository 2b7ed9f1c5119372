"""A quick look before slow patterns: words and signs without which a pattern finds nothing.

Each pattern is read into groups of words and signs, of which one must be in whatever the pattern matches. The words of
a text are looked up once, for all patterns, and a pattern is tried only if the text has one word of each of its groups.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

try:
    from re import _constants as ops
    from re import _parser as parser
except ImportError:  # Python 3.10
    import sre_constants as ops
    import sre_parse as parser

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_PREFIX: Final = 6
"""Characters that are looked at of a word whose end a pattern leaves open."""
_MOST_TEXTS: Final = 256
"""Bound of the texts that are written out of one part of a pattern."""
_MOST_CHARACTERS: Final = 4
"""Bound of a set of characters that is written out."""
_MOST_WORDS: Final = 16_384
"""Bound of the words that are remembered."""
_LONGEST_WORD: Final = 32
"""Longer words are not remembered."""
_EDGE: Final = "\b"
"""Stands for the edge of a word in the texts that a pattern is written out to."""
_OTHER: Final = "\N{REPLACEMENT CHARACTER}"
"""Stands for any character beyond ASCII: scripts without spaces have no words to look up."""
_WORD: Final = re.compile(r"\w+")

Group = frozenset[str]
"""Each one a word with `=` before it, the beginning of a word with `^` before it, or signs with `.` before them."""


class Prefilter:
    """The groups of several patterns, as bits."""

    def __init__(self, patterns: Iterable[re.Pattern[str]]) -> None:
        """Reads the patterns."""
        self.masks: list[int] = []
        """For each pattern the groups that it needs; 0 if it must always be tried."""
        bits: dict[str, int] = {}
        numbers: dict[Group, int] = {}
        for pattern in patterns:
            mask = 0
            for group in needed(pattern):
                bit = 1 << numbers.setdefault(group, len(numbers))
                mask |= bit
                for one in group:
                    bits[one] = bits.get(one, 0) | bit
            self.masks.append(mask)
        self._other = bits.pop(_OTHER, 0)
        self._words = {one: bit for one, bit in bits.items() if one[0] != "."}
        self._signs = [(one[1:], bit) for one, bit in bits.items() if one[0] == "."]
        self._remembered = lru_cache(maxsize=_MOST_WORDS)(self._of_word)

    def found(self, text: str) -> int:
        """The groups that a text has something of."""
        bits = 0 if text.isascii() else self._other
        for word in set(_WORD.findall(text)):
            bits |= self._remembered(word) if len(word) <= _LONGEST_WORD else self._of_word(word)
        for sign, bit in self._signs:
            if sign in text:
                bits |= bit
        return bits

    def _of_word(self, word: str) -> int:
        bits = self._words.get(f"={word}", 0)
        for length in range(1, min(len(word), _PREFIX) + 1):
            bits |= self._words.get(f"^{word[:length]}", 0)
        return bits


def needed(pattern: re.Pattern[str]) -> frozenset[Group]:
    """The groups of a pattern; none if nothing is known of it."""
    if pattern.flags & (re.IGNORECASE | re.VERBOSE):
        return frozenset()
    try:
        part = _read(parser.parse(pattern.pattern))
    except (AttributeError, TypeError, ValueError):
        # The parser belongs to Python and may change: then the pattern is always tried.
        return frozenset()
    return frozenset(group for texts in part.every() if (group := _group(texts)))


class _Part(NamedTuple):
    """A part of a pattern."""

    exact: frozenset[str] | None
    """Every text that it matches; None if they are too many to write out."""
    groups: tuple[frozenset[str], ...] = ()
    """Further texts: of each group one is in whatever it matches."""
    is_closed: bool = False
    """Whatever it matches ends at the edge of a word; for parts that are not written out."""
    is_optional: bool = False
    """It also matches nothing; for parts that are not written out."""

    def every(self) -> tuple[frozenset[str], ...]:
        """All groups."""
        return self.groups if self.exact is None else (*self.groups, self.exact)


_UNKNOWN: Final = _Part(None)
_EMPTY: Final = frozenset({""})
_AT_EDGE: Final = frozenset({_EDGE})


def _read(items: Iterable[tuple[Any, Any]], run: frozenset[str] = _EMPTY) -> _Part:
    """Reads a sequence, which begins at the edge of a word if `run` is that."""
    groups: list[frozenset[str]] = []
    is_exact = True
    is_optional = True
    for op, value in items:
        part = _item(op, value, _AT_EDGE if _is_closed(run) else _EMPTY)
        groups += part.groups
        if part.exact is not None and len(part.exact) > 1:
            # Written out to longer texts, each of several parts in a row would stand for one word of all of them.
            groups.append(part.exact)
        if part.exact is not None and len(run) * len(part.exact) <= _MOST_TEXTS:
            run = frozenset(before + after for before in run for after in part.exact)
            continue
        groups.append(run)
        is_exact = False
        if part.exact is not None:
            is_optional = is_optional and _has_empty(run)
            run = part.exact
            continue
        is_optional = is_optional and _has_empty(run) and part.is_optional
        is_edge = part.is_closed and (not part.is_optional or _is_closed(run))
        run = _AT_EDGE if is_edge else _EMPTY
    if is_exact:
        return _Part(run, tuple(groups))
    return _Part(None, (*groups, run), _is_closed(run), is_optional and _has_empty(run))


def _is_closed(texts: frozenset[str]) -> bool:
    return all(text and not _WORD.match(text[-1]) for text in texts)


def _has_empty(texts: frozenset[str]) -> bool:
    return any(not text.strip(_EDGE) for text in texts)


def _item(op: Any, value: Any, start: frozenset[str]) -> _Part:  # noqa: ANN401, PLR0911  types of the parser, a line for each
    """Reads an item of a sequence; `start` is the edge of a word if it begins there."""
    if op is ops.LITERAL:
        return _Part(frozenset(one + chr(value) for one in start))
    if op is ops.AT:
        return _Part(_AT_EDGE if value is ops.AT_BOUNDARY else _EMPTY)
    if op is ops.ASSERT_NOT:
        return _Part(_EMPTY)
    if op is ops.ASSERT:
        direction, items = value
        return _Part(_EMPTY, _read(items, start if direction > 0 else _EMPTY).every())
    if op is ops.IN:
        return _characters(value, start)
    if op is ops.BRANCH:
        return _branch([_read(one, start) for one in value[1]])
    if op is ops.SUBPATTERN and not (value[1] or value[2]):
        return _read(value[3], start)
    if op is ops.MAX_REPEAT or op is ops.MIN_REPEAT:
        least, most, items = value
        return _repeated(least, most, _read(items, start if most == 1 else _EMPTY))
    return _UNKNOWN


def _repeated(least: int, most: int, inner: _Part) -> _Part:
    is_closed = inner.is_closed if inner.exact is None else _is_closed(inner.exact)
    is_optional = inner.is_optional if inner.exact is None else _has_empty(inner.exact)
    if least:
        return inner if most == 1 else _Part(None, inner.every(), is_closed, is_optional)
    if most == 1 and inner.exact is not None and not inner.groups:
        return _Part(inner.exact | _EMPTY)
    return _Part(None, (), is_closed, is_optional=True)


def _characters(value: Sequence[tuple[Any, Any]], start: frozenset[str]) -> _Part:
    if len(value) <= _MOST_CHARACTERS and all(op is ops.LITERAL for op, _ in value):
        return _Part(frozenset(one + chr(code) for one in start for _, code in value))
    gaps = (ops.CATEGORY_SPACE, ops.CATEGORY_NOT_WORD)
    is_gap = all(
        code in gaps if op is ops.CATEGORY else op is ops.LITERAL and not _WORD.match(chr(code)) for op, code in value
    )
    return _Part(None, (), is_gap)


def _branch(parts: Sequence[_Part]) -> _Part:
    """Reads alternatives: of each the best group, since one of these is there."""
    exact = [part.exact for part in parts if part.exact is not None]
    if len(exact) == len(parts):
        joined = frozenset[str]().union(*exact)
        if len(joined) <= _MOST_TEXTS:
            return _Part(joined)
    is_closed = all(part.is_closed if part.exact is None else _is_closed(part.exact) for part in parts)
    is_optional = any(part.is_optional if part.exact is None else _has_empty(part.exact) for part in parts)
    best: frozenset[str] = frozenset()
    for part in parts:
        usable = [texts for texts in part.every() if _group(texts)]
        if not usable:
            return _Part(None, (), is_closed, is_optional)
        group: frozenset[str] = min(usable, key=_rank)
        best = best | group
    return _Part(None, (best,), is_closed, is_optional)


def _rank(texts: frozenset[str]) -> tuple[int, int, list[str]]:
    """An order in which groups of long words come first."""
    return -min(len(one) for one in _group(texts)), len(texts), sorted(texts)


def _group(texts: frozenset[str]) -> Group:
    """One word or sign of each text; none if one of the texts has none."""
    found = [_best(text) for text in texts]
    return frozenset(one for one in found if one) if all(found) else frozenset()


def _best(text: str) -> str:
    """The longest word of a text that begins there, else a sign; empty if there is neither."""
    words = [
        f"={found[0]}" if found.end() < len(text) else f"^{found[0][:_PREFIX]}"
        for found in _WORD.finditer(text)
        if found.start()
    ]
    if words:
        return max(words, key=lambda word: (len(word), word[0] == "=", word))
    if not text.isascii():
        return _OTHER
    signs = [one for one in re.split(r"[\w\x08\s]+", text) if one]
    return "." + max(signs, key=lambda one: (len(one), one)) if signs else ""
