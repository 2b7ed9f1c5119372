"""Calls that meet demands, judged by the engine."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from callgate import Engine
from callgate.config.faults import InvalidConfigError
from callgate.workbench.rules import parse_policy
from callgate.workbench.witness import Budget, Call, CallMaker, Conclusion, Demand, Vocabulary, truth
from support.policy_pairs import CHECKS, calls
from support.witnesses import asked

PARTS = {"require": truth.TRUE, "deny_if": truth.FALSE | truth.PRESUMED_FALSE}


def policy(part: str, check: dict[str, Any]) -> dict[str, Any]:
    return {"version": "1", "default": "deny", "name": "p", "tools": {"a": {part: [check]}}}


def found_for(document: dict[str, Any], wanted: int, steps: int = 200_000) -> tuple[list[Call], Conclusion]:
    """The first calls for which the one check of a policy has one of the wanted results."""
    (check,) = list(parse_policy("p.json", json.dumps(document).encode()).tools[0].checks())
    vocabulary = Vocabulary()
    formula = vocabulary.check(check)
    maker = CallMaker(vocabulary, {"tool": "a"}, Budget(steps))
    found, conclusion = maker.find([Demand(formula, wanted)])
    return list(found), conclusion


def test_a_number_between_two() -> None:
    conditions = [{"path": "args.n", "op": op, "value": value} for op, value in (("gt", 1), ("lt", 2))]
    found, conclusion = found_for(policy("require", {"conditions": conditions}), truth.TRUE)
    assert [str(call.args["n"]) for call in found] == ["1.5"]
    assert conclusion.is_complete


def test_none_exists() -> None:
    conditions = [{"path": "args.n", "op": op, "value": value} for op, value in (("gt", 2), ("lt", 1))]
    found, conclusion = found_for(policy("require", {"conditions": conditions}), truth.TRUE)
    assert (found, conclusion.is_complete) == ([], True)


def test_an_evaluation_error_can_be_demanded() -> None:
    check = {"conditions": [{"path": "args.s", "op": "starts_with", "value": "x"}]}
    found, conclusion = found_for(policy("require", check), truth.ERROR)
    assert found
    assert not any(isinstance(call.args["s"], str) for call in found)
    assert conclusion.is_complete


def test_what_is_not_known_is_said() -> None:
    # Words with two special operators are tried, but not all of them.
    conditions = [
        {"path": "args.s", "op": "path_within", "value": "/srv"},
        {"path": "args.s", "op": "regex", "value": "[0-9]{3}$"},
        {"path": "args.s", "op": "not_regex", "value": "^/srv/callgate"},
    ]
    found, conclusion = found_for(policy("require", {"conditions": conditions}), truth.TRUE)
    assert (found, conclusion.is_complete) == ([], False)
    assert conclusion.reason == "no value of `args.s` is known that the conditions still leave open"


def test_a_search_ends_with_its_budget() -> None:
    check = {"conditions": [{"path": "args.s", "op": "eq", "value": "x"}]}
    found, conclusion = found_for(policy("require", check), truth.TRUE, steps=1)
    assert (found, conclusion.is_complete) == ([], False)
    assert conclusion.reason == "the conditions have too many combinations to examine them all"


@pytest.mark.parametrize("part", PARTS)
@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(check=CHECKS, tried=st.lists(calls(), min_size=10, max_size=30))
def test_calls_meet_their_demand_and_no_other_does_if_there_is_none(
    part: str, check: dict[str, Any], tried: list[dict[str, Any]]
) -> None:
    assume(check["conditions"])
    document = policy(part, check)
    try:
        found, conclusion = found_for(document, PARTS[part])
    except InvalidConfigError:
        assume(False)
        raise
    engine = Engine.from_dict(document)
    for call in found:
        # The category is that of a catalogue, which this engine lacks.
        if call.category is None:
            assert engine.explain(**asked(call, call.now_ms)).decision.allowed
    if not found and conclusion.is_complete:
        for one in tried:
            call_of = {name: value for name, value in one.items() if name != "category"}
            assert not engine.explain(**{**call_of, "tool": "a"}).decision.allowed
