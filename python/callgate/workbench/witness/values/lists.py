"""Lists over which `[*]` goes."""

from __future__ import annotations

from itertools import combinations, product
from typing import TYPE_CHECKING, Any, Final

from callgate.workbench.witness.absent import ABSENT

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_MOST_LISTS: Final = 2_000


def lists_of(elements: Sequence[Any], conditions: int) -> tuple[list[list[Any]], bool]:
    """Lists of up to as many elements as there are conditions, also the empty one; and if these are all that matter.

    Each condition over a list takes the result of one of its elements, so that so many elements give every combination
    of results.
    """
    kept = [one for one in elements if one is not ABSENT]
    found: list[list[Any]] = []
    for made in _all(kept, conditions):
        if len(found) == _MOST_LISTS:
            return found, False
        found.append(made)
    return found, True


def ordered_lists_of(elements: Sequence[Any], longest: int) -> tuple[list[list[Any]], bool]:
    """Lists of up to so many elements in every order, for conditions that look at elements by index, too."""
    kept = [one for one in elements if one is not ABSENT]
    found: list[list[Any]] = []
    for size in range(longest + 1):
        for made in product(kept, repeat=size):
            if len(found) == _MOST_LISTS:
                return found, False
            found.append(list(made))
    return found, True


def _all(elements: Sequence[Any], most: int) -> Iterator[list[Any]]:
    for size in (*range(1, most + 1), 0):
        yield from (list(chosen) for chosen in combinations(elements, size))
