"""Verdicts beside those of an SMT solver, over conditions on numbers, booleans and equal strings.

The solver knows the truth values of `docs/policy.md` section 3 from here alone: each argument is a kind (missing, null,
boolean, number, string) with a value, and each formula a rank in the order false, error, presumed false, presumed true,
true for `all`, and with the error above presumed true for `any`.
"""

from __future__ import annotations

import json
from typing import Any

import z3
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from callgate.workbench.diff import compare
from callgate.workbench.rules import parse_policy

NAMES = ("x", "y", "z")
TEXTS = ("usd", "eur", "gbp")

_COMPARED = st.fixed_dictionaries(
    {
        "path": st.sampled_from([f"args.{name}" for name in NAMES]),
        "op": st.sampled_from(("lt", "lte", "gt", "gte")),
        "value": st.sampled_from((0, 1, 2, 2.5, 10, -3)),
    }
)
_EQUAL = st.fixed_dictionaries(
    {
        "path": st.sampled_from([f"args.{name}" for name in NAMES]),
        "op": st.sampled_from(("eq", "neq")),
        "value": st.sampled_from((*TEXTS, 0, 1, 2.5, True, False, None)),
    }
)
_IN = st.fixed_dictionaries(
    {
        "path": st.sampled_from([f"args.{name}" for name in NAMES]),
        "op": st.sampled_from(("in", "not_in")),
        "value": st.lists(st.sampled_from((*TEXTS, 1, 2, True)), min_size=1, max_size=3),
    }
)
_EXISTS = st.fixed_dictionaries(
    {"path": st.sampled_from([f"args.{name}" for name in NAMES]), "op": st.just("exists"), "value": st.booleans()}
)
CONDITIONS = st.recursive(
    st.one_of(_COMPARED, _EQUAL, _IN, _EXISTS),
    lambda inner: st.one_of(
        st.fixed_dictionaries({"any": st.lists(inner, min_size=1, max_size=3)}),
        st.fixed_dictionaries({"all": st.lists(inner, min_size=1, max_size=3)}),
        st.fixed_dictionaries({"not": inner}),
    ),
    max_leaves=4,
)
RULES = st.fixed_dictionaries(
    {
        "require": st.lists(st.fixed_dictionaries({"conditions": st.lists(CONDITIONS, max_size=2)}), max_size=2),
        "deny_if": st.lists(
            st.fixed_dictionaries({"conditions": st.lists(CONDITIONS, min_size=1, max_size=2)}), max_size=2
        ),
    }
)

# Ranks of truth values. `all` takes the least and `any` the greatest; the error changes its place between them.
_FALSE, _PRESUMED_FALSE, _PRESUMED_TRUE, _TRUE = 0, 2, 4, 8
_ERROR_OF_ALL, _ERROR_OF_ANY = 1, 6
_MISSING, _NULL, _BOOLEAN, _NUMBER, _STRING = range(5)


class Value:
    """An argument of any of the kinds."""

    def __init__(self, name: str) -> None:
        self.kind = z3.Int(f"{name}.kind")
        self.number = z3.Real(f"{name}.number")
        self.is_true = z3.Bool(f"{name}.is_true")
        self.text = z3.Int(f"{name}.text")
        # A text beside the known ones has the next number.
        self.bounds = z3.And(self.kind >= _MISSING, self.kind <= _STRING, self.text >= 0, self.text <= len(TEXTS))

    def equals(self, value: Any) -> Any:
        if value is None:
            return self.kind == _NULL
        if isinstance(value, bool):
            return z3.And(self.kind == _BOOLEAN, self.is_true == value)
        if isinstance(value, str):
            return z3.And(self.kind == _STRING, self.text == TEXTS.index(value))
        return z3.And(self.kind == _NUMBER, self.number == z3.RealVal(str(value)))


def comparison(values: dict[str, Value], condition: dict[str, Any]) -> Any:
    value, op, wanted = values[condition["path"].removeprefix("args.")], condition["op"], condition["value"]
    is_missing = value.kind == _MISSING
    if op == "exists":
        return z3.If(is_missing != z3.BoolVal(wanted), _TRUE, _FALSE)
    if op in ("lt", "lte", "gt", "gte"):
        bound = z3.RealVal(str(wanted))
        holds = {
            "lt": value.number < bound,
            "lte": value.number <= bound,
            "gt": value.number > bound,
            "gte": value.number >= bound,
        }[op]
        reached = z3.If(value.kind == _NUMBER, z3.If(holds, _TRUE, _FALSE), _ERROR_OF_ALL)
        return z3.If(is_missing, _PRESUMED_FALSE, reached)
    is_negative = op in ("neq", "not_in")
    equal = z3.Or([value.equals(one) for one in (wanted if op in ("in", "not_in") else [wanted])])
    holds = z3.Not(equal) if is_negative else equal
    return z3.If(is_missing, _PRESUMED_TRUE if is_negative else _PRESUMED_FALSE, z3.If(holds, _TRUE, _FALSE))


def formula(values: dict[str, Value], condition: dict[str, Any]) -> Any:
    if "not" in condition:
        part = formula(values, condition["not"])
        return z3.If(part == _ERROR_OF_ALL, _ERROR_OF_ALL, _mirrored(part))
    if "all" in condition:
        return least([formula(values, one) for one in condition["all"]])
    if "any" in condition:
        parts = [formula(values, one) for one in condition["any"]]
        moved = [z3.If(part == _ERROR_OF_ALL, _ERROR_OF_ANY, part) for part in parts]
        found = moved[0]
        for one in moved[1:]:
            found = z3.If(one > found, one, found)
        return z3.If(found == _ERROR_OF_ANY, _ERROR_OF_ALL, found)
    return comparison(values, condition)


def _mirrored(part: Any) -> Any:
    of_presumed = z3.If(part == _PRESUMED_FALSE, _PRESUMED_TRUE, _PRESUMED_FALSE)
    return z3.If(part == _FALSE, _TRUE, z3.If(part == _TRUE, _FALSE, of_presumed))


def least(parts: list[Any]) -> Any:
    found: Any = z3.IntVal(_TRUE)
    for one in parts:
        found = z3.If(one < found, one, found)
    return found


def admits(values: dict[str, Value], rules: dict[str, Any]) -> Any:
    required = [least([formula(values, one) for one in check["conditions"]]) == _TRUE for check in rules["require"]]
    denied = [least([formula(values, one) for one in check["conditions"]]) for check in rules["deny_if"]]
    return z3.And(*required, *(z3.Or(one == _FALSE, one == _PRESUMED_FALSE) for one in denied))


@settings(max_examples=150, deadline=None, suppress_health_check=(HealthCheck.too_slow,))
@given(old=RULES, new=RULES, is_changed=st.booleans())
def test_verdicts_are_those_of_a_solver(old: dict[str, Any], new: dict[str, Any], is_changed: bool) -> None:
    if is_changed:
        # One part is the same, so that the policies are close.
        new = {**old, "deny_if": new["deny_if"]}
    policies = [
        parse_policy(name, json.dumps({"version": "1", "default": "deny", "tools": {"t": rules}}).encode())
        for name, rules in (("old.json", old), ("new.json", new))
    ]
    comparison = compare(*policies)
    values = {name: Value(name) for name in NAMES}
    expected = set()
    for direction, (more, less) in {"wider": (new, old), "stricter": (old, new)}.items():
        solver = z3.Solver()
        solver.add(*(value.bounds for value in values.values()), admits(values, more), z3.Not(admits(values, less)))
        result = solver.check()
        assert result != z3.unknown
        if result == z3.sat:
            expected.add(direction)
    assert comparison.unknown == []
    assert {difference.direction for difference in comparison.differences} == expected, (old, new)
