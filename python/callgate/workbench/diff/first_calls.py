"""Differences in the answer to a single call, while nothing has been taken from any limit."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from callgate.workbench.diff.judges import rank_of
from callgate.workbench.diff.schema_examples import schema_examples
from callgate.workbench.diff.schema_implication import implies

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from callgate._callgate import Decision
    from callgate.workbench.diff.gates import Gate, Reason
    from callgate.workbench.diff.judges import Judge
    from callgate.workbench.witness import Call, CallMaker, Demand

_MOST_TRIED: Final = 150
"""Calls that are judged for one reason."""

_MOST_WITH_SCHEMA: Final = 600
_BASES: Final = 10
_MOST_ALLOWED: Final = 3


@dataclass(frozen=True)
class FirstCall:
    """A call that one policy ranks above the other, with both decisions."""

    call: Call
    higher: Decision
    lower: Decision


@dataclass
class Found:
    """The result of a search in one direction."""

    calls: list[FirstCall] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    """The reasons why there may be others."""


def calls_ranked_higher(
    maker: CallMaker,
    high: tuple[Gate, Judge],
    low: tuple[Gate, Judge],
    input_schema: Any,  # noqa: ANN401  JSON
) -> Found:
    """Calls that the first policy ranks above the second: one for each reason of the second that the first has not.

    Args:
        maker: Makes calls; its vocabulary holds the atoms of both gates.
        high: The rules and the engines of the first policy.
        low: Those of the second.
        input_schema: The tool's own schema, if a catalogue says it.
    """
    search = _Search(maker, high, low, input_schema)
    found = Found()
    if high[0].never_allows:
        return found
    known = {one.key for one in high[0].denies}
    for reason in low[0].denies:
        if reason.key not in known:
            known.add(reason.key)
            search.try_reason(reason, [], found)
    quiet = [one.does_not_hold for one in high[0].asks]
    known = {one.key for one in high[0].asks}
    for reason in low[0].asks:
        if reason.key not in known:
            known.add(reason.key)
            search.try_reason(reason, quiet, found)
    return found


def calls_allowed(
    maker: CallMaker,
    sides: tuple[tuple[Gate, Judge], tuple[Gate, Judge]],
    input_schema: Any,  # noqa: ANN401  JSON
) -> tuple[list[Call], bool]:
    """A few calls that both policies allow, and if it is known that there is none."""
    reasons = [reason for gate, _ in sides for reason in (*gate.denies, *gate.asks) if reason.formula is not None]
    proposals, conclusion = maker.find([one.does_not_hold for one in reasons])
    search = _Search(maker, sides[0], sides[1], input_schema)
    has_schema = any(gate.schemas for gate, _ in sides)
    allowed: list[Call] = []
    tried = 0
    for call in search.variants(proposals, is_schema=has_schema):
        tried += 1
        if all(judge.decide(call).allowed for _, judge in sides):
            allowed.append(call)
            if len(allowed) == _MOST_ALLOWED:
                break
    return allowed, not tried and conclusion.is_complete


@dataclass(frozen=True)
class _Search:
    maker: CallMaker
    high: tuple[Gate, Judge]
    low: tuple[Gate, Judge]
    input_schema: Any

    def try_reason(self, reason: Reason, also: list[Demand], found: Found) -> None:
        """Looks for a call that is stopped for a reason of the second policy and by none of the first."""
        passes = [one.does_not_hold for one in self.high[0].denies if one.formula is not None]
        first = [] if reason.formula is None else [reason.holds]
        if reason.formula is None and any(implies(one, reason.schema) for one in self.high[0].schemas):
            return
        calls, conclusion = self.maker.find([*first, *passes, *also])
        tried = 0
        for call in self.variants(calls, is_schema=reason.formula is None):
            tried += 1
            higher, lower = self.high[1].decide(call), self.low[1].decide(call)
            if rank_of(higher) > rank_of(lower):
                found.calls.append(FirstCall(call, higher, lower))
                return
        if reason.formula is None:
            if tried or not conclusion.is_complete:
                found.unknown.append("the JSON Schemas differ, and no arguments are known that only one of them admits")
        elif tried and self.high[0].schemas:
            found.unknown.append("no arguments are known that meet the conditions and the JSON Schema")
        elif tried:
            found.unknown.append("the calls that were tried do not show the difference")
        elif not conclusion.is_complete:
            found.unknown.append(conclusion.reason)

    def variants(self, calls: Iterator[Call], *, is_schema: bool) -> Iterator[Call]:
        """The calls, filled up with what schemas ask for."""
        if not is_schema and not self.high[0].schemas:
            yield from islice(calls, _MOST_TRIED)
            return
        schemas = [*self.high[0].schemas, *(self.low[0].schemas if is_schema else ())]
        bases = list(islice(calls, _BASES if is_schema else _MOST_TRIED))
        yield from islice(self._filled(bases, schemas, is_schema=is_schema), _MOST_WITH_SCHEMA)

    def _filled(self, bases: list[Call], schemas: Iterable[object], *, is_schema: bool) -> Iterator[Call]:
        examples = [{}, *(one for schema in schemas for one in schema_examples(self._resolved(schema)))]
        for base in bases:
            if is_schema and "input" in self.low[0].schemas and self.input_schema is None:
                yield replace(base, fits_input=False)
            for example in examples:
                yield replace(base, args={**example, **base.args})

    def _resolved(self, schema: object) -> object:
        return self.input_schema if schema == "input" else schema
