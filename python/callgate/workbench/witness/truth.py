"""Sets of truth values as bits (`docs/policy.md` section 3).

A condition is false, presumed false, presumed true, true or an evaluation error. A set of these values says what a
condition may still be while not all values of a call are chosen.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

FALSE: Final = 1
PRESUMED_FALSE: Final = 2
PRESUMED_TRUE: Final = 4
TRUE: Final = 8
ERROR: Final = 16
ANY_TRUTH: Final = 31

BY_WORD: Final = {
    "false": FALSE,
    "presumed false": PRESUMED_FALSE,
    "presumed true": PRESUMED_TRUE,
    "true": TRUE,
    "error": ERROR,
}
"""The words of an explanation."""

# `all` takes the least in the first order and `any` the greatest in the second one: an error stands where it hides
# every value that does not settle the result alone.
_ORDER_OF_ALL: Final = (FALSE, ERROR, PRESUMED_FALSE, PRESUMED_TRUE, TRUE)
_ORDER_OF_ANY: Final = (FALSE, PRESUMED_FALSE, PRESUMED_TRUE, ERROR, TRUE)
_NEGATED: Final = {
    FALSE: TRUE,
    PRESUMED_FALSE: PRESUMED_TRUE,
    PRESUMED_TRUE: PRESUMED_FALSE,
    TRUE: FALSE,
    ERROR: ERROR,
}


@cache
def both(one: int, other: int) -> int:
    """The values of `all` over two conditions."""
    order = _ORDER_OF_ALL
    return _folded(one, other, lambda a, b: order[min(order.index(a), order.index(b))])


@cache
def either(one: int, other: int) -> int:
    """The values of `any` over two conditions."""
    order = _ORDER_OF_ANY
    return _folded(one, other, lambda a, b: order[max(order.index(a), order.index(b))])


@cache
def negated(values: int) -> int:
    """The values of `not`."""
    return sum(_NEGATED[one] for one in truths_in(values))


def is_upper(values: int) -> bool:
    """True if `all` is one of these values exactly if each of its conditions is."""
    return _is_tail(values, _ORDER_OF_ALL)


def is_lower(values: int) -> bool:
    """True if `any` is one of these values exactly if each of its conditions is."""
    return _is_tail(values, _ORDER_OF_ANY[::-1])


def _is_tail(values: int, order: tuple[int, ...]) -> bool:
    """True if the values are the last ones of an order, and at least one."""
    return any(values == sum(order[number:]) for number in range(len(order)))


def truths_in(values: int) -> tuple[int, ...]:
    """The single truth values of a set."""
    return tuple(one for one in _ORDER_OF_ALL if values & one)


def _folded(one: int, other: int, fold: Callable[[int, int], int]) -> int:
    found = 0
    for a in truths_in(one):
        for b in truths_in(other):
            found |= fold(a, b)
    return found
