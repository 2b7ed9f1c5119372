"""The rules of a policy as classes, held to the engine by the cases of the contract."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from callgate import Engine
from callgate.config.faults import InvalidConfigError
from callgate.exact_json import write_json
from callgate.workbench.rules import AnyOf, Comparison, Entry, Not, Pattern, Policy, Window, parse_policy
from callgate.workbench.rules.paths import parse_path
from support.cases import Case, decision_cases


def policy_of(**fields: Any) -> Policy:
    return parse_policy("p.json", json.dumps({"version": "1", "default": "deny", **fields}).encode())


def pointers(entry: Entry) -> set[str]:
    """Every rule pointer that a decision by the entry can have."""
    found = {f"{entry.pointer}/{part}" for part in ("action", "schema", "approval")}
    found |= {check.pointer for check in entry.checks()}
    return found | {one for limit in entry.limits for one in (limit.pointer, f"{limit.pointer}/cost")}


@pytest.mark.parametrize("case", decision_cases(), ids=str)
def test_each_rule_of_a_decision_is_one_of_the_rules(case: Case) -> None:
    policy = parse_policy("p.json", write_json(case.policy).encode())
    for call, expected in case.calls:
        category = (case.catalogue or {}).get(call.tool)
        applying = policy.applying(call.tool, category)
        known = {one for entry in applying for one in pointers(entry)}
        shadow = expected.get("shadow") or {}
        for rule in (expected.get("rule", ""), shadow.get("rule", "")):
            match rule:
                case "(hidden)":
                    assert policy.is_hidden(call.tool, category)
                case "(default deny)":
                    assert applying == ()
                case _:
                    assert rule in known or rule == "" or rule.startswith("("), rule


@pytest.mark.parametrize(
    ("pattern", "names", "others"),
    [
        ("create_*", ["create_", "create_x", "create_x\n"], ["create", "xcreate_"]),
        ("a?c", ["abc", "a\U0001f600c", "a\nc"], ["ac", "abbc"]),
        (r"a\*", ["a*"], ["ab", "a"]),
        (r"\\", ["\\"], ["\\\\"]),
        ("**", ["", "x"], []),
        ("[a]+", ["[a]+"], ["a"]),
        ("*a*a*b", ["aab", "xaxaxbab"], ["ab", "a" * 99]),
    ],
)
def test_patterns_match_as_the_engine_does(pattern: str, names: list[str], others: list[str]) -> None:
    one = Pattern(pattern)
    engine = Engine.from_dict({"version": "1", "default": "deny", "tools": {pattern: {}}})
    for name in filter(None, (*names, *others)):
        assert one.matches(name) is (name in names)
        assert engine.check(grant="g", tool=name).allowed is (name in names)
    assert one.matches(one.example())


def test_the_entry_with_most_literal_characters_applies() -> None:
    policy = policy_of(tools={"*": {}, "create_*": {}, "*_image": {}, "?reate_*": {}, "create_image": {}, r"\*": {}})
    found = {
        name: policy.entry_of(name) for name in ("create_image", "create_x", "x_image", "create_my_image", "y", "*")
    }
    assert {name: entry.key for name, entry in found.items() if entry} == {
        "create_image": "create_image",
        "create_x": "create_*",
        "x_image": "*_image",
        "create_my_image": "create_*",
        "y": "*",
        "*": r"\*",
    }


def test_what_an_entry_says() -> None:
    policy = policy_of(
        tools={
            "a/b~c": {
                "mode": "shadow",
                "action": "require_approval",
                "require": [{"conditions": [{"path": "args.x", "op": "lt", "value": 0.5}]}],
                "deny_if": [
                    {"name": "n", "conditions": []},
                    {"conditions": [{"any": [{"not": {"path": "tool", "op": "eq", "value": "t"}}]}]},
                ],
                "approval": {"when": [{"conditions": [{"path": "args", "op": "len_gt", "value": 3}]}], "count": 2},
                "rate_limit": "5/hour",
                "limits": [
                    {
                        "counter": "c",
                        "window": "month",
                        "align": "calendar",
                        "max": 2.5,
                        "scope": ["tool", "grant", "tool"],
                        "cost": "args.n",
                        "at_max": "require_approval",
                    },
                ],
            }
        },
        categories={"Read": {"rate_limit": {"max": 2, "window": 1.5}}, "Destructive": {"hide": True}},
    )
    (entry,) = policy.tools
    assert (entry.pointer, entry.mode, entry.asks) == ("/tools/a~1b~0c", "shadow", True)
    assert [check.pointer for check in entry.checks()] == [
        "/tools/a~1b~0c/require/args.x-lt",
        "/tools/a~1b~0c/deny_if/n",
        "/tools/a~1b~0c/deny_if/1",
        "/tools/a~1b~0c/approval",
    ]
    (comparison,) = entry.require[0].comparisons()
    assert (comparison.path.text, comparison.op, comparison.value) == ("args.x", "lt", Decimal("0.5"))
    assert policy.document.place(comparison.at) > (1, 1)
    match entry.deny_if[1].conditions:
        case (AnyOf(conditions=(Not(condition=Comparison(op="eq")),)),):
            pass
        case other:
            pytest.fail(f"{other}")
    spend, rate = entry.limits
    assert (spend.window, spend.max, spend.scope) == (
        Window("calendar", period="month"),
        Decimal("2.5"),
        ("grant", "tool"),
    )
    assert spend.cost == parse_path("args.n")
    assert (rate.counter, rate.window.ms, rate.pointer) == (
        "a/b~c_rate",
        3_600_000,
        "/tools/a~1b~0c/limits/a~1b~0c_rate",
    )
    (of_category,) = policy.categories["Read"].limits
    assert (of_category.counter, of_category.window.ms) == ("category.Read_rate", 1_500)
    assert policy.is_hidden("t", "Destructive")
    assert not policy.is_hidden("t", "Read")
    assert [one.key for one in policy.applying("t", "Read")] == ["Read", "all_tools"]
    assert policy.applying("t") == ()


@pytest.mark.parametrize(
    ("text", "root", "keys"),
    [
        ("args", "args", ()),
        ("args.a.b", "args", (("key", "a"), ("key", "b"))),
        ("args.items[0][*]", "args", (("key", "items"), ("index", 0), ("every", ""))),
        ('args["a.b"]["\\"]"].c', "args", (("key", "a.b"), ("key", '"]'), ("key", "c"))),
        ("grant.labels.team", "grant.labels", (("key", "team"),)),
        ("grant.id", "grant.id", ()),
    ],
)
def test_paths(text: str, root: str, keys: tuple[tuple[str, str | int], ...]) -> None:
    path = parse_path(text)
    assert (path.root, path.keys) == (root, keys)
    assert path.has_every == ("[*]" in text)


def test_a_policy_with_faults_is_refused_with_all_of_them() -> None:
    with pytest.raises(InvalidConfigError) as told:
        parse_policy("p.yaml", b"version: '1'\ndefault: maybe\ntools: {a: {actoin: deny}}\n")
    assert [(fault.file, fault.line) for fault in told.value.faults] == [("p.yaml", 2), ("p.yaml", 3)]


@pytest.mark.parametrize(
    ("file", "text"),
    [
        (
            "p.json",
            '{"version":"1","default":"deny","name":"é","tools":{"é":{"limits":[{"counter":"c","window":60.500,"max":NUMBER}]}}}',
        ),
        ("p.yaml", "version: '1'\ndefault: deny\ntools:\n  é: {limits: [{counter: ü, window: 60.500, max: NUMBER}]}\n"),
    ],
)
@pytest.mark.parametrize("number", ["0.1000000000000000000000000001", "1.5", "12e3", "7"])
def test_numbers_are_exact(file: str, text: str, number: str) -> None:
    (limit,) = parse_policy(file, text.replace("NUMBER", number).encode()).tools[0].limits
    assert limit.max == Decimal(number)
    assert limit.window == Window("sliding", ms=60_500)
