"""Converted conditions hold for the calls for which a model of Intercept's operators says so."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from callgate import Engine
from callgate.config.document import parse_document
from callgate.config.intercept.convert import convert

# Few values, so that many are equal, or equal as texts.
SCALARS = st.sampled_from(
    [None, True, False, 0, 1, -1, 2.5, 1.0, 10**6, "0", "1", "-1", "2.5", "1.0", "", "a", "1a", "true"]
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b"]), inner, max_size=2),
    max_leaves=4,
)
ARGUMENTS = st.dictionaries(st.sampled_from(["a", "b"]), VALUES, max_size=2)
PATHS = st.sampled_from(["args.a", "args.b", "args.a.b", "args.a.b.a"])
NUMBERS = st.sampled_from([-1, 0, 1, 2.5, 10**6])
CONDITIONS = st.one_of(
    st.tuples(PATHS, st.sampled_from(["eq", "neq", "contains"]), VALUES),
    st.tuples(PATHS, st.sampled_from(["in", "not_in"]), st.lists(VALUES, max_size=3)),
    st.tuples(PATHS, st.sampled_from(["lt", "lte", "gt", "gte"]), NUMBERS),
    st.tuples(PATHS, st.just("regex"), st.sampled_from(["", "^a", r"^\d+$", r"\b1\b"])),
    st.tuples(PATHS, st.just("exists"), st.booleans()),
)


@given(st.lists(CONDITIONS, min_size=1, max_size=3), st.lists(ARGUMENTS, min_size=1, max_size=5))
def test_conditions(conditions: list[tuple[str, str, Any]], calls: list[dict[str, Any]]) -> None:
    named = [{"path": path, "op": op, "value": value} for path, op, value in conditions]
    engine = _engine({"t": {"rules": [{"name": "r", "conditions": named}]}})
    for args in calls:
        expected = all(_holds(args, *condition) for condition in conditions)
        assert engine.check(tool="t", grant="g", args=args).allowed == expected, args


@given(st.lists(CONDITIONS, min_size=1, max_size=3), ARGUMENTS)
def test_a_call_that_meets_the_conditions_of_an_approval_is_never_allowed(
    conditions: list[tuple[str, str, Any]], args: dict[str, Any]
) -> None:
    named = [{"path": path, "op": op, "value": value} for path, op, value in conditions]
    engine = _engine({"t": {"rules": [{"name": "r", "action": "require_approval", "conditions": named}]}})
    if all(_holds(args, *condition) for condition in conditions):
        assert not engine.check(tool="t", grant="g", args=args).allowed


def _engine(tools: dict[str, Any]) -> Engine:
    content = json.dumps({"version": "1", "tools": tools}).encode()
    return Engine.from_dict(convert(parse_document("p.json", content)).data)


def _holds(args: dict[str, Any], path: str, op: str, wanted: Any) -> bool:
    found: Any = args
    for key in path.split(".")[1:]:
        if not isinstance(found, dict) or key not in found:
            return op == "exists" and wanted is False
        found = found[key]
    return _OPERATORS[op](found, wanted)


def _not_in(found: Any, wanted: list[Any]) -> bool:
    looked_at = [found, *found] if isinstance(found, list) else [found]
    return not any(_equal(one, other) for one in looked_at for other in wanted)


def _contains(found: Any, wanted: Any) -> bool:
    if isinstance(found, str):
        return isinstance(wanted, str) and wanted in found
    return isinstance(found, list) and any(_equal(one, wanted) for one in found)


def _equal(one: Any, other: Any) -> bool:
    if _is_number(one) and isinstance(other, str):
        return _text(one) == other
    if isinstance(one, str) and _is_number(other):
        return one == _text(other)
    return _same(one, other)


def _same(one: Any, other: Any) -> bool:
    """Equal without texts, which Intercept compares wrongly inside lists and objects."""
    if _is_number(one) and _is_number(other):
        return bool(one == other)
    if type(one) is not type(other):
        return False
    if isinstance(one, list):
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    return bool(one == other)


def _text(number: float) -> str:
    return str(int(number)) if number == int(number) else str(number)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "eq": _equal,
    "neq": lambda found, wanted: not _equal(found, wanted),
    "in": lambda found, wanted: any(_equal(found, one) for one in wanted),
    "not_in": _not_in,
    "contains": _contains,
    "exists": lambda found, wanted: (found is not None) == wanted,
    "regex": lambda found, wanted: isinstance(found, str) and re.search(wanted, found, re.ASCII) is not None,
    "lt": lambda found, wanted: _is_number(found) and bool(found < wanted),
    "lte": lambda found, wanted: _is_number(found) and bool(found <= wanted),
    "gt": lambda found, wanted: _is_number(found) and bool(found > wanted),
    "gte": lambda found, wanted: _is_number(found) and bool(found >= wanted),
}
