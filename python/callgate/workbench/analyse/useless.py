"""Limits that another limit makes useless (CG133).

Limit B is useless beside limit A if every call that takes from B takes from A, and A cannot admit so much in a window
of B that B runs out before A. A admits at most its `max` in each of its windows; so in a window of B it admits at most
as many times its `max` as windows of A are needed to cover one of B.
"""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Final

from callgate.text import quoted
from callgate.workbench.analyse.findings import Witness, finding
from callgate.workbench.analyse.limits import removal
from callgate.workbench.rules import Path

if TYPE_CHECKING:
    from collections.abc import Iterator

    from callgate.workbench.analyse.findings import Finding
    from callgate.workbench.analyse.run import Run
    from callgate.workbench.rules import Entry, Limit, Window

_EXACT_UNITS: Final = 256
"""`max` up to which a count of whole units is exact (`docs/counters.md`)."""
_LATE: Final = Fraction(65, 64)
"""Part of a window up to which other counts may give units back late."""

_MOST_PAIRS: Final = 2_000

_COVERING: Final = {
    # The number of calendar windows of the second kind that one of the first kind touches at most.
    ("minute", "minute"): 1,
    ("minute", "hour"): 1,
    ("minute", "day"): 1,
    ("minute", "week"): 1,
    ("minute", "month"): 1,
    ("hour", "minute"): 60,
    ("hour", "hour"): 1,
    ("hour", "day"): 1,
    ("hour", "week"): 1,
    ("hour", "month"): 1,
    ("day", "minute"): 1_440,
    ("day", "hour"): 24,
    ("day", "day"): 1,
    ("day", "week"): 1,
    ("day", "month"): 1,
    ("week", "minute"): 10_080,
    ("week", "hour"): 168,
    ("week", "day"): 7,
    ("week", "week"): 1,
    ("week", "month"): 2,
    ("month", "minute"): 44_640,
    ("month", "hour"): 744,
    ("month", "day"): 31,
    ("month", "week"): 6,
    ("month", "month"): 1,
}


def of_useless(run: Run) -> Iterator[Finding]:
    """The findings about useless limits of a whole policy."""
    policy = run.subject.policy
    places: dict[object, int] = {}
    for entry in policy.entries():
        for limit in entry.limits:
            places[limit.count] = places.get(limit.count, 0) + 1
    everywhere = policy.all_tools
    for entry in policy.entries():
        if entry.action == "deny" or entry.mode != "enforce":
            continue
        shared = everywhere.limits if entry is not everywhere and everywhere.mode == "enforce" else ()
        beside = [*entry.limits, *shared]
        if len(entry.limits) * len(beside) > _MOST_PAIRS:
            run.note(entry.pointer, entry.at, "it has too many limits to compare them all")
            continue
        yield from _of_entry(entry, beside, places)


def _of_entry(entry: Entry, beside: list[Limit], places: dict[object, int]) -> Iterator[Finding]:
    gone: set[int] = set()
    for index, limit in enumerate(entry.limits):
        for number, other in enumerate(beside):
            if number == index or number in gone or other.count == limit.count:
                continue
            # Calls of other places would take from the count too.
            if places[limit.count] > 1 or not _is_useless(limit, other):
                continue
            gone.add(index)
            mine, others = quoted(limit.pointer), quoted(other.pointer)
            message = f"{mine} refuses no call that {others} does not refuse as well; delete it"
            text = (
                f"{other.max} units per {_shown(other.window)} are never more than {limit.max} per "
                f"{_shown(limit.window)}, and every call that takes from this limit takes from that one"
            )
            # Where both are used up, the first one is named; so only a later one can go without a trace.
            fix = removal(limit) if number < index and limit.at[-2] == "limits" else None
            yield finding("CG133", message, limit.pointer, limit.at, Witness(text), fix=fix)
            break


def _is_useless(limit: Limit, other: Limit) -> bool:
    if limit.asks_at_max or other.asks_at_max or not _counts_as_finely(limit, other):
        return False
    ratio = _cost_ratio(limit, other)
    windows = _windows(limit, other)
    if ratio is None or windows is None:
        return False
    return windows * Fraction(other.max) * ratio <= Fraction(limit.max)


def _counts_as_finely(limit: Limit, other: Limit) -> bool:
    """True if calls of one count of the limit are of one count of the other, and need no further argument."""
    ours, theirs = _scope(limit), _scope(other)
    arguments = {one for one in ours if one.startswith("args")}
    return theirs <= ours and arguments <= theirs


def _scope(limit: Limit) -> set[str]:
    found = set(limit.scope) - {"global"}
    # A session is a grant's session.
    return found | {"grant"} if "session" in found else found


def _cost_ratio(limit: Limit, other: Limit) -> Fraction | None:
    """Units of a call at the limit for each unit at the other one; None if nothing can be said."""
    ours, theirs = limit.cost, other.cost
    if isinstance(ours, Path) or isinstance(theirs, Path):
        same = isinstance(ours, Path) and isinstance(theirs, Path)
        return Fraction(1) if same and (ours.root, ours.keys) == (theirs.root, theirs.keys) else None  # type: ignore[union-attr]
    if theirs <= 0 or ours <= 0 or theirs > other.max or ours > limit.max:
        return None
    return Fraction(ours) / Fraction(theirs)


def _windows(limit: Limit, other: Limit) -> int | None:
    """The number of windows of the other limit that cover one of the limit."""
    ours, theirs = limit.window, other.window
    if ours.align != theirs.align:
        # They run on different clocks.
        return None
    if ours.align == "calendar":
        return _COVERING[ours.period or "", theirs.period or ""]
    length = Fraction(ours.ms or 0)
    if not _is_exact(limit):
        length *= _LATE
    return -(-length // Fraction(theirs.ms or 1))


def _is_exact(limit: Limit) -> bool:
    is_whole = isinstance(limit.cost, (int, Decimal)) and limit.cost == int(limit.cost)
    return is_whole and limit.max <= _EXACT_UNITS


def _shown(window: Window) -> str:
    if window.align == "calendar":
        return f"calendar {window.period}"
    ms = window.ms or 0
    for factor, name in ((86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s")):
        if ms % factor == 0:
            return f"{ms // factor}{name}"
    return f"{ms}ms"
