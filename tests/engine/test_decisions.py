"""Every case of the contract through every door, with the same result."""

from __future__ import annotations

import re
from typing import Any

import pytest

from support.cases import Case, decision_cases
from support.doors import DOORS, Door, EngineDoor

CASES = decision_cases()
UNTIL = re.compile(r"before \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


def test_there_are_cases() -> None:
    assert len(CASES) >= 136
    assert sum(len(case.calls) for case in CASES) >= 800


@pytest.mark.parametrize("door", DOORS, ids=lambda door: door.name)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_case(door: type[Door], case: Case) -> None:
    given = (case.policy, case.catalogue)
    with door(*given, freezes=case.freezes) as opened, EngineDoor(*given, freezes=case.freezes) as reference:
        for number, (call, expect) in enumerate(case.calls):
            peeked = opened.peek(call)
            answer = opened.ask(call)
            assert peeked is None or foreseen(peeked["decision"]) == foreseen(answer), f"call {number} of `{case.name}`"
            at = f"call {number} of `{case.name}`: {call}: {answer}"
            assert {field: answer.get(field, absent(field)) for field in expect} == expect, at
            assert timeless(answer) == timeless(reference.ask(call)), at


def absent(field: str) -> Any:
    """The value of an absent field of a decision in the cases."""
    return {"message": "", "rule": ""}.get(field)


def timeless(decision: dict[str, Any]) -> dict[str, Any]:
    """A decision without the second that ends its approval: two engines are asked one after the other."""
    return decision | {"message": UNTIL.sub("before then", decision.get("message", ""))}


def foreseen(decision: dict[str, Any]) -> dict[str, Any]:
    """A decision without what an admission changes: the units left, when they were taken, and the approval
    that is asked for."""
    fields = {name: value for name, value in decision.items() if name != "decided_at_us"}
    if decision["outcome"] == "allow":
        fields["limits"] = [(limit["counter"], limit["max"]) for limit in decision["limits"]]
    if decision["outcome"] == "approval_required":
        # A look asks nobody.
        del fields["message"]
        fields.pop("approval", None)
    return fields
