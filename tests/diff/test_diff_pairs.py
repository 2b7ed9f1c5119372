"""Pairs of policies with a known verdict, one for each thing that a policy can say."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from callgate.exact_json import write_json
from callgate.workbench.catalogue import Catalogue
from callgate.workbench.diff import Comparison, compare
from callgate.workbench.rules import parse_policy
from support.witnesses import replay_all


def check(path: str, op: str, value: Any) -> dict[str, Any]:
    return {"conditions": [{"path": path, "op": op, "value": value}]}


def tool(**rules: Any) -> dict[str, Any]:
    return {"tools": {"t": rules}}


def limited(**fields: Any) -> dict[str, Any]:
    return tool(limits=[{"counter": "c", "window": "minute", "max": 3, **fields}])


def compared(old: dict[str, Any], new: dict[str, Any], catalogue: Catalogue | None = None) -> Comparison:
    documents = [{"version": "1", "default": "deny", **one} for one in (old, new)]
    policies = [
        parse_policy(f"{name}.json", write_json(document).encode())
        for name, document in zip(("old", "new"), documents, strict=True)
    ]
    found = compare(*policies, catalogue=catalogue)
    if catalogue is None:
        replay_all(found, documents[0], documents[1])
    return found


def require(path: str, op: str, value: Any) -> dict[str, Any]:
    return tool(require=[check(path, op, value)])


def deny_if(path: str, op: str, value: Any) -> dict[str, Any]:
    return tool(deny_if=[check(path, op, value)])


PAIRS = {
    # Numbers: boundaries, exact decimals, other types, missing arguments.
    "gt": (deny_if("args.n", "gt", 50), deny_if("args.n", "gt", 51), "wider"),
    "gt to gte": (deny_if("args.n", "gt", 50), deny_if("args.n", "gte", 50), "stricter"),
    "equal decimals": (require("args.n", "lt", Decimal("1.50")), require("args.n", "lt", Decimal("15e-1")), "same"),
    "20th decimal": (
        require("args.n", "lt", Decimal("0.10000000000000000001")),
        require("args.n", "lt", Decimal("0.10000000000000000002")),
        "wider",
    ),
    "2 to the 53": (require("args.n", "eq", 9007199254740992), require("args.n", "eq", 9007199254740993), "both"),
    "above 1e308": (require("args.n", "neq", Decimal("1e400")), require("args.n", "neq", Decimal("1e401")), "both"),
    "boolean is no number": (require("args.n", "eq", 1), require("args.n", "eq", True), "both"),
    "missing": (require("args.n", "neq", "x"), tool(deny_if=[check("args.n", "eq", "x")]), "wider"),
    "null": (require("args.n", "exists", True), tool(deny_if=[check("args.n", "eq", None)]), "both"),
    "presumed by not": (
        deny_if("args.n", "in", ["a"]),
        tool(deny_if=[{"conditions": [{"not": {"path": "args.n", "op": "not_in", "value": ["a"]}}]}]),
        "same",
    ),
    "error by type": (
        deny_if("args.n", "gt", 5),
        tool(
            require=[
                {
                    "conditions": [
                        {
                            "any": [
                                {"path": "args.n", "op": "exists", "value": False},
                                {"path": "args.n", "op": "lte", "value": 5},
                            ]
                        }
                    ]
                }
            ]
        ),
        "same",
    ),
    "conditions in another order": (
        tool(
            require=[
                {"conditions": [check("args.a", "eq", 1)["conditions"][0], check("args.b", "eq", 2)["conditions"][0]]}
            ]
        ),
        tool(
            require=[
                {"conditions": [check("args.b", "eq", 2)["conditions"][0], check("args.a", "eq", 1)["conditions"][0]]}
            ]
        ),
        "same",
    ),
    "one check as two": (
        tool(
            require=[
                {"conditions": [check("args.a", "eq", 1)["conditions"][0], check("args.b", "eq", 2)["conditions"][0]]}
            ]
        ),
        tool(require=[check("args.b", "eq", 2), check("args.a", "eq", 1)]),
        "same",
    ),
    "an impossible check": (
        tool(),
        tool(
            deny_if=[
                {"conditions": [check("args.a", "eq", 1)["conditions"][0], check("args.a", "eq", 2)["conditions"][0]]}
            ]
        ),
        "same",
    ),
    # Strings.
    "regex": (deny_if("args.s", "regex", "^x"), deny_if("args.s", "regex", "^xy"), "wider"),
    "regex as prefix": (require("args.s", "regex", "^ab"), require("args.s", "starts_with", "ab"), "same"),
    "regex written otherwise": (
        require("args.s", "regex", "^[0-9]{2}$"),
        require("args.s", "regex", "^[0-9][0-9]$"),
        "same",
    ),
    "unanchored": (require("args.s", "regex", "^safe$"), require("args.s", "regex", "^safe"), "wider"),
    "caseless": (require("args.s", "regex", "(?i)^abc$"), require("args.s", "regex", "^abc$"), "stricter"),
    "contains": (deny_if("args.s", "contains", "rm "), deny_if("args.s", "contains", "rm -"), "both"),
    "ends with": (require("args.s", "ends_with", ".txt"), require("args.s", "ends_with", "txt"), "wider"),
    "length": (require("args.s", "len_lte", 10), require("args.s", "len_lte", 12), "wider"),
    "long length": (require("args.s", "len_lte", 5000), require("args.s", "len_lte", 5001), "wider"),
    "length of a list": (require("args.l", "len_lt", 3), require("args.l", "len_lt", 2), "stricter"),
    "folder": (require("args.p", "path_within", "/srv/data"), require("args.p", "path_within", "/srv"), "wider"),
    "folders": (
        require("args.p", "path_within", ["/srv/a", "/srv/b"]),
        require("args.p", "path_within", ["/srv/b", "/srv/c"]),
        "both",
    ),
    "the same folder": (
        require("args.p", "path_within", "/srv/data"),
        require("args.p", "path_within", ["/srv/data/"]),
        "same",
    ),
    "host": (require("args.u", "host_in", ["example.com"]), require("args.u", "host_in", ["*.example.com"]), "both"),
    "network": (
        require("args.ip", "cidr_in", ["10.0.0.0/9", "10.128.0.0/9"]),
        require("args.ip", "cidr_in", ["10.0.0.0/8"]),
        "same",
    ),
    "smaller network": (
        require("args.ip", "cidr_in", ["10.0.0.0/8"]),
        require("args.ip", "cidr_in", ["10.0.0.0/9"]),
        "stricter",
    ),
    "list element": (require("args.l", "contains", "a"), require("args.l", "contains", "b"), "both"),
    # Paths.
    "every element": (
        require("args.l[*].n", "lt", 5),
        tool(deny_if=[{"conditions": [{"not": {"path": "args.l[*].n", "op": "lt", "value": 5}}]}]),
        "same",
    ),
    "one element": (require("args.l[*]", "eq", 1), require("args.l[0]", "eq", 1), "wider"),
    "nested": (require("args.o.k", "eq", 1), require("args.o.k", "in", [1, 2]), "wider"),
    "parent": (
        require("args.o.k", "eq", 1),
        tool(require=[check("args.o.k", "eq", 1), check("args.o", "exists", True)]),
        "same",
    ),
    "quoted key": (require('args["a.b"]', "eq", 1), require("args.a.b", "eq", 1), "both"),
    "grant": (require("grant.id", "eq", "a"), require("grant.id", "in", ["a", "b"]), "wider"),
    "label": (require("grant.labels.team", "eq", "x"), tool(), "wider"),
    "session": (tool(), require("session", "exists", True), "stricter"),
    "server": (require("server", "eq", "a"), require("server", "eq", "b"), "both"),
    "hours": (require("time.hour", "lt", 18), require("time.hour", "lt", 20), "wider"),
    "days": (require("time.weekday", "lte", 5), require("time.weekday", "in", [1, 2, 3, 4, 5]), "same"),
    "risk": (require("risk", "eq", "low"), require("risk", "in", ["low", "medium"]), "wider"),
    "name of the tool": (
        {"tools": {"*": {"require": [check("tool", "starts_with", "get_")]}}},
        {"tools": {"*": {"require": [check("tool", "regex", "^get_[a-z]")]}}},
        "stricter",
    ),
    # Entries.
    "new tool": ({}, {"tools": {"t": {}}}, "wider"),
    "removed tool": ({"tools": {"t": {}}}, {}, "stricter"),
    "denied tool": ({}, {"tools": {"t": {"action": "deny"}}}, "same"),
    "default": ({"default": "deny"}, {"default": "allow"}, "wider"),
    "glob": ({"tools": {"a*": {}}}, {"tools": {"*a": {}}}, "both"),
    "globs that meet": (
        {"tools": {"*b": {"action": "deny"}, "a*": {}}},
        {"tools": {"*b": {"action": "deny"}, "a*": {}, "a*b": {}}},
        "wider",
    ),
    "globs for the same names": ({"tools": {"a**": {}}}, {"tools": {"a*": {}}}, "same"),
    "an exact name within a glob": ({"tools": {"a*": {}}}, {"tools": {"a*": {}, "ab": {}}}, "same"),
    "hide": ({"tools": {"*": {}}}, {"tools": {"*": {}}, "hide": ["delete_*"]}, "stricter"),
    "hide of what is denied": ({"tools": {"a": {}}}, {"tools": {"a": {}}, "hide": ["b"]}, "same"),
    "all tools": (
        {"tools": {"t": {}}},
        {"tools": {"t": {}}, "all_tools": {"deny_if": [check("args.x", "eq", 1)]}},
        "stricter",
    ),
    "category": ({"tools": {"t": {}}}, {"tools": {"t": {}}, "categories": {"Read": {"action": "deny"}}}, "stricter"),
    "hidden category": ({"categories": {"Read": {}}}, {"categories": {"Read": {"hide": True}}}, "stricter"),
    "name of a check": (
        tool(require=[check("args.a", "eq", 1)]),
        tool(require=[{**check("args.a", "eq", 1), "name": "n", "on_deny": "no"}]),
        "same",
    ),
    # Shadow.
    "shadow": (tool(action="deny", mode="shadow"), tool(action="deny"), "stricter"),
    "shadow above": ({**tool(action="deny"), "mode": "shadow"}, tool(action="deny"), "stricter"),
    "shadowed rules": (tool(mode="shadow"), tool(mode="shadow", action="deny", rate_limit="1/hour"), "same"),
    # Schemas.
    "schema": (
        tool(schema={"required": ["x"]}),
        tool(schema={"required": ["x"], "properties": {"x": {"type": "integer"}}}),
        "stricter",
    ),
    "the same schema": (
        tool(schema={"required": ["x"], "type": "object"}, require=[check("args.x", "lt", 5)]),
        tool(schema={"type": "object", "required": ["x"]}, require=[check("args.x", "lt", 6)]),
        "wider",
    ),
    "input schema": (tool(schema="input"), tool(), "wider"),
    # Approvals.
    "an approval less": (tool(action="require_approval"), tool(), "wider"),
    "an approval in place of a denial": (tool(action="deny"), tool(action="require_approval"), "wider"),
    "when": (
        tool(action="require_approval"),
        tool(action="require_approval", approval={"when": [check("args.n", "gt", 5)]}),
        "wider",
    ),
    "when by missing values": (
        tool(action="require_approval", approval={"when": [check("args.r", "not_in", ["eu"])]}),
        tool(action="require_approval", approval={"when": [check("args.r", "eq", "us")]}),
        "wider",
    ),
    "more people": (
        tool(action="require_approval"),
        tool(action="require_approval", approval={"count": 2}),
        "stricter",
    ),
    "people for a limit": (
        {"tools": {"t": {**limited(at_max="require_approval")["tools"]["t"], "approval": {"approvers": ["a"]}}}},
        {"tools": {"t": {**limited(at_max="require_approval")["tools"]["t"], "approval": {"approvers": ["a", "b"]}}}},
        "wider",
    ),
    "a default that is written": (
        tool(action="require_approval", approval={"timeout": "60m"}),
        tool(action="require_approval", approval={"count": 1, "reason": "optional"}),
        "same",
    ),
    "permits": (
        tool(action="require_approval", approval={"permit": {"max_uses": 5, "max_duration": "1h"}}),
        tool(action="require_approval", approval={"permit": {"max_uses": 9, "max_duration": "30m"}}),
        "both",
    ),
    # Limits.
    "a cost that is fixed": (limited(max=100, cost="args.n"), limited(max=100), "both"),
    "max": (limited(max=3), limited(max=4), "wider"),
    "max of none": (limited(max=0), limited(max=1), "wider"),
    "window": (limited(window="minute"), limited(window="2m"), "stricter"),
    "the same window": (limited(window="minute"), limited(window=60), "same"),
    "rate limit": (tool(rate_limit="3/minute"), tool(rate_limit="60/hour"), "both"),
    "cost": (limited(cost=1), limited(cost=2), "stricter"),
    "cost of the same ratio": (limited(max=3, cost=1), limited(max=6, cost=2), "same"),
    "spending": (limited(max=100, cost="args.n"), limited(max=200, cost="args.n"), "wider"),
    "limit by session": (limited(), limited(scope=["grant", "session"]), "wider"),
    "one limit for all": (limited(scope="grant"), limited(scope="global"), "stricter"),
    "limit by argument": (limited(), limited(scope=["grant", "args.k"]), "both"),
    "limit by the tool that it has": (limited(), limited(scope=["grant", "tool"]), "same"),
    "name of a counter": (limited(counter="a"), limited(counter="b"), "same"),
    "calendar": (limited(window="hour"), limited(window="hour", align="calendar"), "wider"),
    "calendar weeks": (limited(window="day", align="calendar"), limited(window="week", align="calendar"), "stricter"),
    "at most": (limited(), limited(at_max="require_approval"), "wider"),
    "not exact any more": (limited(max=256), limited(max=257), "wider"),
    "above the largest": (limited(max=50_000), limited(max=60_000), "unknown"),
    "a counter of two tools": (
        {"tools": {name: {"limits": [{"counter": "c", "window": "hour", "max": 2}]} for name in "ab"}},
        {"tools": {name: {"limits": [{"counter": name, "window": "hour", "max": 2}]} for name in "ab"}},
        "wider",
    ),
    "a limit for each tool of a glob": (
        {"tools": {"*": {"limits": [{"counter": "c", "window": "hour", "max": 2}]}}},
        {"tools": {"*": {"limits": [{"counter": "c", "window": "hour", "max": 2, "scope": ["grant", "tool"]}]}}},
        "wider",
    ),
    "a limit more": (
        limited(),
        tool(limits=[{"counter": "c", "window": "minute", "max": 3}, {"counter": "d", "window": "hour", "max": 5}]),
        "stricter",
    ),
}


@pytest.mark.parametrize("name", PAIRS)
def test_verdict(name: str) -> None:
    old, new, verdict = PAIRS[name]
    found = compared(old, new)
    assert (found.verdict.value, found.verdict.value == "unknown" or not found.maybe) == (verdict, True), found.unknown


@pytest.mark.parametrize("name", PAIRS)
def test_verdict_the_other_way_round(name: str) -> None:
    old, new, verdict = PAIRS[name]
    swapped = {"wider": "stricter", "stricter": "wider"}.get(verdict, verdict)
    found = compared(new, old)
    assert (found.verdict.value, found.verdict.value == "unknown" or not found.maybe) == (swapped, True), found.unknown


@pytest.mark.parametrize("name", PAIRS)
def test_a_policy_is_the_same_as_itself(name: str) -> None:
    for document in PAIRS[name][:2]:
        assert compared(document, json.loads(write_json(document), parse_float=Decimal)).verdict.value == "same"
