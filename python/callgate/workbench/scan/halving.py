"""The few bad items among many, found by judging halves."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Item = TypeVar("Item")


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
    middle = len(items) // 2
    return [*bad_ones(items[:middle], fault), *bad_ones(items[middle:], fault)]
