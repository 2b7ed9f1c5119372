"""The reasons for which rules stop a call before anything is counted, as formulas."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from callgate.workbench.diff.canonical_rules import check_form, path_form
from callgate.workbench.rules.conditions import Path
from callgate.workbench.rules.paths import parse_path
from callgate.workbench.witness import ALWAYS, Demand, canonical, truth

if TYPE_CHECKING:
    from collections.abc import Hashable

    from callgate.workbench.diff.sides import Stack
    from callgate.workbench.rules import Entry, Limit
    from callgate.workbench.witness import Formula, Vocabulary

_LARGEST_COST: Final = 10**12
_NOT_TRUE: Final = truth.ANY_TRUTH & ~truth.TRUE
_FIRES: Final = truth.TRUE | truth.PRESUMED_TRUE | truth.ERROR


@dataclass(frozen=True)
class Reason:
    """One reason to stop a call."""

    key: Hashable
    """Equal for reasons that stop the same calls."""
    formula: Formula | None
    """None for a JSON Schema, which only the engine can ask."""
    fires: int = truth.TRUE
    """The results of the formula under which the call is stopped."""
    schema: object = None
    """The JSON Schema, if it is one."""

    @property
    def holds(self) -> Demand:
        """The demand that the reason stops the call."""
        assert self.formula is not None  # noqa: S101  callers leave schemas out
        return Demand(self.formula, self.fires)

    @property
    def does_not_hold(self) -> Demand:
        """The demand that it does not."""
        assert self.formula is not None  # noqa: S101  as above
        return Demand(self.formula, truth.ANY_TRUTH & ~self.fires)


@dataclass
class Gate:
    """All reasons of one side for one tool."""

    denies: list[Reason] = field(default_factory=list)
    asks: list[Reason] = field(default_factory=list)
    """Reasons to ask a person."""
    schemas: list[object] = field(default_factory=list)
    """The JSON Schemas that arguments must meet; the text `input` for that of the tool."""

    @property
    def never_allows(self) -> bool:
        """True if no call passes."""
        return any(one.formula == ALWAYS and one.fires & truth.TRUE for one in self.denies)


def gate_of(stack: Stack, vocabulary: Vocabulary) -> Gate:
    """The reasons of a stack of rules; their atoms are added to the vocabulary."""
    gate = Gate()
    if stack.is_hidden or stack.is_denied_by_default:
        gate.denies.append(Reason("always", ALWAYS))
        return gate
    for entry in stack.enforced:
        _add_checks(gate, entry, vocabulary)
    for limit in stack.limits:
        _add_limit(gate, limit, vocabulary)
    return gate


def _add_checks(gate: Gate, entry: Entry, vocabulary: Vocabulary) -> None:
    if entry.action == "deny":
        gate.denies.append(Reason("always", ALWAYS))
    for check in (*entry.require, *entry.deny_if):
        fires = _NOT_TRUE if check.part == "require" else _FIRES
        formula = ALWAYS if check.part == "deny_if" and not check.conditions else vocabulary.check(check)
        gate.denies.append(Reason(check_form(check), formula, fires))
    if entry.schema is not None:
        gate.schemas.append(entry.schema)
        gate.denies.append(Reason(("schema", canonical(entry.schema)), None, schema=entry.schema))
    if entry.action == "require_approval":
        gate.asks += [Reason(check_form(one), vocabulary.check(one), _FIRES) for one in entry.when]
        if not entry.when:
            gate.asks.append(Reason("asks always", ALWAYS))


def _add_limit(gate: Gate, limit: Limit, vocabulary: Vocabulary) -> None:
    """The reasons for which a limit stops a call although nothing has been taken."""
    for part in limit.scope:
        if part.startswith("args"):
            path = parse_path(part)
            gate.denies.append(Reason(("scope", path_form(path)), vocabulary.scope(path), _NOT_TRUE))
    cost = limit.cost
    if isinstance(cost, Path):
        most = min(limit.max, _LARGEST_COST)
        usable = most if not limit.asks_at_max else _LARGEST_COST
        key = ("cost", path_form(cost), canonical(usable))
        gate.denies.append(Reason(key, vocabulary.cost(cost, usable), _NOT_TRUE))
        if limit.asks_at_max:
            key = ("cost asks", path_form(cost), canonical(most))
            gate.asks.append(Reason(key, vocabulary.cost(cost, most), _NOT_TRUE))
    elif cost > limit.max:
        if limit.asks_at_max:
            gate.asks.append(Reason("asks always", ALWAYS))
        else:
            gate.denies.append(Reason("always", ALWAYS))
