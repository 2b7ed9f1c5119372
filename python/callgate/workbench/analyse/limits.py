"""Limits that callers walk around, that no call fits, or that count nothing (CG131, CG132, CG134 to CG136)."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from callgate.outcome import Outcome
from callgate.text import quoted
from callgate.workbench.analyse.arguments import value_in, with_value
from callgate.workbench.analyse.findings import Fix, Witness, WitnessCall, finding
from callgate.workbench.analyse.run import decided
from callgate.workbench.rules import Path
from callgate.workbench.rules.paths import parse_path

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from callgate.workbench.analyse.findings import Finding
    from callgate.workbench.analyse.run import Run
    from callgate.workbench.rules import Entry, Limit
    from callgate.workbench.witness import Call

_MOST_CALLS: Final = 100
"""Calls that a witness makes; of a limit above it, the rest is told."""
_FRESH_VALUES: Final = 3


def of_limits(run: Run, entry: Entry, tool: str | None) -> Iterator[Finding]:
    """The findings about the limits of one entry."""
    if entry.action == "deny":
        return
    beside = _beside(run, entry)
    for limit in entry.limits:
        if not isinstance(limit.cost, Path):
            if limit.cost > limit.max and not limit.asks_at_max:
                text = f"each call costs {limit.cost}, and `max` is {limit.max}"
                message = f"{text}, so that {quoted(limit.pointer)} denies every call; raise `max` or lower `cost`"
                yield finding("CG134", message, limit.pointer, limit.at, Witness(text))
                continue
            if limit.cost == 0:
                message = f"{quoted(limit.pointer)} counts nothing, because its cost is 0; delete it, or give it a cost"
                yield finding("CG135", message, limit.pointer, limit.at, Witness("each call costs 0 units"))
                continue
        if tool is None or limit.asks_at_max or entry.mode != "enforce":
            continue
        chosen = [one for one in limit.scope if one == "session" or one.startswith("args")]
        if chosen and not any(_bounds(one) for one in beside):
            yield from _chosen(run, entry, tool, limit, chosen)
        elif isinstance(limit.cost, Path) and not any(_bounds(one) and _is_paid(one) for one in beside):
            yield from _free(run, entry, tool, limit)


def _beside(run: Run, entry: Entry) -> Sequence[Limit]:
    """The enforced limits that apply to every call of an entry."""
    everywhere = run.subject.policy.all_tools
    shared = everywhere.limits if everywhere.mode == "enforce" else ()
    return entry.limits if entry is everywhere else (*entry.limits, *shared)


def _bounds(limit: Limit) -> bool:
    """True if a caller cannot begin a new count of it."""
    return not any(one == "session" or one.startswith("args") for one in limit.scope)


def _is_paid(limit: Limit) -> bool:
    return not isinstance(limit.cost, Path) and limit.cost > 0


def _chosen(run: Run, entry: Entry, tool: str, limit: Limit, chosen: list[str]) -> Iterator[Finding]:
    is_session = "session" in chosen
    for call in run.admitted(entry, tool):
        if not isinstance(limit.cost, Path):
            paid = call
        else:
            # A whole limit in one call, so that the next one of the same count is refused.
            costly = with_value(call, limit.cost, limit.max)
            if costly is None:
                continue
            paid = costly
        made = _refilled(run, paid, limit, chosen, is_session=is_session)
        if made is None:
            continue
        if is_session:
            message = (
                f"{quoted(limit.counter)} counts per session, and a new session begins at zero; put a limit with scope "
                "`grant` beside it"
            )
            text = "after the limit of one session is used up, the same grant goes on with another session"
        else:
            message = (
                f"{quoted(limit.counter)} counts per {', '.join(map(quoted, chosen))}, and a new value begins at zero; "
                "put a limit with scope `grant` beside it"
            )
            text = "after the limit of one value is used up, the same grant goes on with another value"
        code = "CG131" if is_session else "CG132"
        yield finding(code, message, limit.pointer, limit.at, Witness(text, made))
        return


def _refilled(
    run: Run, call: Call, limit: Limit, chosen: list[str], *, is_session: bool
) -> tuple[WitnessCall, ...] | None:
    """Calls of which one is refused and the next one, with another value of the scope, is allowed."""
    series = run.subject.series()
    first = replace(call, session="session-1") if is_session else call
    taken: list[WitnessCall] = []
    allowed = 0
    for _ in range(_MOST_CALLS + 1):
        decision = series.take(first)
        if decision is None:
            return None
        if decision.allowed:
            allowed += 1
            taken = [decided(first, decision, allowed)]
            continue
        if decision.outcome != Outcome.RATE_LIMITED or decision.rule != limit.pointer:
            return None
        taken.append(decided(first, decision))
        break
    for number in range(2, 2 + _FRESH_VALUES):
        other = _other(call, chosen, number, is_session=is_session)
        decision = None if other is None else series.take(other)
        if other is None or decision is None or not decision.allowed:
            # The values that calls can have are few, or another limit stops them.
            return None
        if number == 2:  # noqa: PLR2004  the first of the fresh ones
            taken.append(decided(other, decision))
    return tuple(taken)


def _other(call: Call, chosen: list[str], number: int, *, is_session: bool) -> Call | None:
    if is_session:
        return replace(call, session=f"session-{number}")
    path = parse_path(chosen[0])
    value = value_in(call, path)
    if isinstance(value, str):
        return with_value(call, path, f"{value}-{number}")
    if isinstance(value, (int, Decimal)) and not isinstance(value, bool):
        return with_value(call, path, value + number)
    # An argument that no condition looks at.
    if len(path.keys) == 1 and path.keys[0][0] == "key":
        return replace(call, args={**call.args, str(path.keys[0][1]): f"value-{number}"})
    return None


def _free(run: Run, entry: Entry, tool: str, limit: Limit) -> Iterator[Finding]:
    cost = limit.cost
    if not isinstance(cost, Path) or len(cost.keys) != 1:
        return
    name = str(cost.keys[0][1])
    for call in run.admitted(entry, tool):
        free = replace(call, args={**call.args, name: 0})
        series = run.subject.series()
        decisions = [series.take(free) for _ in range(3)]
        last = decisions[-1]
        if last is None or not last.allowed:
            continue
        left = next((one.remaining for one in last.limits if one.counter == limit.counter), None)
        if left != limit.max:
            continue
        message = (
            f"a call with {quoted(cost.text)} of 0 takes nothing from {quoted(limit.counter)}, and nothing else "
            "bounds the number of calls; put a limit without `cost` beside it"
        )
        witness = Witness("three calls with a cost of 0 take no units", (decided(free, last, 3),))
        yield finding("CG136", message, limit.pointer, limit.at, witness)
        return


def removal(limit: Limit) -> Fix:
    """The removal of a limit."""
    return Fix(limit.at)
