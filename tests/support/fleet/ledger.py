"""The calls that callers were allowed, checked against the promise of each limit over all callgates."""

from __future__ import annotations

import itertools
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

SLEW = 0.001
"""Part of a window by which the clock of a window and that of the test may differ: the kernel corrects the time of day
by at most 0.05 %, and windows of the store are on that."""
_MICRO = 1_000_000


@dataclass(frozen=True)
class Limit:
    """A limit that callers can see from outside."""

    name: str
    most: float
    """The highest number of units in a window."""
    window_s: float
    is_strict: bool = False
    """True if the store counts each unit by its own clock."""


@dataclass(frozen=True)
class Admission:
    """An allowed call: it was admitted at some moment between the two."""

    before: float
    after: float
    micros: int
    """Its units, in millionths."""
    by: int
    """The number of the callgate."""


@dataclass
class Ledger:
    """The admissions of several limits, by the clock of the test. Every thread may record."""

    limits: Sequence[Limit]
    admissions: dict[str, list[Admission]] = field(default_factory=lambda: defaultdict(list))
    steps: list[float] = field(default_factory=list)
    """Moments at which the store's clock was set forward: strict limits may begin anew there."""

    def record(self, name: str, before: float, after: float, by: int, units: float = 1) -> None:
        """Records an allowed call of a limit."""
        self.admissions[name].append(Admission(before, after, round(units * _MICRO), by))

    def last(self, name: str, by: int) -> float:
        """The moment at which a callgate admitted last, by a limit; long ago if it never did."""
        # Others append meanwhile.
        found = (one.after for one in reversed(list(self.admissions[name])) if one.by == by)
        return next(found, float("-inf"))

    def most(self, limit: Limit) -> float:
        """The most units that were surely admitted in one window."""
        admitted = self.admissions[limit.name]
        parts = _parts(admitted, self.steps) if limit.is_strict else [admitted]
        window_s = limit.window_s * (1 - SLEW)
        return max(surely(part, window_s) for part in parts) / _MICRO

    def excesses(self) -> list[str]:
        """The limits that were exceeded, with the worst window of each."""
        found = [(limit, self.most(limit)) for limit in self.limits]
        return [f"{limit.name}: {most:g} of {limit.most:g}" for limit, most in found if most > limit.most]

    def lines(self) -> Iterable[str]:
        """A line for each limit: what was admitted, and in the worst window."""
        for limit in self.limits:
            admitted = self.admissions[limit.name]
            units = sum(one.micros for one in admitted) / _MICRO
            yield (
                f"{limit.name:<16} {len(admitted):>8} calls {units:>10g} units, "
                f"at most {self.most(limit):g} of {limit.most:g} in {limit.window_s:g} s"
            )


def surely(admitted: Sequence[Admission], window_s: float) -> int:
    """The most micros of calls that began and ended within one window, whatever the moments of their admission."""
    begins = sorted(range(len(admitted)), key=lambda index: admitted[index].before)
    ends = sorted(range(len(admitted)), key=lambda index: admitted[index].after)
    is_held = [False] * len(admitted)
    most = held = reached = 0
    for first in begins:
        begin = admitted[first].before
        while reached < len(ends) and admitted[ends[reached]].after < begin + window_s:
            index = ends[reached]
            reached += 1
            if admitted[index].before >= begin:
                is_held[index] = True
                held += admitted[index].micros
        most = max(most, held)
        if is_held[first]:
            is_held[first] = False
            held -= admitted[first].micros
    return most


def _parts(admitted: Sequence[Admission], steps: Sequence[float]) -> list[list[Admission]]:
    """The admissions that lie between steps of a clock; those that a step divides are in no part."""
    edges = [float("-inf"), *sorted(steps), float("inf")]
    return [
        [one for one in admitted if begin < one.before and one.after < end] for begin, end in itertools.pairwise(edges)
    ]
