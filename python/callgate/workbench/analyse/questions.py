"""Questions about checks: if a call exists on which they end in given ways."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from callgate.workbench.catalogue import CATEGORIES, RISKS
from callgate.workbench.rules import Comparison, Not, Path
from callgate.workbench.rules.paths import parse_path
from callgate.workbench.witness import ABSENT, Budget, CallMaker, Demand, Vocabulary, canonical, truth
from callgate.workbench.witness.calls import EXAMPLE_TOOL

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator, Sequence
    from decimal import Decimal

    from callgate.workbench.rules import Check, Condition, Entry, Limit
    from callgate.workbench.witness import Call, Formula

USED_UP: Final = "the share of an entry in the time or the steps of the analysis is used up"

HOLDS: Final = truth.TRUE | truth.PRESUMED_TRUE
"""Results under which `deny_if` and `when` fire."""

_STEPS_OF_ONE: Final = 30_000
_MOST_STEPS: Final = 3_000_000
_MOST_SECONDS: Final = 10.0
"""Time of one analysis after which nothing more is searched."""
_PARTS_OF_SHARE: Final = 4
_MOST_MAKERS: Final = 8
"""Makers of calls that are kept: the next question often looks at the same values."""
_MOST_COMPARISONS: Final = 60
_MOST_TEXTS: Final = 12
"""Comparisons of one question that are read as automata."""
_MOST_VALUES: Final = 300
_MOST_CHARACTERS: Final = 4_000
_MOST_CALLS: Final = 4

_ON_TEXT: Final = frozenset({"regex", "not_regex", "contains", "not_contains", "starts_with", "ends_with"})


@dataclass(frozen=True)
class Ending:
    """A check, and the results that are asked for."""

    check: Check
    wanted: int


@dataclass(frozen=True)
class Counted:
    """An argument that a limit uses: it has a value, or is a cost of at most so many units."""

    path: Path
    most: int | Decimal | None = None
    """None if it is no cost but a part of the scope."""

    def formula(self, vocabulary: Vocabulary) -> Formula:
        """The formula that is true of calls that the limit can count."""
        return vocabulary.scope(self.path) if self.most is None else vocabulary.cost(self.path, self.most)


def counted_by(limits: Sequence[Limit]) -> list[Counted]:
    """The arguments that limits use."""
    found: dict[Counted, None] = {}
    for limit in limits:
        for one in limit.scope:
            if one.startswith("args"):
                found[Counted(parse_path(one))] = None
        if isinstance(limit.cost, Path):
            found[Counted(limit.cost, limit.max)] = None
    return list(found)


@dataclass(frozen=True)
class Answer:
    """The answer to a question."""

    calls: tuple[Call, ...] = ()
    """Some calls that end so; the engine has not decided them yet."""
    is_impossible: bool = False
    """True if it is proven that no call ends so."""
    reason: str = ""
    """The reason why neither is known."""


def stops(check: Check) -> Ending:
    """The endings of a check that stop a call; of `when`, those that ask for an approval."""
    return Ending(check, truth.ANY_TRUTH & ~_passing(check))


def lets_pass(check: Check) -> Ending:
    """The endings of a check that do not stop a call."""
    return Ending(check, _passing(check))


def _passing(check: Check) -> int:
    return truth.TRUE if check.part == "require" else truth.FALSE | truth.PRESUMED_FALSE


class Questions:
    """Answers questions within a bound of steps and time; equal ones once."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Takes a clock in seconds."""
        self._clock = clock
        self._end = clock() + _MOST_SECONDS
        self._steps = _MOST_STEPS
        self._end_of_share = self._end
        self._steps_after_share = 0
        self._known: dict[Hashable, Answer] = {}
        self._makers: dict[Hashable, CallMaker] = {}

    def begin_entry(self, left: int) -> None:
        """Gives the next entry its share of the time and the steps that are left.

        It is a few equal parts: most entries need less than one. No entry but the last may use more than half.

        Args:
            left: The number of entries that are left, with this one.
        """
        share = 1 if left == 1 else min(_PARTS_OF_SHARE / left, 1 / 2)
        now = self._clock()
        self._end_of_share = now + (self._end - now) * share
        self._steps_after_share = self._steps - int(self._steps * share)

    @property
    def is_over(self) -> bool:
        """True if the time or the steps that an entry may use are used up."""
        return self._steps <= self._steps_after_share or self._clock() > self._end_of_share

    def ask(self, entry: Entry, tool: str | None, endings: Sequence[Ending], counted: Sequence[Counted] = ()) -> Answer:
        """Looks for calls of an entry on which all of these checks end as is wanted.

        Args:
            entry: The entry that applies.
            tool: The name of a tool of it; None if none is known.
            endings: The checks.
            counted: Arguments by which limits count.
        """
        reason = _too_large(endings)
        if reason:
            return Answer(reason=reason)
        roots = {one.path.root for ending in endings for one in ending.check.comparisons()}
        exact = entry.pattern.name if entry.pattern is not None else None
        fixed: dict[str, Any] = {"category": [ABSENT, *CATEGORIES], "risk": [ABSENT, *RISKS]}
        if entry.at[0] == "categories":
            fixed["category"] = entry.key
        if "tool" not in roots or exact is not None:
            fixed["tool"] = exact or tool or EXAMPLE_TOOL
        names = fixed["tool"] if "tool" in roots and exact is not None else ""
        key = (names, entry.key if entry.at[0] == "categories" else "", tuple(map(_form, endings)), tuple(counted))
        if key not in self._known:
            self._known[key] = self._search(fixed, endings, counted)
        answer = self._known[key]
        if tool is None or "tool" in roots:
            return answer
        return replace(answer, calls=tuple(replace(call, tool=tool) for call in answer.calls))

    def _search(self, fixed: dict[str, Any], endings: Sequence[Ending], counted: Sequence[Counted]) -> Answer:
        if self.is_over:
            return Answer(reason=USED_UP)
        budget = Budget(min(_STEPS_OF_ONE, self._steps - self._steps_after_share))
        before = budget.left
        vocabulary = Vocabulary()
        try:
            demands = [Demand(vocabulary.check(one.check), one.wanted) for one in endings]
            demands += [Demand(one.formula(vocabulary), truth.TRUE) for one in counted]
            found, conclusion = self._maker(vocabulary, fixed, budget).find(demands)
            calls = tuple(islice(found, _MOST_CALLS))
        except RecursionError:
            return Answer(reason="the conditions are nested too deep")
        finally:
            # Reading the conditions takes time, too.
            self._steps -= before - max(budget.left, 0) + 10 * len(vocabulary.atoms)
        if calls:
            return Answer(calls)
        if conclusion.is_complete:
            return Answer(is_impossible=True)
        return Answer(reason=conclusion.reason or "no call was found, and not all were tried")

    def _maker(self, vocabulary: Vocabulary, fixed: dict[str, Any], budget: Budget) -> CallMaker:
        """A maker of calls; one that has looked at the same values before, if it is still known."""
        key = (
            tuple(fixed),
            canonical([str(one) for one in fixed.values()]),
            tuple(one.key for one in vocabulary.atoms),
        )
        known = self._makers.pop(key, None)
        maker = CallMaker(vocabulary, fixed, budget) if known is None else known.with_budget(budget)
        if len(self._makers) >= _MOST_MAKERS:
            del self._makers[next(iter(self._makers))]
        self._makers[key] = maker
        return maker


def _too_large(endings: Sequence[Ending]) -> str:
    comparisons = texts = values = 0
    for ending in endings:
        for one in ending.check.comparisons():
            comparisons += 1
            texts += one.op in _ON_TEXT or one.op.startswith("len_")
            listed = one.value if isinstance(one.value, list) else [one.value]
            values += len(listed)
            if any(isinstance(text, str) and len(text) > _MOST_CHARACTERS for text in listed):
                return "a value is too long"
            if comparisons > _MOST_COMPARISONS or texts > _MOST_TEXTS or values > _MOST_VALUES:
                return "there are too many conditions"
    return ""


def _form(ending: Ending) -> Hashable:
    """Equal for endings that ask the same."""
    quantified = ending.check.part == "require"
    return quantified, ending.wanted, tuple(_condition_form(one) for one in ending.check.conditions)


def _condition_form(condition: Condition) -> Hashable:
    match condition:
        case Comparison():
            return condition.path.text, condition.op, canonical(condition.value)
        case Not():
            return "not", _condition_form(condition.condition)
        case _:
            return type(condition).__name__, tuple(map(_condition_form, condition.conditions))


def described(checks: Sequence[Check]) -> str:
    """The comparisons of some checks, as a message has them."""
    shown: list[str] = []
    rest = 0
    for one in _all(checks):
        if len(shown) == 6:  # noqa: PLR2004  as many as one line holds
            rest += 1
            continue
        value = str(one.value) if not isinstance(one.value, list) else ", ".join(map(str, one.value[:4]))
        shown.append(f"{one.path.text} {one.op} {value[:40]}")
    return "; ".join(shown) + (f"; and {rest} more" if rest else "")


def _all(checks: Sequence[Check]) -> Iterator[Comparison]:
    for check in checks:
        yield from check.comparisons()
