"""Names that patterns match: an example of a pattern without others, or the proof that there is none."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from callgate.workbench.rules import Pattern

_MOST_STEPS: Final = 20_000
_MOST_PATTERNS: Final = 24
_FRESH: Final = "xyz0123456789abcdefghijklmnopqrstuvw"


@dataclass(frozen=True)
class Names:
    """The names of a pattern that no other one matches."""

    example: str | None
    """One of them; None if there is none, or none is known."""
    is_proven: bool
    """True if there is none where no example is given."""


def names_without(pattern: Pattern, others: Sequence[Pattern]) -> Names:
    """The names of a pattern that none of the others matches; the empty name is none.

    A pattern is read as an automaton whose states are positions. All are read at once, over the characters that stand
    in a pattern and one that stands in none, because the patterns cannot tell other characters apart.
    """
    known = others[:_MOST_PATTERNS]
    letters = sorted({char for one in (pattern, *known) for kind, char in one.symbols if kind == "char"})
    fresh = next((one for one in _FRESH if one not in letters), "\N{GREEK SMALL LETTER OMEGA}")
    letters.insert(0, fresh)
    start = tuple(_closed(one, {0}) for one in (pattern, *known))
    reached = {start: ""}
    open_ = deque([start])
    steps = 0
    while open_:
        states = open_.popleft()
        name = reached[states]
        if name and _accepts(pattern, states[0]):
            rest = zip(known, states[1:], strict=True)
            if not any(_accepts(one, state) for one, state in rest):
                return Names(name, is_proven=False)
        for letter in letters:
            steps += 1
            if steps > _MOST_STEPS:
                return Names(None, is_proven=False)
            after = tuple(_step(one, state, letter) for one, state in zip((pattern, *known), states, strict=True))
            if after[0] and after not in reached:
                reached[after] = name + letter
                open_.append(after)
    # Patterns that were left out would take further names away.
    return Names(None, is_proven=True)


def _closed(pattern: Pattern, states: set[int]) -> frozenset[int]:
    found = set(states)
    for state in states:
        at = state
        while at < len(pattern.symbols) and pattern.symbols[at][0] == "many":
            at += 1
            found.add(at)
    return frozenset(found)


def _step(pattern: Pattern, states: frozenset[int], letter: str) -> frozenset[int]:
    found = set()
    for state in states:
        if state == len(pattern.symbols):
            continue
        kind, character = pattern.symbols[state]
        if kind == "many":
            found.add(state)
        elif kind == "one" or character == letter:
            found.add(state + 1)
    return _closed(pattern, found)


def _accepts(pattern: Pattern, states: frozenset[int]) -> bool:
    return len(pattern.symbols) in states
