"""The few bad items among many, found by judging ever smaller parts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Item = TypeVar("Item")

_PARTS: Final = 16
"""Parts of a bad part: with two, every item of a wholly bad list would be judged twelve times instead of three."""


def bad_ones(items: Sequence[Item], fault: Callable[[Sequence[Item]], str | None]) -> list[tuple[Item, str]]:
    """The items that have a fault, each with it.

    Args:
        items: The items.
        fault: Gives the fault of several items together, None if all of them are right.
    """
    if not items or (found := fault(items)) is None:
        return []
    if len(items) == 1:
        return [(items[0], found)]
    size = -(-len(items) // _PARTS)
    return [one for at in range(0, len(items), size) for one in bad_ones(items[at : at + size], fault)]
