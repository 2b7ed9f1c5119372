"""Reports of policy tests: for people, as JUnit XML and as JSON."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

from callgate.workbench.policy_tests.reports import (
    failed_junit_xml,
    failure_lines,
    junit_xml,
    result_line,
    run_document,
    summary_line,
)
from support.policy_tests import run_text

if TYPE_CHECKING:
    from pathlib import Path

    from callgate.workbench.policy_tests import RunResult

BEGAN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)
REQUIRED = {
    "testsuite": {"name", "timestamp", "hostname", "tests", "failures", "errors", "time"},
    "testcase": {"name", "classname", "time"},
    "failure": {"type"},
    "error": {"type"},
}
"""The attributes that the common schema of JUnit reports requires."""
CHILDREN = {"testsuites": ["testsuite"], "testsuite": ["properties", "testcase", "system-out", "system-err"]}

TEXT = """\
policy: {version: '1', default: deny, tools: {"a\\e[31m\\u0001<&\\u202e": {}, a: {rate_limit: 1/hour}}}
tests:
- {name: passes, call: {tool: a}, expect: allow}
- {name: "<fails> & \\e[2J", call: {tool: "a\\e[31m\\u0001<&\\u202e"}, expect: {rule: "/\\u0001\\u202e]]>"}}
- name: a step
  steps:
  - {call: {tool: a}, times: 3, expect: allow}
"""


def hostile(folder: Path) -> RunResult:
    """A run with a test that passes and two that fail, whose names have what terminals and XML read."""
    return run_text(folder, TEXT)


def check_junit(text: str) -> ET.Element:
    """The top of a report that has everything that the common schema requires, in its order."""
    top = ET.fromstring(text)
    assert top.tag == "testsuites"
    for element in top.iter():
        assert REQUIRED.get(element.tag, set()) <= set(element.attrib), element.attrib
        order = CHILDREN.get(element.tag)
        if order is not None:
            tags = [child.tag for child in element]
            assert tags == sorted(tags, key=order.index)
    for suite in top:
        cases = suite.findall("testcase")
        numbers = {name: int(suite.attrib[name]) for name in ("tests", "failures", "errors")}
        counted = {
            name: sum(case.find(tag) is not None for case in cases)
            for name, tag in (("failures", "failure"), ("errors", "error"))
        }
        assert numbers == {"tests": len(cases), **counted}
        datetime.strptime(suite.attrib["timestamp"], "%Y-%m-%dT%H:%M:%S").replace(tzinfo=timezone.utc)
        assert all(float(one.attrib["time"]) >= 0 for one in (suite, *cases))
    return top


def test_junit(tmp_path: Path) -> None:
    top = check_junit(junit_xml(hostile(tmp_path), BEGAN, "host\x00<name>"))
    [suite] = top
    assert suite.attrib["timestamp"] == "2026-01-02T03:04:05"
    passes, fails, step = suite.findall("testcase")
    assert (passes.attrib["name"], passes.attrib["line"], len(passes)) == ("passes", "3", 0)
    [failure] = fails
    assert failure.attrib["type"] == "rule"
    assert "\x1b" not in (failure.text or "")
    assert "\u202e" not in (failure.text or "")
    assert f"{tmp_path / 'text_test.yaml'}:4:3" in (failure.text or "")
    assert step[0].attrib["message"] == "outcome: expected allow, got rate_limited"


def test_junit_of_tests_that_cannot_be_run() -> None:
    [suite] = check_junit(failed_junit_xml("a_test.yaml:1:1: wrong \x1b & <so>", BEGAN, "host"))
    [case] = suite.findall("testcase")
    assert [child.tag for child in case] == ["error"]


def test_lines(tmp_path: Path) -> None:
    result = hostile(tmp_path)
    passes, fails, step = result.cases
    file = tmp_path / "text_test.yaml"
    assert result_line(passes) == f"{file}::passes PASSED"
    assert result_line(fails) == f"{file}::<fails> & \\u{{1b}}[2J FAILED"
    assert fails.failure is not None
    assert step.failure is not None
    lines = list(failure_lines(fails, fails.failure, explained=True))
    assert all(line.isprintable() for line in lines)
    assert lines[1].startswith(f"  {file}:4:3: step 1, call `a\\u{{1b}}[31m\\u{{1}}<&\\u{{202e}}` (grant `test`), at ")
    assert lines[2] == "    rule: expected /\\u{1}\\u{202e]]>, got nothing" or lines[2].startswith(
        "    rule: expected /"
    )
    assert lines[-4:] == [
        "    steps, before units were taken:",
        "    | request: passed",
        "    | hidden: (hidden) passed",
        "    | default: (default deny) passed",
    ]
    assert list(failure_lines(step, step.failure, explained=False)) == [
        f"FAILED {file}::a step",
        f"  {file}:7:5: step 1, call `a` (grant `test`), call 2 of 3, at 2026-01-01T00:00:00Z",
        "    outcome: expected allow, got rate_limited",
        "    | rate_limited /tools/a/limits/a_rate",
        "    |   `a` is limited to 1 call per hour for this grant; try again in 3600 s",
        "    |   retry after 3600 s",
        "    |   limit a_rate: 0 of 1 left, all of it in 3600 s",
        f"    |   policy policy {step.failure.decided.decision.policy_version if step.failure.decided else ''}",
    ]
    assert summary_line(result) == "2 failed, 1 passed"


def test_the_document_is_the_same_for_equal_runs(tmp_path: Path) -> None:
    first, second = (run_document(hostile(tmp_path), with_coverage=True) for _ in range(2))
    assert first == second
    assert (first["passed"], first["failed"]) == (1, 2)
    tests: list[dict[str, Any]] = first["tests"]
    assert [(one["outcome"], one["line"], one["calls"]) for one in tests] == [
        ("passed", 3, 1),
        ("failed", 4, 1),
        ("failed", 5, 2),
    ]
    failure = tests[2]["failure"]
    assert failure["differences"] == [{"field": "outcome", "expected": "allow", "got": "rate_limited"}]
    assert failure["decision"]["rule"] == "/tools/a/limits/a_rate"
    assert first["coverage"]["total"] == 5
    assert "coverage" not in run_document(hostile(tmp_path), with_coverage=False)


TOKEN = "cgs_0123456789abcdef0123456789abcdef"
SECRETS = f"""\
config: callgate.yaml
people: {{ann: []}}
tests:
- {{name: named {TOKEN}, call: {{tool: pay, args: {{pin: hunter2}}}}, expect: allow}}
- {{name: a message, call: {{tool: pay, args: {{pin: hunter2}}}}, expect: {{message: "{TOKEN}{TOKEN}"}}}}
- name: a permit
  steps:
  - {{call: {{tool: ask, args: {{pin: hunter2}}}}, expect: approval_required}}
  - {{permit: ann, terms: {{pin: {{one_of: [hunter3]}}}}}}
- {{name: asks, call: {{tool: ask}}, expect: allow}}
"""


def test_no_report_has_secrets(tmp_path: Path) -> None:
    """Continuous integration servers keep reports, and show them to many."""
    rules = {
        "pay": {"deny_if": [{"conditions": [{"path": "args.pin", "op": "exists", "value": True}], "on_deny": TOKEN}]},
        "ask": {"action": "require_approval", "approval": {"permit": {"max_uses": 5, "max_duration": "1h"}}},
    }
    policy = {"version": "1", "default": "deny", "tools": rules}
    (tmp_path / "policy.json").write_text(json.dumps(policy))
    (tmp_path / "callgate.yaml").write_text(
        "servers: {srv: {policy: main}}\npolicies: {main: policy.json}\napprovals: {mask: [args.pin]}\n"
    )
    result = run_text(tmp_path, SECRETS)
    assert result.failed == 4
    document = run_document(result, with_coverage=True)
    for report in (json.dumps(document), junit_xml(result, BEGAN, TOKEN), failed_junit_xml(TOKEN, BEGAN, "host")):
        assert TOKEN not in report
        assert "hunter" not in report
        assert "cgs_..." in report
    # The fingerprint of a call looks like a key and is none; programs compare it.
    assert len(document["tests"][3]["failure"]["decision"]["fingerprint"]) == 64
