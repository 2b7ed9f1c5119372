"""The sides of a policy's parts that one decision reached, from the steps that the engine explains."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

from callgate.outcome import Outcome
from callgate.workbench.policy_tests.coverage.items import may_admit

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from callgate._callgate import Explanation, Step
    from callgate.config.document import KeyPath
    from callgate.workbench.rules import Check, Entry, Limit, Policy

Reached: TypeAlias = "tuple[str, KeyPath, str]"
"""Kind and place of a part, and the side."""

_SIDES: Final = {
    "true": "true",
    "false": "false",
    "presumed true": "missing",
    "presumed false": "missing",
    "error": "wrong type",
}
_FIRES: Final = frozenset({"true", "presumed true", "error"})


def reached(policy: Policy, explanation: Explanation, tool: str, category: str | None) -> Iterator[Reached]:
    """The sides that a decision of this policy reached.

    A side that is in doubt is not among them: it is better to ask for a test too many.
    """
    steps = {kind: [step for step in explanation.steps if step.kind == kind] for kind in _KINDS}
    yield from _hidden(policy, steps["hidden"], tool, category)
    admitted = next((step for step in steps["default"] if step.result == "passed" or step.shadowed), None)
    if any(step.result == "stopped" for step in steps["default"]):
        yield "default", ("default",), "applies"
    if admitted is None:
        return
    entries = _entries(policy, tool, category)
    if policy.default == "allow" and all(entry is policy.all_tools for entry in entries):
        yield "default", ("default",), "applies"
    for entry in entries:
        if entry.action != "deny":
            yield "entry", entry.at, "applies"
    rules = {step.rule for step in steps["action"]}
    yield from (("action", entry.at, "refuses") for entry in entries if f"{entry.pointer}/action" in rules)
    yield from _checks([check for entry in entries for check in entry.require], steps["require"])
    yield from _checks([check for entry in entries for check in entry.deny_if], steps["deny_if"])
    for entry in entries:
        for step in steps["schema"]:
            if step.rule == f"{entry.pointer}/schema":
                yield "schema", (*entry.at, "schema"), "invalid" if step.result == "stopped" else "valid"
    yield from _limits(entries, steps["limit"], explanation.decision.outcome)
    yield from _approvals([entry for entry in entries if entry.action == "require_approval"], steps)


_KINDS: Final = (
    "hidden",
    "default",
    "action",
    "require",
    "deny_if",
    "schema",
    "limit",
    "approval when",
    "approval",
)


def _hidden(policy: Policy, steps: list[Step], tool: str, category: str | None) -> Iterator[Reached]:
    if not any(step.result == "stopped" for step in steps):
        return
    for index, pattern in enumerate(policy.hide):
        if pattern.matches(tool):
            yield "hide", ("hide", index), "hides"
    of_category = policy.categories.get(category) if category is not None else None
    if of_category is not None and of_category.is_hidden:
        yield "hide", of_category.at, "hides"


def _entries(policy: Policy, tool: str, category: str | None) -> list[Entry]:
    """The entries whose rules the engine evaluates once a call has passed `default`, also in shadow."""
    of_category = policy.categories.get(category) if category is not None else None
    found = [policy.entry_of(tool), of_category if of_category is None or not of_category.is_hidden else None]
    return [*(entry for entry in found if entry is not None), policy.all_tools]


def _checks(checks: list[Check], steps: list[Step]) -> Iterator[Reached]:
    # Checks are evaluated in their order, up to the one that denies.
    for check, step in zip(checks, steps, strict=False):
        if check.part != "when" and check.pointer != step.rule:
            return
        if check.part == "require":
            side = "passes" if step.result == "true" else "refuses"
        else:
            on = "asks" if check.part == "when" else "refuses"
            side = on if step.result in _FIRES else "passes"
        yield "check", check.at, side
        comparisons = list(check.comparisons())
        if len(comparisons) == len(step.conditions):
            for comparison, condition in zip(comparisons, step.conditions, strict=True):
                yield "condition", comparison.at, _SIDES[condition.result]


def _approvals(entries: list[Entry], steps: dict[str, list[Step]]) -> Iterator[Reached]:
    yield from _checks([check for entry in entries for check in entry.when], steps["approval when"])
    for entry, step in zip(entries, steps["approval"], strict=False):
        if step.rule == f"{entry.pointer}/approval":
            yield "approval", (*entry.at, "action"), "asks" if step.result == "stopped" else "passes"


def _limits(entries: list[Entry], steps: list[Step], outcome: Outcome) -> Iterator[Reached]:
    faulty = {step.rule for step in steps if step.result == "error"}
    for entry in entries:
        for limit in entry.limits:
            if limit.pointer in faulty and not may_admit(limit):
                yield "limit", limit.at, "refuses"
    left = [step for step in steps if step.result != "error"]
    # The engine tells each count once, under its first limit.
    for group in _counts(entries, faulty):
        if left and left[0].rule == group[0].pointer:
            step = left.pop(0)
            yield from (("limit", limit.at, side) for limit in group if (side := _side(limit, step, outcome)))


def _side(limit: Limit, step: Step, outcome: Outcome) -> str | None:
    if step.result == "passed":
        return "admits"
    if not limit.asks_at_max:
        return "refuses"
    # Where another limit refuses, nobody is asked.
    return None if outcome is Outcome.RATE_LIMITED else "asks"


def _counts(entries: Iterable[Entry], faulty: set[str]) -> list[list[Limit]]:
    """The limits of a call by count, in the order in which the engine tells them.

    A count of both enforced and shadowed limits is told under its first enforced one. Limits with the rule of one that
    could not be applied are left out: nobody can tell which of them it was.
    """
    groups: dict[object, tuple[bool, int, list[Limit]]] = {}
    limits = [(entry.mode == "enforce", limit) for entry in entries for limit in entry.limits]
    for order, (is_enforced, limit) in enumerate(limits):
        if limit.pointer in faulty or f"{limit.pointer}/cost" in faulty:
            continue
        known = groups.get(limit.count)
        if known is None or (is_enforced and not known[0]):
            # A shadowed limit beside an enforced one is not told.
            groups[limit.count] = (is_enforced, order, [limit])
        elif known[0] == is_enforced:
            known[2].append(limit)
    ranked = sorted(groups.values(), key=lambda group: (not group[0], group[1]))
    return [found for _, _, found in ranked]
