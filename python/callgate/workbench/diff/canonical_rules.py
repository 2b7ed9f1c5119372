"""Canonical forms of rules: equal ones decide every call alike.

Names, reasons and messages are not part of them; neither is the order of checks, because the first denial and any other
one refuse a call alike.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from callgate.workbench.rules import AllOf, AnyOf, Comparison, Not
from callgate.workbench.rules.conditions import Path
from callgate.workbench.witness import canonical

if TYPE_CHECKING:
    from collections.abc import Hashable

    from callgate.workbench.rules import Check, Condition, Entry, Limit

_TERMS = ("timeout", "valid", "approvers", "count", "reason", "permit")


def entry_form(entry: Entry | None) -> Hashable:
    """The form of an entry; None if there is none."""
    if entry is None:
        return None
    terms = tuple(canonical((entry.approval or {}).get(name)) for name in _TERMS) if entry.asks else ()
    return (
        entry.is_hidden,
        entry.mode,
        entry.action,
        frozenset(map(check_form, (*entry.require, *entry.deny_if))),
        frozenset(map(check_form, entry.when)) if entry.action == "require_approval" else None,
        canonical(entry.schema),
        frozenset((limit.counter, limit_form(limit)) for limit in entry.limits),
        terms,
    )


def check_form(check: Check) -> Hashable:
    """The form of a check with the part that it stands in."""
    return check.part, frozenset(map(condition_form, check.conditions))


def condition_form(condition: Condition) -> Hashable:
    """The form of a condition."""
    match condition:
        case Comparison():
            return path_form(condition.path), condition.op, canonical(condition.value)
        case Not():
            return "not", condition_form(condition.condition)
        case AllOf() | AnyOf():
            word = "all" if isinstance(condition, AllOf) else "any"
            return word, frozenset(map(condition_form, condition.conditions))


def path_form(path: Path) -> Hashable:
    """The form of a path, however its steps are written."""
    return path.root, path.keys


def limit_form(limit: Limit) -> Hashable:
    """The form of a limit without the name of its counter."""
    return limit.window, canonical(limit.max), limit.scope, cost_form(limit.cost), limit.asks_at_max


def cost_form(cost: Any) -> Hashable:  # noqa: ANN401  a number or a path
    """The form of a cost."""
    return path_form(cost) if isinstance(cost, Path) else canonical(cost)
