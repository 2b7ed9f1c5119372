"""Policies that would blow up an analysis: it ends, and says what it does not know."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from callgate.workbench.diff import compare
from callgate.workbench.rules import parse_policy


def satisfiability(variables: int, clauses: int) -> list[dict[str, Any]]:
    """Checks that hold together only for a solution of a random 3-SAT problem."""
    chosen = random.Random(1)

    def literal() -> dict[str, Any]:
        condition = {"path": f"args.v{chosen.randrange(variables)}", "op": "eq", "value": True}
        return condition if chosen.random() < 0.5 else {"not": condition}

    return [{"conditions": [{"any": [literal() for _ in range(3)]}]} for _ in range(clauses)]


def conditions(path: str, op: str, values: list[Any]) -> list[dict[str, Any]]:
    return [{"conditions": [{"path": path, "op": op, "value": value} for value in values]}]


HARD = satisfiability(40, 180)
GLOBS: dict[str, Any] = {f"*{chr(97 + number)}*{chr(98 + number)}*": {} for number in range(12)}
CASES = {
    "3-SAT": (
        {"tools": {"t": {"require": HARD}}},
        {"tools": {"t": {"require": [*HARD, *conditions("args.w", "eq", [1])]}}},
    ),
    "globs": ({"tools": GLOBS}, {"tools": {**GLOBS, "*d*e*": {"action": "deny"}}}),
    "many paths": (
        {"tools": {"t": {"require": [c for n in range(500) for c in conditions(f"args.p{n}", "lt", [5])]}}},
        {"tools": {"t": {"require": [c for n in range(500) for c in conditions(f"args.p{n}", "lt", [6])]}}},
    ),
    "elements with many members": (
        {"tools": {"t": {"require": [c for n in range(8) for c in conditions(f"args.l[*].p{n}", "lt", [5])]}}},
        {"tools": {"t": {"require": [c for n in range(8) for c in conditions(f"args.l[*].p{n}", "lt", [6])]}}},
    ),
    "an expression with many states": (
        {"tools": {"t": {"deny_if": conditions("args.s", "regex", ["(a|b)*a(a|b){14}$"])}}},
        {"tools": {"t": {"deny_if": conditions("args.s", "regex", ["(a|b)*b(a|b){14}$"])}}},
    ),
    "strings with many parts": (
        {"tools": {"t": {"require": conditions("args.s", "contains", [f"{n}{n + 1}{n}" for n in range(30)])}}},
        {"tools": {"t": {"require": conditions("args.s", "contains", [f"{n}{n + 1}{n}" for n in range(29)])}}},
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_comparison_ends_and_never_says_same(name: str) -> None:
    old, new = (
        parse_policy(f"{side}.json", json.dumps({"version": "1", "default": "deny", **document}).encode())
        for side, document in zip(("old", "new"), CASES[name], strict=True)
    )
    for found in (compare(old, new), compare(new, old)):
        assert found.verdict.value != "same"
        assert all(unknown.reason and unknown.place for unknown in found.unknown)


def test_equal_policies_are_the_same_however_hard_their_conditions_are() -> None:
    document = json.dumps({"version": "1", "default": "deny", "tools": {**GLOBS, "t": {"require": HARD}}}).encode()
    found = compare(parse_policy("old.json", document), parse_policy("new.json", document))
    assert (found.verdict.value, found.unknown) == ("same", [])


def test_the_same_policies_give_the_same_comparison() -> None:
    documents = [json.dumps({"version": "1", "default": "deny", **one}).encode() for one in CASES["globs"]]
    policies = [parse_policy(f"{name}.json", one) for name, one in zip(("old", "new"), documents, strict=True)]
    assert compare(*policies) == compare(*policies)
