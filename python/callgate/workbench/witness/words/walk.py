"""Words for every combination of acceptance by several automata."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from callgate.workbench.witness.words.charsets import alphabet

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from callgate.workbench.witness.words.automaton import Reader

_MOST_STEPS: Final = 30_000
"""Characters that all readers of one walk read, over all words."""


@dataclass(frozen=True)
class Walk:
    """The words that were found."""

    words: dict[tuple[bool, ...], str]
    """The shortest word for each combination: which readers accept it."""
    is_complete: bool
    """True if no word has another combination."""


def walk(readers: Sequence[Reader], most: int = _MOST_STEPS) -> Walk:
    """Reads all words at once, the shortest first.

    Args:
        readers: The automata.
        most: The characters to try, times the readers.
    """
    letters = alphabet(frozenset(one for reader in readers for one in reader.sets))
    start: tuple[Hashable, ...] = tuple(reader.start() for reader in readers)
    reached = {start: ""}
    open_ = deque([start])
    found: dict[tuple[bool, ...], str] = {}
    steps = 0
    while open_:
        states = open_.popleft()
        word = reached[states]
        accepted = tuple(reader.accepts(state) for reader, state in zip(readers, states, strict=True))
        # A word with characters says more to people than the empty one.
        if not found.get(accepted):
            found[accepted] = word
        for character in letters.characters:
            steps += len(readers)
            if steps > most:
                return Walk(found, is_complete=False)
            after = tuple(reader.step(state, character) for reader, state in zip(readers, states, strict=True))
            if after not in reached:
                reached[after] = word + character
                open_.append(after)
    return Walk(found, is_complete=letters.is_complete)
