"""Every code has a policy that has it and one that nearly has it; witnesses are decided as they say."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from callgate import Engine
from callgate.workbench.analyse import CODES, Analysis, Finding, analyse, repair
from callgate.workbench.catalogue import parse_catalogue
from callgate.workbench.rules import Policy, parse_policy
from support.analyse_cases import CASES, Case, text_of

PAGE = Path(__file__).resolve().parents[2] / "docs" / "analysis.md"


def analysis(rules: str, case: Case) -> Analysis:
    catalogue = None if case.catalogue is None else parse_catalogue("c.json", json.dumps(case.catalogue).encode())
    return analyse(parse_policy("p.yaml", text_of(rules).encode()), ("srv",), catalogue)


def codes(found: Analysis) -> set[str]:
    return {one.code.code for one in (*found.findings, *found.unknown)}


def test_every_code_has_a_case() -> None:
    assert list(CASES) == list(CODES)


@pytest.mark.parametrize("code", CODES)
def test_a_policy_that_has_it_and_one_that_has_not(code: str) -> None:
    case = CASES[code]
    assert code in codes(analysis(case.has, case))
    assert code not in codes(analysis(case.has_not, case))


def policy_of(document: dict[str, Any]) -> Policy:
    return parse_policy("p.json", json.dumps(document).encode())


def witnessed() -> list[tuple[str, Finding, Case]]:
    found = []
    for name, case in CASES.items():
        found += [
            (f"{name}-{one.code.code}", one, case) for one in analysis(case.has, case).findings if one.witness.calls
        ]
    return found


@pytest.mark.parametrize(("finding", "case"), [pytest.param(one, case, id=name) for name, one, case in witnessed()])
def test_calls_of_witnesses_are_decided_as_they_say(finding: Finding, case: Case) -> None:
    policy = parse_policy("p.yaml", text_of(case.has).encode())
    engine = Engine.from_config(
        policies={"p": ("p.yaml", policy.document.content)}, servers={"srv": "p"}, catalogue=case.catalogue
    )
    for one in finding.witness.calls:
        for _ in range(one.times):
            decision = engine.check(
                tool=one.call.tool,
                grant=one.call.grant,
                args=dict(one.call.args),
                session=one.call.session,
                now_ms=one.call.now_ms,
            )
            assert (decision.outcome, decision.rule) == (one.outcome, one.rule)


@pytest.mark.parametrize("code", [one.code for one in CODES.values() if one.is_fixable])
def test_a_certain_remedy_removes_the_finding(code: str) -> None:
    case = CASES[code]
    policy = parse_policy("p.yaml", text_of(case.has).encode())
    done = repair(policy)
    assert code in {one.code.code for one in done.mended} or (code == "CG113" and not done.mended)
    assert done.left == ()
    if done.mended:
        assert code not in codes(analyse(done.policy))


def test_an_approval_keeps_its_last_condition() -> None:
    never = "{conditions: [{path: time.hour, op: gt, value: 23}]}"
    rules = f"tools: {{pay: {{action: require_approval, approval: {{when: [{never}, {never}]}}}}}}"
    done = repair(parse_policy("p.yaml", text_of(rules).encode()))
    assert len(done.policy.tools[0].when) == 1


def test_pointers_of_later_checks_stay() -> None:
    def condition(path: str) -> str:
        return f"{{conditions: [{{any: [{{path: {path}, op: gt, value: 23}}, {{path: {path}, op: gt, value: 24}}]}}]}}"

    rules = f"tools: {{pay: {{deny_if: [{condition('time.hour')}, {condition('args.x')}]}}}}"
    policy = parse_policy("p.yaml", text_of(rules).encode())
    assert "CG101" in codes(analyse(policy))
    assert repair(policy).policy.document.content == policy.document.content


def test_what_a_wrong_type_reaches_is_not_called_dead() -> None:
    rules = CASES["CG102"].has
    found = analysis(rules, CASES["CG102"])
    assert "CG101" not in codes(found)
    policy = parse_policy("p.yaml", text_of(rules).encode())
    decision = Engine.from_dict(policy.document.data).check(tool="pay", grant="g", args={"amount": "x"})
    assert decision.rule == "/tools/pay/deny_if/args.amount-lt"


@pytest.mark.parametrize(
    "condition",
    [
        "{path: session, op: exists, value: false}",
        "{not: {path: session, op: not_regex, value: a}}",
        "{path: grant.labels.team, op: exists, value: false}",
    ],
)
def test_values_that_are_never_empty_may_be_there(condition: str) -> None:
    rules = f"tools: {{pay: {{deny_if: [{{conditions: [{condition}]}}]}}}}"
    assert "CG104" not in codes(analyse(parse_policy("p.yaml", text_of(rules).encode())))


def test_a_shadowed_check_covers_no_enforced_one() -> None:
    check = "[{conditions: [{path: args.a, op: gt, value: 1}]}]"
    lower = "[{conditions: [{path: args.a, op: lt, value: 1}]}]"
    rules = f"all_tools: {{mode: shadow, require: {check}}}\ntools: {{pay: {{deny_if: {lower}}}}}"
    assert "CG103" not in codes(analyse(parse_policy("p.yaml", text_of(rules).encode())))
    enforced = rules.replace("mode: shadow, ", "")
    assert "CG103" in codes(analyse(parse_policy("p.yaml", text_of(enforced).encode())))


def test_the_page_has_a_section_for_every_code() -> None:
    text = PAGE.read_text()
    sections = {part.split("\n", 1)[0]: part for part in text.split("\n## ")[1:]}
    of_codes = {title: part for title, part in sections.items() if title.startswith("CG")}
    assert list(of_codes) == list(CODES)
    for code in CODES.values():
        words = " ".join(of_codes[code.code].split())
        assert code.title in words
        assert " ".join(code.meaning.split()) in words
        assert " ".join(code.remedy.split()) in words


def test_the_analysis_ends_when_its_time_is_over() -> None:
    times = iter(range(0, 10_000, 4))
    case = replace(CASES["CG104"])
    found = analyse(parse_policy("p.yaml", text_of(case.has).encode()), clock=lambda: float(next(times)))
    assert found.findings == ()
    assert "in the time or the steps" in found.unknown[0].message


def test_an_entry_that_uses_up_its_share_leaves_the_others_theirs() -> None:
    # One tick for each look at the clock; the first entry asks for many things.
    checks = [
        {"conditions": [{"path": "args.a", "op": "regex", "value": f"^x{number}[a-z]+$"}]} for number in range(60)
    ]
    never = [{"conditions": [{"path": "args.n", "op": op, "value": 1} for op in ("gt", "lt")]}]
    tools = {"first": {"deny_if": checks}, **{f"t{number}": {"deny_if": never} for number in range(3)}}
    ticks = count(step=0.03)
    found = analyse(policy_of({"version": "1", "default": "deny", "tools": tools}), clock=lambda: next(ticks))
    assert [(one.code.code, one.rule.split("/")[2]) for one in found.findings] == [
        ("CG102", f"t{number}") for number in range(3)
    ]
    assert {one.rule.split("/")[2] for one in found.unknown} == {"first"}


def test_tools_that_are_hidden_in_shadow_can_be_called() -> None:
    document = {"version": "1", "default": "deny", "mode": "shadow", "hide": ["a*"], "tools": {"ab": {}, "b": {}}}
    assert not {"CG111", "CG113"} & {one.code.code for one in analyse(policy_of(document)).findings}
    assert "CG113" in {one.code.code for one in analyse(policy_of({**document, "mode": "enforce"})).findings}


def test_a_condition_on_the_tool_that_need_not_be_chosen() -> None:
    conditions = [{"path": name, "op": "starts_with", "value": "low"} for name in ("tool", "category")]
    document = {"version": "1", "default": "deny", "tools": {"a*": {"deny_if": [{"conditions": conditions}]}}}
    assert not analyse(policy_of(document)).unknown


def test_tools_of_every_server_are_looked_at() -> None:
    tools = {
        "a": {"t": {"category": "Read", "input_schema": {}}},
        "b": {"t": {"category": "Write"}, "u": {}},
    }
    document = {"version": "1", "servers": {name: {"tools": one} for name, one in tools.items()}}
    catalogue = parse_catalogue("c.json", json.dumps(document).encode())
    policy = policy_of(
        {"version": "1", "default": "deny", "categories": {"Write": {}}, "tools": {"t": {"schema": "input"}}}
    )
    found = {one.code.code: one for one in analyse(policy, ("a", "b"), catalogue).findings}
    assert "CG143" not in found
    assert "`t` at the server `b`" in found["CG144"].message
    (call,) = found["CG144"].witness.calls
    assert (call.call.server, call.rule) == ("b", "/tools/t/schema")
    assert "`u`" in found["CG142"].message
