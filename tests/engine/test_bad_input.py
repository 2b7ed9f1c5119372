"""Hostile arguments and names: a clear denial at every door, and nothing is taken or admitted."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from support.cases import Call
from support.doors import DOORS, Door

POLICY = {
    "version": "1",
    "default": "deny",
    "tools": {
        "t": {"limits": [{"counter": "c", "window": "minute", "max": 2}]},
        "capped": {
            "deny_if": [{"name": "cap", "conditions": [{"path": "args.n", "op": "gt", "value": 9007199254740992}]}]
        },
        "exact": {"require": [{"conditions": [{"path": "args.n", "op": "eq", "value": 9007199254740993}]}]},
    },
}
INVALID = {
    "a list": b"[]",
    "a number": b"5",
    "a string": b'"{}"',
    "null": b"null",
    "a duplicate key": b'{"a": 1, "a": 2}',
    "a duplicate key, escaped": b'{"a": 1, "\\u0061": 2}',
    "a duplicate key, deep": b'{"x": [{"a": 1, "a": 1}]}',
    "65 levels": b'{"a":' * 65 + b"1" + b"}" * 65,
    "invalid UTF-8": b'{"a": "\xff"}',
    "overlong UTF-8": b'{"a": "\xc0\x80"}',
    "a lone high surrogate": b'{"a": "\\ud800"}',
    "a lone low surrogate": b'{"\\udc00": 1}',
    "NaN": b'{"a": NaN}',
    "Infinity": b'{"a": -Infinity}',
    "a control character": b'{"a": "\n"}',
    "a trailing comma": b'{"a": 1,}',
    "a comment": b'{"a": 1 /* one */}',
    "a leading zero": b'{"a": 01}',
    "1,001 digits": b'{"a": ' + b"1" * 1_001 + b"}",
    "an exponent of 10,001": b'{"a": 1e10001}',
}
TORN = {
    "nothing but space": b" ",
    "a torn object": b'{"a": 1',
    "two documents": b"{}{}",
}


@pytest.fixture(params=DOORS, ids=lambda door: door.name)
def door(request: pytest.FixtureRequest) -> Any:
    with request.param(POLICY) as opened:
        yield opened


def assert_invalid(answer: dict[str, Any]) -> None:
    assert (answer["outcome"], answer["rule"]) == ("deny", "(invalid request)"), answer
    assert answer["message"]
    assert answer["limits"] == []


def with_name(field: str, name: str) -> Call:
    fields: dict[str, Any] = {field: name}
    return replace(Call("t"), **fields)


@pytest.mark.parametrize("name", INVALID)
def test_arguments(door: Door, name: str) -> None:
    for _ in range(3):
        assert_invalid(door.ask(Call("t", args=INVALID[name])))
    # Nothing was taken.
    assert door.ask(Call("t")) | {"decided_at_us": 0} == door.ask(Call("t", grant="g2")) | {"decided_at_us": 0}


@pytest.mark.parametrize("name", TORN)
@pytest.mark.parametrize("kind", [kind for kind in DOORS if kind.name != "HTTP"], ids=lambda kind: kind.name)
def test_torn_arguments(kind: type[Door], name: str) -> None:
    # Over HTTP these tear the body that they stand in: `test_server.py` asks that.
    with kind(POLICY) as opened:
        assert_invalid(opened.ask(Call("t", args=TORN[name])))


@pytest.mark.parametrize("field", ["grant", "tool", "server", "session"])
def test_nul_in_names(door: Door, field: str) -> None:
    assert_invalid(door.ask(with_name(field, "a\0b")))


@pytest.mark.parametrize("field", ["grant", "tool"])
def test_empty_names(door: Door, field: str) -> None:
    assert_invalid(door.ask(with_name(field, "")))


def test_empty_server_and_session_are_none(door: Door) -> None:
    assert door.ask(Call("t", server="", session=""))["outcome"] == "allow"


@pytest.mark.parametrize("depth", [64, 65])
def test_depth(door: Door, depth: int) -> None:
    nested: dict[str, Any] = {}
    for _ in range(depth - 1):
        nested = {"a": nested}
    answer = door.ask(Call("t", args=nested))
    assert answer["outcome"] == ("allow" if depth == 64 else "deny")


def test_large_numbers_compare_exactly(door: Door) -> None:
    assert door.ask(Call("exact", args=b'{"n": 9007199254740993}'))["outcome"] == "allow"
    assert door.ask(Call("exact", args=b'{"n": 9007199254740992}'))["outcome"] == "deny"
    assert door.ask(Call("capped", args=b'{"n": 9007199254740993}'))["rule"] == "/tools/capped/deny_if/cap"
    assert door.ask(Call("capped", args=b'{"n": 9007199254740992.0}'))["outcome"] == "allow"
    beyond = door.ask(Call("capped", args=b'{"n": 1e400}'))
    assert (beyond["outcome"], beyond["rule"]) == ("deny", "/tools/capped/deny_if/cap")
    assert "args.n" in beyond["message"]
