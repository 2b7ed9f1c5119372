"""`Engine` and `Decision`: what Python adds to the core."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import callgate
from callgate import Decision, Engine, LimitState, Outcome, Shadow
from callgate.approvals.unanswered import Unanswered

POLICY: dict[str, Any] = {
    "version": "1",
    "name": "test",
    "default": "deny",
    "tools": {
        "t": {"limits": [{"counter": "c", "window": "minute", "max": 2}]},
        "half": {"limits": [{"counter": "h", "window": "minute", "max": 2.5, "cost": 0.5}]},
        "approve": {"action": "require_approval"},
        "shadowed": {"mode": "shadow", "action": "deny"},
    },
    "categories": {"Destructive": {"hide": True}},
}


@pytest.fixture
def engine() -> Iterator[Engine]:
    with Unanswered() as people:
        yield Engine.from_dict(POLICY, approvals=people.queue)


def test_version() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+", callgate.version())
    assert callgate.__version__ == callgate.version()


def test_allow(engine: Engine) -> None:
    decision = engine.check(grant="g", tool="t", now_ms=1_000)
    assert decision.allowed
    assert decision.outcome == "allow"
    assert decision.outcome is Outcome.ALLOW
    assert f"{decision.outcome}" == str(decision.outcome) == "allow"
    assert {"allow": 1}[decision.outcome] == 1
    assert (decision.rule, decision.message, decision.retry_after_ms, decision.shadow) == ("", "", None, None)
    assert decision.limits == (LimitState("c", 2, 1, 60_000),)
    assert (decision.policy, decision.decided_at_us) == ("test", 1_000_000)
    assert re.fullmatch("[0-9a-f]{12}", decision.policy_version)
    assert (decision.fingerprint, decision.reservation, decision.approval) == (None, None, None)


def test_rate_limited(engine: Engine) -> None:
    for _ in range(2):
        engine.check(grant="g", tool="t", now_ms=0)
    decision = engine.check(grant="g", tool="t", now_ms=1_000.5)
    assert (decision.outcome, decision.rule, decision.retry_after_ms) == ("rate_limited", "/tools/t/limits/c", 59_000)
    assert not decision.allowed
    assert "t" in decision.message


def test_first_call_on_the_systems_clock() -> None:
    # Each engine's first call makes all its counters at once, at an instant that is no whole microsecond.
    limits = [
        {"counter": "few", "window": "minute", "max": 1},
        {"counter": "many", "window": "minute", "max": 300},
    ]
    policy = {"version": "1", "default": "deny", "tools": {"t": {"limits": limits}}}
    for _ in range(20):
        decision = Engine.from_dict(policy).check(grant="g", tool="t")
        assert decision.allowed, decision
        assert [limit.remaining for limit in decision.limits] == [0, 299]


def test_units_are_exact(engine: Engine) -> None:
    [limit] = engine.check(grant="g", tool="half", now_ms=0).limits
    assert (limit.max, limit.remaining) == (2.5, 2)
    assert isinstance(limit.remaining, int)


def test_approval(engine: Engine) -> None:
    decision = engine.check(grant="g", tool="approve", args={"a": 1}, now_ms=0)
    assert decision.outcome == "approval_required"
    assert decision.fingerprint is not None
    assert re.fullmatch("[0-9a-f]{64}", decision.fingerprint)
    assert engine.check(grant="g", tool="approve", args=b'{"a": 1.0}', now_ms=5).fingerprint == decision.fingerprint
    assert engine.check(grant="g", tool="approve", args={"a": 2}, now_ms=5).fingerprint != decision.fingerprint


def test_shadow(engine: Engine) -> None:
    decision = engine.check(grant="g", tool="shadowed", now_ms=0)
    assert decision.allowed
    assert decision.shadow == Shadow("deny", "/tools/shadowed/action")
    assert decision.shadow.outcome is Outcome.DENY


def test_reservations(engine: Engine) -> None:
    first = engine.check(grant="g", tool="t", reserve=True, now_ms=0)
    second = engine.check(grant="g", tool="t", reserve=True, now_ms=0)
    assert first.reservation is not None
    assert second.reservation is not None
    assert re.fullmatch("[0-9a-f]{32}", first.reservation)
    refused = engine.check(grant="g", tool="t", reserve=True, now_ms=0)
    assert (refused.outcome, refused.reservation) == ("rate_limited", None)
    assert engine.roll_back(first.reservation, now_ms=1)
    assert not engine.roll_back(first.reservation, now_ms=1)
    assert engine.check(grant="g", tool="t", now_ms=1).allowed
    assert engine.commit(second.reservation, now_ms=1)
    assert not engine.roll_back(second.reservation, now_ms=1)


def test_reservations_expire() -> None:
    engine = Engine.from_dict(POLICY, reservation_ttl_ms=50)
    decision = engine.check(grant="g", tool="t", reserve=True, now_ms=0)
    assert decision.reservation is not None
    assert not engine.roll_back(decision.reservation, now_ms=51)


@pytest.mark.parametrize("reservation", ["", "abc", "g" * 32, "+" + "0" * 31, "0" * 33])
def test_malformed_reservations(engine: Engine, reservation: str) -> None:
    with pytest.raises(ValueError, match="32 hex digits"):
        engine.roll_back(reservation)


def test_catalogue_forms(tmp_path: Path) -> None:
    document = {"version": "1", "servers": {"srv": {"tools": {"t": {"category": "Destructive"}}}}}
    path = tmp_path / "catalogue.json"
    path.write_text(json.dumps(document))
    for catalogue in ({"t": "Destructive"}, document, path, str(path)):
        engine = Engine.from_dict(POLICY, catalogue)
        assert engine.check(grant="g", tool="t").rule == "(hidden)"
    short = Engine.from_dict({**POLICY, "default": "allow"}, {"t": "Destructive"})
    assert short.check(grant="g", tool="t", server="other").rule == "(hidden)"


def test_reload_keeps_counts(engine: Engine, tmp_path: Path) -> None:
    before = engine.check(grant="g", tool="t", now_ms=0)
    raised = {**POLICY, "tools": {"t": {"limits": [{"counter": "c", "window": "minute", "max": 3}]}}}
    engine.reload_dict(raised)
    after = engine.check(grant="g", tool="t", now_ms=0)
    assert after.policy_version != before.policy_version
    assert after.limits == (LimitState("c", 3, 1, 60_000),)
    engine.reload_json(json.dumps(POLICY))
    assert not engine.check(grant="g", tool="t", now_ms=0).allowed
    path = tmp_path / "p.json"
    path.write_text(json.dumps(raised))
    engine.reload_file(path)
    assert engine.check(grant="g", tool="t", now_ms=0).allowed


def test_a_reload_that_fails_changes_nothing(engine: Engine) -> None:
    before = engine.policies
    with pytest.raises(callgate.PolicyError):
        engine.reload_dict({"version": "1"})
    assert engine.policies == before
    assert engine.check(grant="g", tool="t").allowed


def test_an_engine_with_new_counters_shares_policies_and_no_counts(engine: Engine) -> None:
    engine.freeze(server="srv", tool="half", reason="stopped")
    for _ in range(2):
        assert engine.check(grant="g", tool="t", now_ms=0)
    other = engine.with_new_counters(counter_capacity=1, approvals=None)
    assert other.policies[0].version == engine.policies[0].version
    assert (other.counters, engine.counters[0]) == ((0, 1), 1)
    assert other.check(grant="g", tool="t", now_ms=0)
    assert not engine.check(grant="g", tool="t", now_ms=0)
    # Its size is its own, and so are its freezes and its policies from now on.
    assert other.check(grant="h", tool="t", now_ms=0).rule == "(counter capacity)"
    other = engine.with_new_counters(approvals=None)
    assert other.check(grant="g", tool="half", now_ms=0)
    other.reload_dict({**POLICY, "tools": {}})
    assert other.check(grant="g", tool="t", now_ms=0).rule == "(default deny)"
    assert engine.check(grant="h", tool="t", now_ms=0)


def test_counters_and_their_cap() -> None:
    engine = Engine.from_dict(POLICY, counter_capacity=4, counters_per_grant=1)
    assert engine.counters == (0, 4)
    assert engine.check(grant="g", tool="t", now_ms=0).allowed
    assert engine.counters == (1, 4)
    refused = engine.check(grant="g", tool="half", now_ms=0)
    assert (refused.outcome, refused.rule) == ("deny", "(counter capacity)")


def test_idle_counters_are_reclaimed_without_a_server() -> None:
    engine = Engine.from_dict(POLICY, counter_capacity=8)
    day_ms = 86_400_000
    calls = (engine.check(grant=f"g{number}", tool="t", now_ms=number * day_ms) for number in range(2_000))
    allowed = sum(decision.allowed for decision in calls)
    alive, capacity = engine.counters
    assert alive <= capacity < allowed


def test_explain_takes_nothing(engine: Engine) -> None:
    explanations = [engine.explain(grant="g", tool="t", now_ms=0) for _ in range(5)]
    assert all(explanation.decision.allowed for explanation in explanations)
    explanation = explanations[-1]
    assert [step.kind for step in explanation.steps][:3] == ["request", "hidden", "default"]
    assert "/tools/t/limits/c" in [step.rule for step in explanation.steps]
    assert engine.check(grant="g", tool="t", now_ms=0).limits[0].remaining == 1


def test_explain_tells_types_met_and_never_values() -> None:
    check = {"conditions": [{"path": "args.a", "op": "gt", "value": 5}, {"path": "args.b", "op": "eq", "value": 1}]}
    engine = Engine.from_dict({"version": "1", "default": "deny", "tools": {"t": {"require": [check]}}})
    explanation = engine.explain(grant="g", tool="t", args={"a": "secret"}, now_ms=0)
    [step] = [step for step in explanation.steps if step.kind == "require"]
    assert [(c.path, c.op, c.met, c.result) for c in step.conditions] == [
        ("args.a", "gt", ("a string",), "error"),
        ("args.b", "eq", ("missing",), "presumed false"),
    ]
    assert "secret" not in repr(explanation.steps) + repr(explanation.decision)


def test_a_grant_has_its_own_reservations() -> None:
    policy = {
        "version": "1",
        "default": "deny",
        "tools": {"t": {"limits": [{"counter": "c", "window": "day", "max": 99}]}},
    }
    engine = Engine.from_dict(policy, reservations_per_grant=2, reservations_per_pep=4)

    def reserve(grant: str) -> str:
        reservation = engine.check(grant=grant, tool="t", reserve=True).reservation
        assert reservation is not None
        return reservation

    quiet = reserve("quiet")
    loud = [reserve("loud") for _ in range(9)]
    assert [engine.roll_back(reservation) for reservation in loud] == [False] * 7 + [True] * 2
    assert engine.roll_back(quiet)
    mixed = [reserve(f"grant {number}") for number in range(6)]
    assert [engine.roll_back(reservation) for reservation in mixed] == [False] * 2 + [True] * 4


@pytest.mark.parametrize("name", ["reservations_per_grant", "reservations_per_pep"])
@pytest.mark.parametrize("most", [0, 65_537])
def test_bounds_of_reservations_that_are_none_are_refused(name: str, most: int) -> None:
    with pytest.raises(callgate.ConfigError, match=f"{name}: expected 1 to 65536, got {most}"):
        Engine.from_dict(POLICY, **{name: most})  # type: ignore[arg-type]


def test_a_decision_is_true_where_the_call_may_go_on_and_equals_its_outcome() -> None:
    for outcome in Outcome:
        decision = Decision(outcome=outcome, rule="r")
        assert bool(decision) == decision.allowed == (outcome is Outcome.ALLOW)
        for other in Outcome:
            for name in (other, other.value):
                assert (decision == name) == (name == decision) == (other is outcome)
                assert (decision != name) == (name != decision) == (other is not outcome)
        # What is equal has one hash, so that a decision is found by its outcome.
        assert hash(decision) == hash(outcome) == hash(outcome.value)
        assert {outcome.value: 1}[decision] == 1  # type: ignore[index]
        for stranger in ("", outcome.value.upper(), "r", None, 1, True, (outcome,)):
            assert decision != stranger


def test_decisions_compare_and_are_frozen(engine: Engine) -> None:
    decision = engine.check(grant="g", tool="nothing", now_ms=7)
    same = Decision(
        outcome="deny",
        rule=decision.rule,
        message=decision.message,
        policy=decision.policy,
        policy_version=decision.policy_version,
        decided_at_us=7_000,
    )
    assert decision == same
    assert hash(decision) == hash(same)
    assert decision != engine.check(grant="g", tool="nothing", now_ms=8)
    assert len({decision, same}) == 1
    with pytest.raises(AttributeError):
        decision.rule = ""  # type: ignore[misc]
    with pytest.raises(ValueError, match="unknown outcome `maybe`"):
        Decision(outcome="maybe")


def test_to_dict_leaves_out_what_is_absent(engine: Engine) -> None:
    decision = engine.check(grant="g", tool="nothing", now_ms=0)
    assert set(decision.to_dict()) == {
        "outcome", "rule", "message", "limits", "policy", "policy_version", "decided_at_us",
    }  # fmt: skip
    assert json.loads(json.dumps(decision.to_dict())) == decision.to_dict()


@pytest.mark.parametrize("now_ms", [-1, -0.1, float("nan"), float("inf"), 1e300, 2**64])
def test_impossible_times(engine: Engine, now_ms: float) -> None:
    with pytest.raises(ValueError, match="milliseconds since 1970"):
        engine.check(grant="g", tool="t", now_ms=now_ms)


def test_times_are_rounded_to_the_microsecond(engine: Engine) -> None:
    assert engine.check(grant="g", tool="t", now_ms=0.0014).decided_at_us == 1
    assert engine.check(grant="g", tool="t", now_ms=0.0016).decided_at_us == 2


def test_names_are_strings(engine: Engine) -> None:
    with pytest.raises(TypeError):
        engine.check(grant=5, tool="t")  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        engine.check(grant="g", tool="t", labels={"a": 1})  # type: ignore[dict-item]
    with pytest.raises(TypeError):
        engine.check("g", "t")  # type: ignore[call-arg]


def test_threads_share_limits() -> None:
    engine = Engine.from_dict({"version": "1", "default": "allow", "all_tools": {"limits": [
        {"counter": "c", "window": "day", "max": 100}]}})  # fmt: skip
    allowed: list[bool] = []

    def ask() -> None:
        allowed.extend(engine.check(grant="g", tool="t").allowed for _ in range(100))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(allowed) == 100


def test_policy_schema_is_a_schema() -> None:
    schema = json.loads(callgate.policy_schema())
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"


IDS_AFTER_A_FORK = """
import os
from callgate import Engine

engine = Engine.from_dict({"version": "1", "name": "p", "default": "allow"})

def reservations():
    return {engine.check(grant="g", tool="t", reserve=True).reservation for _ in range(200)}

# Some are made in advance, which the child has as well.
engine.check(grant="g", tool="t", reserve=True)
read, write = os.pipe()
if os.fork() == 0:
    with os.fdopen(write, "w") as out:
        out.write("\\n".join(reservations()))
    os._exit(0)
os.close(write)
mine = reservations()
with os.fdopen(read) as told:
    other = set(told.read().split())
assert os.wait()[1] == 0
assert len(mine) == len(other) == 200 and not mine & other, mine & other
"""


def test_a_forked_child_gives_out_reservations_of_its_own() -> None:
    command = [sys.executable, "-c", IDS_AFTER_A_FORK]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
