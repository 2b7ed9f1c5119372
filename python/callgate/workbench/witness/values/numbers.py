"""Numbers around the boundaries of conditions, and one between each two of them."""

from __future__ import annotations

from decimal import Decimal, localcontext
from itertools import islice, pairwise
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

Number: TypeAlias = "int | Decimal"

_LARGEST: Final = Decimal("1e308")
"""From here on, numbers compare with none."""

_DIGITS: Final = 700
"""Digits of exact arithmetic; numbers of calls have up to 1,000 characters."""

_MILLION: Final = 1_000_000
"""A cost is a whole number of millionths."""

_FINEST: Final = Decimal("0.0000003")
"""More decimals than a cost may have."""


def numbers_around(boundaries: Collection[Number], *, costs: bool) -> tuple[list[Number], bool]:
    """Numbers at, beside and between some boundaries, the boundaries first; and if every other one is like one of them.

    Args:
        boundaries: Numbers that conditions compare with.
        costs: Try numbers with more decimals than a cost may have, too.
    """
    near = sorted({Decimal(one) for one in boundaries if abs(Decimal(one)) < _LARGEST and _is_short(Decimal(one))})
    found: dict[Number, None] = dict.fromkeys(map(_plain, near))
    with localcontext() as context:
        context.prec = _DIGITS
        for one in near:
            found.update(dict.fromkeys((_plain(one + 1), _plain(one - 1))))
        for low, high in pairwise(near):
            found.update(dict.fromkeys(map(_plain, _between(low, high, costs=costs))))
        for one in near if costs else ():
            found.update(dict.fromkeys((one + _FINEST, one - _FINEST)))
    found.update(dict.fromkeys((1, 0, -1)))
    if near:
        # Comparisons end in an error there.
        found.update(dict.fromkeys((int(_LARGEST), -int(_LARGEST))))
    return list(found), len(near) == len({Decimal(one) for one in boundaries})


def _between(low: Decimal, high: Decimal, *, costs: bool) -> Iterator[Decimal]:
    """One number between two, a whole one if there is one; for costs one that can be a cost, and one that cannot."""
    whole = (low + 1).to_integral_value(rounding="ROUND_FLOOR")
    middle = (low + high) / 2
    if low < whole < high:
        yield whole
    else:
        yield middle
    if costs:
        coarse = ((low * _MILLION).to_integral_value(rounding="ROUND_FLOOR") + 1) / _MILLION
        if coarse < high:
            yield coarse
        # Parts by different primes: at most a few of them have six decimals or less.
        fine = (low + (high - low) / prime for prime in (2, 3, 7, 11, 13, 17, 19))
        yield from islice((one for one in fine if one * _MILLION % 1), 1)


def _is_short(number: Decimal) -> bool:
    exponent = number.as_tuple().exponent
    return isinstance(exponent, int) and len(number.as_tuple().digits) <= _DIGITS // 4 and abs(exponent) <= _DIGITS // 2


def _plain(number: Decimal) -> Number:
    return int(number) if number == number.to_integral_value() else number
