"""Words for every combination of acceptance by several automata."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from callgate.workbench.witness.words.charsets import alphabet

if TYPE_CHECKING:
    from collections.abc import Collection, Hashable, Sequence

    from callgate.workbench.witness.words.automaton import Reader

_MOST_STEPS: Final = 60_000
"""Characters that one walk tries, over all words."""


@dataclass(frozen=True)
class Walk:
    """The words that were found."""

    words: dict[tuple[bool, ...], str]
    """The shortest word for each combination: which readers accept it."""
    is_complete: bool
    """True if no word has another combination."""


def walk(readers: Sequence[Reader], without: Collection[str] = frozenset(), most: int = _MOST_STEPS) -> Walk:
    """Reads all words at once, the shortest first.

    Args:
        readers: The automata.
        without: Words that must not be used, as if there were none such.
        most: The characters to try.
    """
    letters = alphabet(frozenset(one for reader in readers for one in reader.sets))
    start: tuple[Hashable, ...] = tuple(reader.start() for reader in readers)
    reached = {start: ""}
    open_ = deque([start])
    found: dict[tuple[bool, ...], str] = {}
    is_all = letters.is_complete
    steps = 0
    while open_:
        states = open_.popleft()
        word = reached[states]
        accepted = tuple(reader.accepts(state) for reader, state in zip(readers, states, strict=True))
        # A word with characters says more to people than the empty one.
        if not found.get(accepted):
            if word not in without:
                found[accepted] = word
            else:
                # Another word may reach the same states; only the shortest one is known.
                is_all = False
        for character in letters.characters:
            steps += 1
            if steps > most:
                return Walk(found, is_complete=False)
            after = tuple(reader.step(state, character) for reader, state in zip(readers, states, strict=True))
            if after not in reached:
                reached[after] = word + character
                open_.append(after)
    return Walk(found, is_complete=is_all)
