"""The rule that every limit keeps, checked over all intervals."""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    pass


def worst(admitted: list[tuple[int, float]], window_us: int) -> float:
    """The most that any interval of this length holds."""
    ordered = sorted(admitted)
    times = [time_us for time_us, _ in ordered]
    most = held = 0.0
    first = 0
    for at, (time_us, units) in enumerate(ordered):
        held += units
        start = bisect_left(times, time_us - window_us + 1, first, at + 1)
        held -= sum(units for _, units in ordered[first:start])
        first = start
        most = max(most, held)
    return most
