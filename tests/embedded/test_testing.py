"""`callgate.testing`: what people test their own policies with."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest

from callgate.testing import Clock, PolicyUnderTest

pytest_plugins = ["pytester"]

POLICY: dict[str, Any] = {
    "version": "1",
    "name": "tested",
    "default": "deny",
    "tools": {
        "charge": {"limits": [{"counter": "charges", "window": "hour", "max": 1}]},
        "refund": {"action": "require_approval"},
    },
}


def test_each_outcome_has_an_assertion() -> None:
    policy = PolicyUnderTest(POLICY)
    assert policy.assert_allowed(tool="charge").limits[0].remaining == 0
    limited = policy.assert_rate_limited(tool="charge", rule="/tools/charge/limits/charges")
    assert limited.retry_after_ms == 3_600_000
    policy.assert_allowed(tool="charge", grant="bob")
    policy.assert_approval_required(tool="refund")
    policy.assert_denied(tool="drop", rule="(default deny)")
    policy.clock.advance(hours=1)
    assert policy.check(tool="charge").allowed


def test_a_failure_says_what_decided_and_by_which_steps() -> None:
    policy = PolicyUnderTest(POLICY)
    with pytest.raises(AssertionError) as caught:
        policy.assert_allowed(tool="drop")
    text = str(caught.value)
    assert text.startswith("expected allow, and the decision is deny by (default deny)\n")
    assert policy.check(tool="drop").message in text
    assert "stopped" in text
    with pytest.raises(
        AssertionError, match=r"expected deny by \(hidden\), and the decision is deny by \(default deny\)"
    ):
        policy.assert_denied(tool="drop", rule="(hidden)")
    # The units of a wrong guess are taken, as those of any call.
    with pytest.raises(AssertionError, match="expected deny, and the decision is allow"):
        policy.assert_denied(tool="charge")
    policy.assert_rate_limited(tool="charge")


def test_the_clock() -> None:
    clock = Clock()
    assert clock.now == datetime(2026, 1, 1, tzinfo=timezone.utc)
    assert clock.now_ms == 1_767_225_600_000
    clock.advance(days=1, seconds=0.25)
    assert clock.now == datetime(2026, 1, 2, 0, 0, 0, 250_000, tzinfo=timezone.utc)
    with pytest.raises(ValueError, match="not negative"):
        clock.advance(minutes=-1)
    with pytest.raises(ValueError, match="no time zone"):
        clock.set(datetime(2026, 1, 1))  # noqa: DTZ001
    with pytest.raises(ValueError, match="before 1970"):
        clock.set(datetime(1969, 1, 1, tzinfo=timezone.utc))


def test_the_fixture_is_there_in_a_project_of_its_own(pytester: pytest.Pytester) -> None:
    (pytester.path / "policy.json").write_text(json.dumps(POLICY), encoding="utf-8")
    pytester.makepyfile(
        """
        def test_charges(callgate_policy):
            policy = callgate_policy("policy.json")
            policy.assert_allowed(tool="charge")
            policy.assert_rate_limited(tool="charge")

        def test_wrong(callgate_policy):
            callgate_policy("policy.json").assert_allowed(tool="drop")
        """
    )
    if "callgate" not in {entry.name for entry in entry_points(group="pytest11")}:
        pytest.fail("the plugin is not installed: make build")
    result = pytester.runpytest_inprocess("-p", "no:cacheprovider")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*expected allow, and the decision is deny by (default deny)*"])


def test_a_policy_with_a_fault_is_told_with_its_place(tmp_path: Path) -> None:
    (tmp_path / "policy.yaml").write_text("version: 1\nnme: x\n", encoding="utf-8")
    with pytest.raises(Exception, match=r"policy\.yaml:\d+:\d+: "):
        PolicyUnderTest(tmp_path / "policy.yaml")
