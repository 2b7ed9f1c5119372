"""The parts of a policy that tests can reach, each with its sides."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from callgate.exact_json import write_json
from callgate.workbench.rules import Comparison, Path

if TYPE_CHECKING:
    from collections.abc import Iterator

    from callgate.config.document import KeyPath
    from callgate.workbench.rules import Check, Entry, Limit, Policy

Kind: TypeAlias = Literal["default", "hide", "entry", "action", "check", "condition", "schema", "limit", "approval"]

_LONGEST_VALUE: Final = 40
_NEVER_ERRORS: Final = frozenset({"eq", "neq", "in", "not_in", "exists"})
"""Operators that accept a value of every type."""
_MAY_BE_MISSING: Final = frozenset({"args", "grant.labels", "session", "category", "risk"})
_MOST_KEYS_WITHOUT_ERROR: Final = 1
"""The arguments are always an object, so that one key of them is never of the wrong kind."""


@dataclass(frozen=True)
class Item:
    """A part of a policy, and the sides that tests can reach."""

    kind: Kind
    at: KeyPath
    """Its place in the policy."""
    rule: str
    """The rule pointer of decisions that it makes."""
    text: str
    """The part in a few words."""
    sides: tuple[str, ...]
    """The sides that count."""
    others: tuple[str, ...] = ()
    """Sides that are listed and do not count: other rules may make them impossible."""


def items_of(policy: Policy) -> Iterator[Item]:
    """Every part of a policy, in the order in which they are evaluated within an entry."""
    for index, pattern in enumerate(policy.hide):
        yield Item("hide", ("hide", index), "(hidden)", f"hide {pattern.text}", ("hides",))
    rule = "(default deny)" if policy.default == "deny" else ""
    yield Item("default", ("default",), rule, f"default {policy.default}", ("applies",))
    for entry in policy.entries():
        yield from _of_entry(entry)


def _of_entry(entry: Entry) -> Iterator[Item]:
    if entry.is_hidden:
        yield Item("hide", entry.at, "(hidden)", f"hide the category {entry.key}", ("hides",))
        return
    if entry.action == "deny":
        # It decides at once, so that the entry has no other side.
        yield Item("action", entry.at, f"{entry.pointer}/action", "action deny", ("refuses",))
    else:
        yield Item("entry", entry.at, entry.pointer, "entry", ("applies",))
    for check in (*entry.require, *entry.deny_if):
        yield from of_check(check)
    if entry.schema is not None:
        yield Item("schema", (*entry.at, "schema"), f"{entry.pointer}/schema", "schema", ("valid", "invalid"))
    for limit in entry.limits:
        yield of_limit(limit)
    if entry.action == "require_approval":
        sides = ("asks", "passes") if entry.when else ("asks",)
        yield Item("approval", (*entry.at, "action"), f"{entry.pointer}/approval", "action require_approval", sides)
        for check in entry.when:
            yield from of_check(check)


def of_check(check: Check) -> Iterator[Item]:
    """A check, unless it is one comparison, whose sides say as much; then its comparisons."""
    comparisons = list(check.comparisons())
    on = "asks" if check.part == "when" else "refuses"
    if len(comparisons) != 1:
        name = check.name or check.pointer.rpartition("/")[2]
        sides: tuple[str, ...] = (on, "passes")
        if not comparisons:
            sides = ("passes",) if check.part == "require" else (on,)
        yield Item("check", check.at, check.pointer, f"{check.part} {name}", sides)
    for comparison in comparisons:
        yield _of_comparison(check, comparison)


def of_limit(limit: Limit) -> Item:
    """A limit."""
    over = "asks" if limit.asks_at_max else "refuses"
    sides: tuple[str, ...] = ("admits", over)
    if not isinstance(limit.cost, Path):
        if limit.cost > limit.max:
            sides = (over,)
        elif limit.cost == 0:
            sides = ("admits",)
    return Item("limit", limit.at, limit.pointer, f"limit {limit.counter}, max {limit.max}", sides)


def may_admit(limit: Limit) -> bool:
    """True if one call of the least cost has room in it."""
    return isinstance(limit.cost, Path) or limit.cost <= limit.max


def _of_comparison(check: Check, comparison: Comparison) -> Item:
    path, op = comparison.path, comparison.op
    others = []
    is_whole = path.root == "args" and not path.keys
    if op != "exists" and path.root in _MAY_BE_MISSING and not is_whole:
        others.append("missing")
    may_step_wrong = len(path.keys) > _MOST_KEYS_WITHOUT_ERROR
    if path.is_of_arguments and (op not in _NEVER_ERRORS or may_step_wrong):
        others.append("wrong type")
    text = f"{check.part}: {path.text} {op} {_shown(comparison.value)}"
    return Item("condition", comparison.at, check.pointer, text, ("true", "false"), tuple(others))


def _shown(value: Any) -> str:  # noqa: ANN401  JSON
    text = str(value) if isinstance(value, Decimal) else write_json(value)
    return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}..."
