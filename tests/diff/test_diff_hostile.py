"""Changes that are made so that a comparison overlooks something: none of them may be called the same."""

from __future__ import annotations

import json
from typing import Any, TypeAlias

import pytest

from callgate.exact_json import write_json
from callgate.workbench.catalogue import Catalogue, parse_catalogue
from callgate.workbench.diff import Comparison, compare
from callgate.workbench.rules import Policy, parse_policy
from support.witnesses import replay_all

X = "args.x"
Case: TypeAlias = "tuple[dict[str, Any], dict[str, Any], frozenset[str]]"

WIDER, STRICTER = frozenset({"wider"}), frozenset({"stricter"})
BOTH = WIDER | STRICTER


def parsed(name: str, document: dict[str, Any]) -> Policy:
    return parse_policy(f"{name}.json", write_json({"version": "1", "default": "deny", **document}).encode())


def compared(old: dict[str, Any], new: dict[str, Any], catalogue: Catalogue | None = None) -> Comparison:
    return compare(parsed("old", old), parsed("new", new), catalogue=catalogue)


def directions(found: Comparison) -> set[str]:
    return {one.direction for one in found.differences} | set(found.maybe)


def condition(path: str, op: str, value: Any) -> dict[str, Any]:
    return {"path": path, "op": op, "value": value}


def checks(*conditions: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"conditions": [one]} for one in conditions]


def require(*conditions: dict[str, Any]) -> dict[str, Any]:
    return {"tools": {"t": {"require": checks(*conditions)}}}


def limit(counter: str, most: Any, **fields: Any) -> dict[str, Any]:
    return {"counter": counter, "window": "minute", "max": most, **fields}


DENIED: dict[str, Any] = {"tools": {"t": {"action": "deny"}}}
EXACTLY_100 = (condition(X, "len_gte", 100), condition(X, "len_lte", 100))
ONE_ELEMENT = (condition(X, "len_gte", 1), condition(X, "len_lte", 1))
SUPERSCRIPT = condition(X, "regex", "^[\u00b2a]$")
SEPARATOR = condition(X, "regex", "^[\x1c ]$")
MARK = condition(X, "regex", "^[\u0301-]$")

STRINGS: dict[str, Case] = {
    "a superscript is no word": (require(condition(X, "regex", r"^\w$"), SUPERSCRIPT), require(SUPERSCRIPT), WIDER),
    "a separator is no space": (require(condition(X, "regex", r"^\s$"), SEPARATOR), require(SEPARATOR), WIDER),
    "a mark is a word": (require(condition(X, "regex", r"^\W$"), MARK), require(MARK), WIDER),
    "the start of a word is no character": (
        require(condition(X, "regex", r"\<a")),
        require(condition(X, "regex", r"\<a"), condition(X, "regex", "<a")),
        STRICTER,
    ),
    "a host but one URL": (
        require(condition(X, "host_in", ["a.com"]), condition(X, "neq", "https://a.com/")),
        DENIED,
        STRICTER,
    ),
    "one URL of a host": (
        require(condition(X, "host_in", ["a.com"])),
        require(condition(X, "in", ["https://a.com/"])),
        STRICTER,
    ),
    "an address but one spelling": (
        require(condition(X, "cidr_in", ["10.0.0.1"]), condition(X, "neq", "10.0.0.1")),
        DENIED,
        STRICTER,
    ),
    "an IPv6 address but two spellings": (
        require(condition(X, "cidr_in", ["2001:db8::1"]), condition(X, "not_in", ["2001:db8::1", "2001:DB8::1"])),
        DENIED,
        STRICTER,
    ),
    "a folder but the example": (
        require(condition(X, "path_within", ["/a"]), condition(X, "not_in", ["/a/callgate-example", "/a"])),
        DENIED,
        STRICTER,
    ),
    "a length but one text of it": (require(*EXACTLY_100, condition(X, "neq", "x" * 100)), DENIED, STRICTER),
    "a list without the example": (
        require(*ONE_ELEMENT, condition(X, "not_contains", "callgate-example-0")),
        DENIED,
        STRICTER,
    ),
    "an object that is not the example": (
        require(*ONE_ELEMENT, condition(X, "neq", {"callgate_example_0": 0})),
        DENIED,
        STRICTER,
    ),
    "an empty label": (require(condition("grant.labels.a", "eq", "")), DENIED, STRICTER),
    "a server's invisible name": (
        {"tools": {"t": {"deny_if": checks(condition("server", "eq", "a\u200b"))}}},
        {"tools": {"t": {}}},
        WIDER,
    ),
    "a tool that looks like a path": (
        {"default": "allow", "all_tools": {"deny_if": checks(condition("tool", "path_within", ["/a"]))}},
        {"default": "allow", "all_tools": {"deny_if": checks({"not": condition("tool", "path_within", ["/a"])})}},
        BOTH,
    ),
    "normal forms": (require(condition(X, "eq", "\u00e9")), require(condition(X, "eq", "e\u0301")), BOTH),
}

NUMBERS_AND_LISTS: dict[str, Case] = {
    "the one cost between two numbers": (
        {
            "tools": {
                "t": {
                    "limits": [limit("c", 10, cost=X)],
                    "require": checks(condition(X, "gt", 1.00000095), condition(X, "lt", 1.0000019)),
                }
            }
        },
        DENIED,
        STRICTER,
    ),
    "more elements than are visited": (
        require({"any": [condition(f"{X}[*]", "exists", True), condition(f"{X}[*]", "exists", False)]}),
        require({"any": [condition(f"{X}[0]", "exists", True), condition(f"{X}[0]", "exists", False)]}),
        WIDER,
    ),
}

SHARED: dict[str, Any] = {"mode": "shadow", "limits": [limit("c", 5)]}
COUNTS: dict[str, Case] = {
    "two costs of one count": (
        {
            "tools": {"t": {"limits": [limit("c", 10, cost="args.n", scope=["grant", "tool"])]}},
            "all_tools": {"limits": [limit("c", 10, scope=["grant", "tool"])]},
        },
        {"tools": {"t": {"limits": [limit("e", 10, cost="args.n"), limit("d", 10)]}}},
        WIDER,
    ),
    "costs that leave something over": (
        {"tools": {"a": {"limits": [limit("c", 1, cost=0.4)]}, "b": {"limits": [limit("c", 1, cost=0.7)]}}},
        {"tools": {"a": {"limits": [limit("c", 1.1, cost=0.4)]}, "b": {"limits": [limit("c", 1.1, cost=0.7)]}}},
        WIDER,
    ),
    "a count that a shadowed entry shares": (
        {"tools": {"a": {"limits": [limit("c", 5)]}, "b": {**SHARED, "deny_if": checks(condition(X, "eq", 1))}}},
        {"tools": {"a": {"limits": [limit("c", 5)]}, "b": {**SHARED, "deny_if": checks(condition(X, "exists", True))}}},
        BOTH,
    ),
    "a tool that leaves a count": (
        {"tools": {"a*": {"limits": [limit("c", 5)]}}},
        {"tools": {"a*": {"limits": [limit("c", 5)]}, "ab": {"limits": [limit("d", 1)]}}},
        WIDER,
    ),
}

PAIRS = {**STRINGS, **NUMBERS_AND_LISTS, **COUNTS}


@pytest.mark.parametrize("name", PAIRS)
def test_nothing_is_overlooked(name: str) -> None:
    old, new, expected = PAIRS[name]
    found = compared(old, new)
    replay_all(found, *({"version": "1", "default": "deny", **one} for one in (old, new)))
    assert directions(found) >= expected


@pytest.mark.parametrize("name", PAIRS)
def test_nothing_is_overlooked_the_other_way_round(name: str) -> None:
    old, new, expected = PAIRS[name]
    swapped = {"wider": "stricter", "stricter": "wider"}
    assert directions(compared(new, old)) >= {swapped[one] for one in expected}


PRECISE: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "a tool less beside a shared count": (
        {"tools": {"a": {"limits": [limit("c", 5)]}, "b": {"limits": [limit("c", 5)]}}},
        {"tools": {"a": {"limits": [limit("c", 5)]}}},
        "stricter",
    ),
    "a denied tool beside a shared count and a glob": (
        {"tools": {"a": {"limits": [limit("c", 5)]}, "b": {"limits": [limit("c", 5)]}, "q*": {}}},
        {"tools": {"a": {"limits": [limit("c", 5)]}, "b": {"action": "deny"}, "q*": {"action": "deny"}}},
        "stricter",
    ),
    "shadow beside itself": (
        {"tools": {"a": {"limits": [limit("c", 5)]}, "b": SHARED}},
        {"tools": {"b": SHARED, "a": {"limits": [limit("c", 5)]}}},
        "same",
    ),
    "lists in lists": (
        {"tools": {"t": {"deny_if": checks(condition(f"{X}[*].y[*]", "eq", 1))}}},
        {"tools": {"t": {"deny_if": checks(condition(f"{X}[*].y[*]", "in", [1, 2]))}}},
        "stricter",
    ),
}


@pytest.mark.parametrize("name", PRECISE)
def test_the_verdict_is_still_precise(name: str) -> None:
    old, new, verdict = PRECISE[name]
    found = compared(old, new)
    assert (found.verdict.value, found.maybe) == (verdict, ())


def catalogue(**servers: dict[str, Any]) -> Catalogue:
    document = {"version": "1", "servers": {name: {"tools": tools} for name, tools in servers.items()}}
    return parse_catalogue("catalogue.json", json.dumps(document).encode())


OPEN: dict[str, Any] = {"tools": {"t": {}}}
AT_TWO_SERVERS: dict[str, tuple[dict[str, Any], Catalogue]] = {
    "category": (
        {**OPEN, "categories": {"Write": {"action": "deny"}}},
        catalogue(a={"t": {"category": "Read"}}, b={"t": {"category": "Write"}}),
    ),
    "risk": (
        {"tools": {"t": {"deny_if": checks(condition("risk", "eq", "high"))}}},
        catalogue(a={"t": {"risk": "low"}}, b={"t": {"risk": "high"}}),
    ),
    "input schema": (
        {"tools": {"t": {"schema": "input"}}},
        catalogue(a={"t": {"input_schema": {}}}, b={"t": {"input_schema": {"required": ["q"]}}}),
    ),
    "server": (
        {"tools": {"t": {"deny_if": checks(condition("server", "eq", "b"))}}},
        catalogue(a={"t": {}}, b={"t": {}}),
    ),
    "server of an unknown tool": (
        {"tools": {"t": {"deny_if": checks(condition("server", "eq", "b"))}}},
        catalogue(a={"z": {}}, b={"y": {}}),
    ),
}


@pytest.mark.parametrize("name", AT_TWO_SERVERS)
def test_a_tool_is_compared_at_every_server(name: str) -> None:
    old, tools = AT_TWO_SERVERS[name]
    found = compared(old, OPEN, tools)
    assert found.verdict.value == "wider"
    witness = found.differences[0].witness
    assert witness is not None
    # The facts of the second server are those that deny.
    assert witness.call.server == "b"


def test_a_correction_of_a_tool_that_is_not_listed_is_in_force() -> None:
    document = {
        "version": "1",
        "servers": {"a": {"tools": {"t": {"category": "Read"}}}},
        "overrides": {"a": {"u": {"category": "Write"}}},
    }
    tools = parse_catalogue("catalogue.json", json.dumps(document).encode())
    old = {"default": "allow", "categories": {"Write": {"action": "deny"}}}
    assert compared(old, {"default": "allow"}, tools).verdict.value == "wider"
