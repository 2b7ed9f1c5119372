"""Decisions and what belongs to them as Python values: they pickle, copy, compare, and have a short `repr`."""

from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from callgate import Decision, Engine, LimitState, NotAllowedError, Peek, PeekedLimit, Shadow
from callgate.approvals.unanswered import Unanswered
from support.program import run

POLICY: dict[str, Any] = {
    "version": "1",
    "name": "test",
    "default": "deny",
    "tools": {
        "t": {"limits": [{"counter": "c", "window": "minute", "max": 2.5}]},
        "wide": {"limits": [{"counter": f"c{n}", "window": "minute", "max": 10} for n in range(6)]},
        "scoped": {"limits": [{"counter": "s", "window": "minute", "max": 2, "scope": ["args.id"]}]},
        "approve": {"action": "require_approval"},
        "shadowed": {"mode": "shadow", "action": "deny"},
        "files": {"require": [{"conditions": [{"path": "args.path", "op": "eq", "value": "x"}]}]},
    },
}


@pytest.fixture
def engine() -> Iterator[Engine]:
    with Unanswered() as people:
        yield Engine.from_dict(POLICY, approvals=people.queue)


def values(engine: Engine) -> list[Any]:
    """A value of each kind, and of each field that a decision may have."""
    decisions = [
        engine.check(grant="g", tool="t", reserve=True, now_ms=0),
        engine.check(grant="g", tool="t", now_ms=0),
        engine.check(grant="g", tool="t", now_ms=0),
        engine.check(grant="g", tool="it's", now_ms=0),
        engine.check(grant="g", tool="shadowed", now_ms=0),
        engine.check(grant="g", tool="approve", now_ms=0),
        Decision(outcome="allow", approval="a1"),
    ]
    assert {"allow", "deny", "rate_limited", "approval_required"} == {decision.outcome for decision in decisions}
    peeks = [
        engine.peek(grant="g", tool="t", now_ms=0),
        engine.peek(grant="g", tool="scoped", now_ms=0),
        engine.peek(grant="g", now_ms=0),
    ]
    limits = [*decisions[0].limits, *(limit for peek in peeks for limit in peek.limits)]
    return [*decisions, *peeks, *limits, *(decision.shadow for decision in decisions if decision.shadow)]


def test_values_pickle_with_every_protocol(engine: Engine) -> None:
    found = values(engine)
    assert {type(value) for value in found} == {Decision, Peek, LimitState, PeekedLimit, Shadow}
    for value in found:
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
            again = pickle.loads(pickle.dumps(value, protocol))
            assert type(again) is type(value)
            assert again == value
            assert again.to_dict() == value.to_dict()
            assert hash(again) == hash(value)


def test_values_copy(engine: Engine) -> None:
    for value in values(engine):
        assert copy.copy(value) == value
        assert copy.deepcopy([value]) == [value]


def test_the_error_of_a_guard_pickles(engine: Engine) -> None:
    error = NotAllowedError(engine.check(grant="g", tool="u", now_ms=0))
    again = pickle.loads(pickle.dumps(error))
    assert (again.decision, str(again)) == (error.decision, str(error))


def test_peeks_compare(engine: Engine) -> None:
    peek = engine.peek(grant="g", tool="t", now_ms=0)
    assert peek == engine.peek(grant="g", tool="t", now_ms=0)
    assert len({peek, engine.peek(grant="g", tool="t", now_ms=0)}) == 1
    assert peek != engine.peek(grant="g", now_ms=0)
    assert peek != engine.peek(grant="g", tool="t", now_ms=1)
    assert peek != "allow"


def test_repr_of_a_decision(engine: Engine) -> None:
    decision = engine.check(grant="g", tool="u", now_ms=7)
    assert repr(decision) == (
        f"<Decision deny rule='(default deny)' message={decision.message!r} policy='test'"
        f" policy_version='{decision.policy_version}' decided_at_us=7000>"
    )
    assert "limits=[LimitState(counter='c', max=2.5, remaining=1.5, reset_after_ms=60000)]" in repr(
        engine.check(grant="g", tool="t", now_ms=0)
    )
    assert "shadow=Shadow(outcome='deny', rule='/tools/shadowed/action')" in repr(
        engine.check(grant="g", tool="shadowed", now_ms=0)
    )


def test_repr_of_a_peek(engine: Engine) -> None:
    assert repr(engine.peek(grant="g", tool="t", now_ms=0)) == (
        "<Peek decision=allow limits=[<PeekedLimit counter='c' max=2.5 remaining=2.5>]>"
    )
    missing = "limits=[<PeekedLimit counter='s' max=2 missing=['args.id']>]"
    assert missing in repr(engine.peek(grant="g", tool="scoped", now_ms=0))


def test_repr_is_one_short_line_without_secrets(engine: Engine) -> None:
    held = engine.check(grant="g", tool="t", reserve=True, now_ms=0)
    assert held.reservation
    assert held.reservation not in repr(held)
    assert f"reservation='{held.reservation[:4]}...'" in repr(held)
    token = "cgt_" + 43 * "x"
    said = Decision(outcome="deny", rule=f"({token})", message=f"line\nline {token} " + 200 * "y")
    for text in (repr(said), repr(Shadow("deny", token)), repr(LimitState(token, 2, 1, 0))):
        assert token not in text
        assert "\n" not in text
    assert len(repr(said)) < 200
    assert "c3" in repr(engine.check(grant="g", tool="wide", now_ms=0))
    for value in (engine.check(grant="g", tool="wide", now_ms=0), engine.peek(grant="g", tool="wide", now_ms=0)):
        assert " and 2 more]" in repr(value)
        assert "c4" not in repr(value)


@pytest.mark.parametrize("value", [LimitState("c", 2.5, 1, 60_000), Shadow("deny", "/tools/it's")])
def test_repr_of_a_part_makes_it_again(value: object) -> None:
    assert eval(repr(value), {"LimitState": LimitState, "Shadow": Shadow}) == value


def test_an_explanation_prints_as_the_command_does(engine: Engine, tmp_path: Path) -> None:
    explanation = engine.explain(grant="g", tool="files", args={"path": 5}, now_ms=0)
    lines = str(explanation).splitlines()
    assert lines[0] == "request: passed"
    assert "    args.path eq: met a number: false" in lines
    assert f"  policy test {explanation.decision.policy_version}" == lines[-1]
    assert repr(explanation) == (
        f"<Explanation deny rule='/tools/files/require/args.path-eq' steps={len(explanation.steps)}>"
    )
    policy = tmp_path / "policy.json"
    policy.write_text(json.dumps(POLICY), encoding="utf-8")
    done = run("check", "--policy", policy, "--grant", "g", "--tool", "files", "--args", '{"path": 5}', "--explain")
    assert done.out == f"{explanation}\n"
