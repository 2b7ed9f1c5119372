"""Proof that a limit refuses every call that another one refuses (`docs/policy.md` section 4)."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from callgate.workbench.diff.canonical_rules import cost_form
from callgate.workbench.rules.conditions import Path
from callgate.workbench.rules.paths import parse_path

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping, Sequence

    from callgate.workbench.rules import Limit, Window

_DAY_MS: Final = 86_400_000
_PERIODS: Final = {
    "minute": (60_000, 60_000),
    "hour": (3_600_000, 3_600_000),
    "day": (_DAY_MS, _DAY_MS),
    "week": (7 * _DAY_MS, 7 * _DAY_MS),
    "month": (28 * _DAY_MS, 31 * _DAY_MS),
}
"""The least and the greatest length of each period in milliseconds."""

_LARGEST_EXACT: Final = 256
"""Units up to which a sliding window is exact (`docs/counters.md`)."""

_LATE: Final = 64
"""Part of a sliding window by which units may come back late above that."""


@dataclass(frozen=True)
class CountedLimit:
    """A limit as it applies to one tool, with what it is shared with."""

    limit: Limit
    """The first limit of its count."""
    parts: frozenset[Hashable]
    """Everything of which each value has a count of its own, also where that follows from its users."""
    users: Mapping[str, frozenset[Hashable]]
    """The entries that may take from the same count, with their costs; empty if the tool counts alone."""
    constant: Decimal
    """The largest constant cost of a call."""
    paths: frozenset[Hashable]
    """The arguments that are costs, too: a call takes the largest cost."""

    @property
    def calls(self) -> int | None:
        """The calls of a constant cost that fit into a window; None if the cost is none or of an argument."""
        if self.paths or not self.constant:
            return None
        return int(Decimal(self.limit.max) // self.constant)

    @property
    def is_free(self) -> bool:
        """True if no call takes anything."""
        return not self.paths and not self.constant

    @property
    def is_uniform(self) -> bool:
        """True if every call that takes from the count takes as much as those of this tool."""
        return len(set(self.users.values())) <= 1

    @property
    def is_exact(self) -> bool:
        """True if units come back exactly when the window has passed."""
        is_whole = not self.paths and self.constant == int(self.constant)
        exact = self.limit.max <= _LARGEST_EXACT and is_whole and not self.limit.asks_at_max
        return exact or self.limit.window.align == "calendar"


def counted(
    limits: Sequence[Limit],
    users: Mapping[str, frozenset[Hashable]],
    pointer: str,
    *,
    is_one_tool: bool,
    is_one_server: bool,
) -> CountedLimit:
    """The limits of one count as they apply to a tool.

    Args:
        limits: The limits; they have the same window, scope and `max`.
        users: The entries that use the count, by pointer.
        pointer: The pointer of the first one's entry.
        is_one_tool: True if the entry is for one exact name.
        is_one_server: True if the policy serves one server alone.
    """
    limit = limits[0]
    parts: set[Hashable] = set()
    for part in limit.scope:
        parts.add(parse_path(part).keys if part.startswith("args") else part)
    parts.discard("global")
    if "session" in parts:
        # A session is one of a grant.
        parts.add("grant")
    if is_one_server:
        parts.add("server")
    is_alone = "tool" in parts or (is_one_tool and set(users) == {pointer})
    if is_alone:
        parts.add("tool")
    return CountedLimit(
        limit,
        frozenset(parts),
        {} if is_alone else users,
        constant=max((Decimal(one.cost) for one in limits if not isinstance(one.cost, Path)), default=Decimal(0)),
        paths=frozenset(cost_form(one.cost) for one in limits if isinstance(one.cost, Path)),
    )


def dominates(strict: CountedLimit, loose: CountedLimit, *, is_late: bool = True) -> bool:
    """True if it is proven that `strict` has too little left whenever `loose` has.

    Both count the same calls, all of which both have admitted.

    Args:
        strict: One limit.
        loose: The other.
        is_late: Consider that the units of a count that is not exact may come back late.
    """
    if not strict.parts <= loose.parts or not _shares(strict, loose):
        return False
    if loose.is_free:
        # A call that costs nothing is never refused.
        return True
    windows = _windows(strict, loose, is_late=is_late)
    takes_as_much = loose.paths <= strict.paths and loose.constant <= strict.constant
    if takes_as_much and Decimal(strict.limit.max) * windows <= Decimal(loose.limit.max):
        return True
    # Where every call takes as much as any other, the calls are counted: what is left over of `max` fits no call.
    is_alone = not loose.users or (loose.is_uniform and strict.is_uniform and takes_as_much)
    if strict.calls is None or loose.calls is None or not is_alone:
        return False
    return strict.calls * windows <= loose.calls


def _shares(strict: CountedLimit, loose: CountedLimit) -> bool:
    """True if every entry that takes from the count of `loose` takes as much from that of `strict`."""
    if not loose.users:
        return True
    return all(strict.users.get(pointer) == cost for pointer, cost in loose.users.items())


def _windows(strict: CountedLimit, loose: CountedLimit, *, is_late: bool) -> int:
    """Windows of `strict` that can fall, also in part, into one of `loose`."""
    ours, theirs = strict.limit.window, loose.limit.window
    if ours == theirs and (strict.is_exact == loose.is_exact or loose.is_exact or not is_late):
        return 1
    length = _length(theirs)[1]
    if theirs.align == "sliding" and not loose.is_exact and is_late:
        length += -(-length // _LATE)
    if ours.align == "sliding":
        return -(-length // _length(ours)[0])
    is_inner = ours.align == theirs.align and _nests(theirs, ours)
    if is_inner:
        return 1
    whole = -(-length // _length(ours)[0])
    return whole if ours.align == theirs.align and _nests(ours, theirs) else whole + 1


def _nests(inner: Window, outer: Window) -> bool:
    """True if each calendar window of one kind lies in one of the other."""
    order = ("minute", "hour", "day")
    if str(inner.period) not in order:
        return inner.period == outer.period
    return outer.period not in order or order.index(str(inner.period)) <= order.index(str(outer.period))


def _length(window: Window) -> tuple[int, int]:
    """The least and the greatest length in milliseconds."""
    return _PERIODS[str(window.period)] if window.ms is None else (window.ms, window.ms)
