"""Sequences of calls that one policy admits and the other does not, because of what was taken before."""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from callgate.outcome import Outcome
from callgate.workbench.diff.judges import Rank, rank_of
from callgate.workbench.rules.conditions import Path
from callgate.workbench.witness.calls import MONDAY_MS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from callgate._callgate import Decision
    from callgate.workbench.diff.dominance import CountedLimit
    from callgate.workbench.diff.judges import Judge
    from callgate.workbench.witness import Call

LONGEST: Final = 50_000
"""Calls of a sequence that is replayed."""

_WEEK_MS: Final = 7 * 86_400_000

_LONGEST_MS: Final = 800 * 86_400_000
"""Time that a sequence may take: twice the longest window."""

# 31 March 2024 is a Sunday: every calendar window ends with it.
_END_OF_MONTH_MS: Final = MONDAY_MS + 13 * _WEEK_MS


@dataclass(frozen=True)
class Step:
    """Equal calls of a sequence at one time."""

    call: Call
    now_ms: int
    count: int


@dataclass(frozen=True)
class CallSequence:
    """Calls that both policies admit, and one more on which they differ."""

    before: tuple[Step, ...]
    call: Call
    now_ms: int
    higher: Decision
    lower: Decision


@dataclass
class Race:
    """Sequences on two policies, as dense as the first one admits them."""

    high: Judge
    low: Judge
    left: int
    """Calls that may still be made."""

    def run(self, call_at: Callable[[int], Call], start_ms: int, most: int) -> CallSequence | None:
        """Makes calls as early as the first policy admits them, until the second refuses one that the first admits.

        Args:
            call_at: The call by its number, from 0.
            start_ms: The time of the first call.
            most: The number of calls.
        """
        for judge in (self.high, self.low):
            judge.begin(call_at(most), {call_at(0).tool, call_at(most).tool})
        steps: list[Step] = []
        now_ms = start_ms
        for number in range(min(most, LONGEST)):
            self.left -= 1
            if self.left < 0:
                return None
            call = call_at(number)
            higher = self.high.take(call, now_ms)
            while higher.outcome == Outcome.RATE_LIMITED and now_ms - start_ms < _LONGEST_MS and self.left > 0:
                now_ms += max(1, higher.retry_after_ms or 1)
                self.left -= 1
                higher = self.high.take(call, now_ms)
            lower = self.low.take(call, now_ms)
            if rank_of(higher) > rank_of(lower):
                return CallSequence(tuple(steps), call, now_ms, higher, lower) if steps else None
            if rank_of(higher) != Rank.ALLOWED or rank_of(lower) != Rank.ALLOWED:
                return None
            if steps and (steps[-1].call, steps[-1].now_ms) == (call, now_ms):
                steps[-1] = replace(steps[-1], count=steps[-1].count + 1)
            else:
                steps.append(Step(call, now_ms, 1))
        return None


def calls_until_refused(limit: CountedLimit, call: Call) -> int | None:
    """The number of equal calls of which a limit refuses the last one; None if it refuses none."""
    cost = cost_of(limit, call)
    return None if cost is None or cost <= 0 else int(Decimal(limit.limit.max) // cost) + 1


def cost_of(limit: CountedLimit, call: Call) -> Decimal | None:
    """The units that a call takes; None if its arguments have no number there."""
    cost = limit.limit.cost
    value: Any = value_at(cost, call.args) if isinstance(cost, Path) else cost
    is_number = isinstance(value, (int, Decimal)) and not isinstance(value, bool)
    return Decimal(value) if is_number else None


def value_at(path: Path, args: Any) -> Any:  # noqa: ANN401  JSON
    """The value at a path of arguments; None if there is none."""
    value = args
    for _, key in path.keys:
        is_member = isinstance(value, dict) and key in value
        is_element = isinstance(value, list) and isinstance(key, int) and key < len(value)
        if not is_member and not is_element:
            return None
        value = value[key]
    return value


def with_value(path: Path, call: Call, value: Any) -> Call:  # noqa: ANN401  JSON
    """The call with another value at a path of its arguments, where it has one."""
    return replace(call, args=_replaced(call.args, list(path.keys), value))


def start_times(call: Call, limits: Sequence[CountedLimit]) -> Iterator[int]:
    """Times at which sequences begin: that of the call, and around the end of all calendar windows."""
    yield call.now_ms
    if any(limit.limit.window.align == "calendar" for limit in limits):
        yield _END_OF_MONTH_MS - 1_000
        yield _END_OF_MONTH_MS
        # The same hour and weekday, for conditions on the time.
        yield call.now_ms + 12 * _WEEK_MS


def _replaced(data: Any, steps: list[tuple[str, str | int]], value: Any) -> Any:  # noqa: ANN401  JSON
    if not steps:
        return value
    (_, key), *below = steps
    if isinstance(data, dict):
        return {**data, key: _replaced(data.get(str(key)), below, value)}
    if isinstance(data, list) and isinstance(key, int) and key < len(data):
        return [_replaced(one, below, value) if index == key else one for index, one in enumerate(data)]
    return {key: _replaced(None, below, value)} if isinstance(key, str) else data
