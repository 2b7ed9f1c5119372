"""Differences that show after some calls: limits, and what they are counted by."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Final

from callgate.workbench.diff.dominance import CountedLimit, counted, dominates
from callgate.workbench.diff.judges import Judge, Rank, rank_of
from callgate.workbench.diff.sequences import (
    LONGEST,
    CallSequence,
    Race,
    calls_until_refused,
    start_times,
    value_at,
    with_value,
)
from callgate.workbench.rules.conditions import Path

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator, Sequence

    from callgate.workbench.diff.sides import Side, Stack
    from callgate.workbench.rules import Entry, Limit
    from callgate.workbench.witness import Call

_MOST_VARIANTS: Final = 12
"""Costs that are tried for one call."""

_USED_UP: Final = "the sequences of this comparison have reached their largest number of calls"

_MOST_CALLS: Final = 10_000
"""Calls of all sequences that are tried for one limit, beside one sequence of the length that it needs."""


@dataclass
class Allowance:
    """The calls that all sequences of a comparison may still make."""

    calls: int


@dataclass
class Counted:
    """The result of a search in one direction."""

    sequences: list[CallSequence] = field(default_factory=list)
    unknown: list[tuple[CountedLimit, str]] = field(default_factory=list)
    """Limits that may refuse a sequence which the other policy admits, with the reason why it is not known."""
    late: list[CountedLimit] = field(default_factory=list)
    """Limits that may refuse one only because their units come back late."""


def limits_of(side: Side, stack: Stack, idle: frozenset[str], *, is_one_server: bool) -> list[CountedLimit]:
    """The enforced limits that apply to a tool.

    Args:
        side: The policy.
        stack: Its rules for the tool.
        idle: The pointers of entries that take from no count.
        is_one_server: True if the policy serves one server alone.
    """
    by_count: dict[Hashable, list[tuple[Entry, Limit]]] = {}
    for entry in stack.enforced:
        for limit in entry.limits:
            by_count.setdefault(limit.count, []).append((entry, limit))
    return [
        counted(
            [limit for _, limit in limits],
            {pointer: costs for pointer, costs in side.users[count].items() if pointer not in idle},
            limits[0][0].pointer,
            is_one_tool=(pattern := limits[0][0].pattern) is not None and pattern.name is not None,
            is_one_server=is_one_server,
        )
        for count, limits in by_count.items()
    ]


@dataclass(frozen=True)
class Counting:
    """One side of a search for sequences."""

    judge: Judge
    limits: Sequence[CountedLimit]


def sequences_ranked_higher(
    high: Counting,
    low: Counting,
    calls: Sequence[Call],
    others: Sequence[tuple[str, Call]],
    names: Sequence[str],
    allowance: Allowance,
) -> Counted:
    """Sequences that the first policy ranks above the second: one for each limit of the second that may show it.

    Args:
        high: The limits and the engines of the first policy.
        low: Those of the second.
        calls: First calls that both policies admit.
        others: Calls of other tools that both admit, each with the pointer of an entry that applies to it.
        names: Names of tools to which the same rules apply.
        allowance: The calls that may be made.
    """
    found = Counted()
    for limit in low.limits:
        strict = [one for one in high.limits if limit.limit.asks_at_max or not one.limit.asks_at_max]
        if any(dominates(one, limit) for one in strict):
            continue
        if any(dominates(one, limit, is_late=False) for one in strict):
            found.late.append(limit)
            continue
        longest = max((calls_until_refused(limit, call) or 0 for call in calls), default=0)
        most = min(_MOST_CALLS + 2 * min(longest, LONGEST), allowance.calls)
        race = Race(high.judge, low.judge, most)
        shown = _shown(race, limit, high, low, calls, others, names)
        allowance.calls -= most - max(0, race.left)
        if shown is not None:
            if not any(_is_same(shown, one) for one in found.sequences):
                found.sequences.append(shown)
        else:
            reason = _reason(limit, calls) if allowance.calls > 0 else _USED_UP
            found.unknown.append((limit, reason))
    return found


def _shown(
    race: Race,
    limit: CountedLimit,
    high: Counting,
    low: Counting,
    calls: Sequence[Call],
    others: Sequence[tuple[str, Call]],
    names: Sequence[str],
) -> CallSequence | None:
    for call in _with_costs(calls, [*high.limits, *low.limits], race):
        most = calls_until_refused(limit, call)
        if most is None or most > LONGEST:
            continue
        for call_at in _orders(call, most, limit, high.limits, others, names):
            for start_ms in start_times(call, [*high.limits, *low.limits]):
                if (shown := race.run(call_at, start_ms, most + 1)) is not None:
                    return shown
    return None


def _with_costs(calls: Sequence[Call], limits: Sequence[CountedLimit], race: Race) -> Iterator[Call]:
    """The calls with costs that use up limits in few calls, as far as both policies admit them."""
    paths = {one.limit.cost.text: one.limit.cost for one in limits if isinstance(one.limit.cost, Path)}
    for call in calls:
        variants = [call]
        for path in paths.values():
            most = sorted({Decimal(one.limit.max) for one in limits if one.limit.cost == path and one.limit.max > 0})
            costs = [
                *most,
                *(one / 2 for one in most),
                *(one / 10 for one in most),
                Decimal(1),
                Decimal("0.5"),
                Decimal(0),
            ]
            if value_at(path, call.args) is not None:
                variants = [with_value(path, one, _plain(cost)) for one in variants for cost in costs] + variants
        for one in variants[: _MOST_VARIANTS * max(1, len(paths))]:
            if all(rank_of(judge.decide(one)) == Rank.ALLOWED for judge in (race.high, race.low)):
                yield one


def _plain(number: Decimal) -> int | Decimal:
    return int(number) if number == number.to_integral_value() else round(number, 6)


def _orders(
    call: Call,
    most: int,
    limit: CountedLimit,
    strict: Sequence[CountedLimit],
    others: Sequence[tuple[str, Call]],
    names: Sequence[str],
) -> Iterator[Callable[[int], Call]]:
    """Orders of calls: equal ones; then, where the first policy counts apart, calls that differ in that one value."""
    last = most - 1
    yield partial(_changing, call, call, last)
    parts = sorted({part for one in strict for part in one.parts} - limit.parts, key=str)
    for part in parts:
        for other in _differing(call, part, names):
            yield partial(_changing, call, other, last)
            yield partial(_changing, other, call, last)
        if part in ("session", "grant"):
            yield partial(_numbered, call, part)
    shared = {pointer for pointer in limit.users if any(pointer not in one.users for one in strict) or not strict}
    for pointer, other in others:
        if pointer in shared:
            yield partial(_changing, other, call, last)


def _changing(first: Call, then: Call, last: int, number: int) -> Call:
    """One call, and another one in place of the last."""
    return first if number < last else then


def _differing(call: Call, part: Hashable, names: Sequence[str]) -> Iterator[Call]:
    match part:
        case "session":
            yield replace(call, session="session-2" if call.session != "session-2" else "session-3")
        case "grant":
            yield replace(call, grant=f"{call.grant}-2")
        case "server":
            yield replace(call, server="srv-2" if call.server != "srv-2" else "srv")
        case "tool":
            yield from (replace(call, tool=name) for name in names if name != call.tool)
        case tuple():
            path = Path("", "args", part)
            value = value_at(path, call.args)
            for other in ("callgate-example", f"{value}x", 7, 1_000):
                if other != value:
                    yield with_value(path, call, other)


def _numbered(call: Call, part: Hashable, number: int) -> Call:
    if part == "session":
        return replace(call, session=f"session-{number + 1}")
    return replace(call, grant=f"agent-{number + 1}")


def _reason(limit: CountedLimit, calls: Sequence[Call]) -> str:
    longest = max((calls_until_refused(limit, call) or 0 for call in calls), default=0)
    if longest > LONGEST:
        return f"a sequence of {longest:,} calls would show it; at most {LONGEST:,} are replayed"
    if not calls:
        return "no call is known that both policies admit"
    return "no sequence of equal calls shows a difference, and none is proven to be impossible"


def _is_same(one: CallSequence, other: CallSequence) -> bool:
    return (one.higher.rule, one.lower.rule) == (other.higher.rule, other.lower.rule)
