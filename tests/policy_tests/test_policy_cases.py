"""The cases of the contract as policy tests: a call has the same decision there as at every door."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import pytest

from callgate.config.fields import format_instant
from callgate.exact_json import write_json
from support.cases import Case, decision_cases
from support.policy_tests import failures, run_file
from support.program import run

if TYPE_CHECKING:
    from pathlib import Path

    from callgate.workbench.policy_tests import RunResult

CASES = decision_cases()
EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_case(case: Case, tmp_path: Path) -> None:
    (tmp_path / "policy.json").write_text(write_json(case.policy))
    document: dict[str, Any] = {
        "policy": "policy.json",
        "start": "1970-01-01T00:00:00Z",
        "tests": [{"name": "case", "steps": [*freezes(case), *steps(case)]}],
    }
    if case.catalogue is not None:
        tools = {tool: {"category": category} for tool, category in case.catalogue.items()}
        document["catalogue"] = {"version": "1", "servers": {"srv": {"tools": tools}}}
    path = tmp_path / "case_test.json"
    path.write_text(write_json(document))
    result = run_file(path)
    assert failures(result) == {}
    assert [one.calls for one in result.cases] == [len(case.calls)]
    assert {expect["rule"] for _, expect in case.calls if decides(expect)} <= deciding_rules(result)


def decides(expect: dict[str, Any]) -> bool:
    """True if a rule of the policy decided, and not the fault of a limit that could not be applied."""
    return expect["rule"].startswith("/") and not (expect["outcome"] == "deny" and "/limits/" in expect["rule"])


def deciding_rules(result: RunResult) -> set[str]:
    """The rules that reached a side on which they decide, by the coverage."""
    covered = [one for policy in result.coverage.policies() for one in policy.items]
    return {
        one.item.rule
        for one in covered
        # A comparison decides on either side, a check or a limit on one.
        if one.reached & {"refuses", "asks", "invalid", "true", "false", "missing", "wrong type"}
    }


def freezes(case: Case) -> list[dict[str, Any]]:
    """The freezes of a case as steps."""
    found = []
    for keywords in case.freezes:
        freeze = {name: value for name, value in keywords.items() if name != "until_us"}
        if "until_us" in keywords:
            freeze["duration"] = f"{keywords['until_us'] // 1_000_000}s"
        found.append({"freeze": freeze})
    return found


def steps(case: Case) -> list[dict[str, Any]]:
    """The calls of a case as steps, each at its time."""
    found: list[dict[str, Any]] = []
    for call, given in case.calls:
        at = EPOCH + timedelta(milliseconds=float(call.now_ms))
        fields: dict[str, Any] = {"tool": call.tool, "grant": call.grant, "args_json": write_json(call.args)}
        fields |= {"session": call.session} if call.session is not None else {}
        fields |= {"labels": call.labels} if call.labels is not None else {}
        found += [{"at": format_instant(at)}, {"call": fields, "expect": expectation(given)}]
    return found


def expectation(given: dict[str, Any]) -> dict[str, Any]:
    """The expectation of a case in the words of policy tests."""
    expect = {name: value for name, value in given.items() if name not in {"retry_after_ms", "shadow"}}
    if given.get("retry_after_ms") is not None:
        expect["retry_after"] = f"{given['retry_after_ms']}ms"
    if "shadow" in given:
        expect["shadow"] = given["shadow"] or "none"
    return expect


INTERCEPT = """
version: "1"
tools:
  create_issue:
    rules:
    - name: only our repository
      conditions: [{path: args.repo, op: eq, value: ours}]
      on_deny: not there
    - name: a few
      rate_limit: 2/hour
"""


def test_policies_of_intercept_are_tested_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "policy.yaml").write_text(INTERCEPT)
    call = "call: {tool: create_issue, args: {repo: %s}}"
    (tmp_path / "policy_test.yaml").write_text(
        "policy: policy.yaml\ndefaults: {grant: ann, server: github}\ntests:\n- name: both rules\n  steps:\n"
        f"  - {{{call % 'ours'}, times: 2, expect: allow}}\n"
        f"  - {{{call % 'theirs'}, expect: {{outcome: deny, message: not there}}}}\n"
        f"  - {{{call % 'ours'}, expect: rate_limited}}\n"
    )
    done = run("test", "--coverage", cwd=tmp_path)
    assert (done.code, "1 passed" in done.out) == (0, True), done
    assert "policy.yaml:" in run("test", "-v", "--coverage", cwd=tmp_path).out
