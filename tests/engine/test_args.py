"""Python values become JSON without losing anything."""

from __future__ import annotations

import json
from decimal import Decimal
from enum import IntEnum
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from callgate import Engine
from callgate._callgate import args_json
from support.cases import exactly

ALLOW = Engine.from_dict({"version": "1", "default": "allow"})

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.decimals(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8"))
)
values = st.recursive(
    scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner)
)
anything = st.recursive(
    scalars | st.floats() | st.decimals() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


class Number(IntEnum):
    TWO = 2


def is_read_back(read: Any, value: Any) -> bool:
    """True if what was read is the value; numbers are decimals, so 1 and 1.0 are told apart no more than JSON does."""
    if isinstance(value, dict):
        return read.keys() == value.keys() and all(is_read_back(read[key], inner) for key, inner in value.items())
    if isinstance(value, list):
        return len(read) == len(value) and all(map(is_read_back, read, value))
    if isinstance(value, float):
        # Two texts can be the shortest ones of a float, such as 1614910965952049.2 and 1614910965952049.3.
        return float(read) == value
    return bool(read == value)


@given(values)
@example(1614910965952049.2)
def test_round_trip(value: Any) -> None:
    # A string and bytes are JSON text already, so the value under test stands inside an object.
    assert is_read_back(exactly(args_json({"value": value}))["value"], value)


@given(st.dictionaries(st.text(), anything))
def test_check_never_raises_on_json(value: dict[str, Any]) -> None:
    decision = ALLOW.check(grant="g", tool="t", args=value, now_ms=0)
    assert decision.outcome == "allow" or decision.rule == "(invalid request)"


@given(st.binary() | st.text())
def test_check_never_raises_on_bytes(document: bytes | str) -> None:
    decision = ALLOW.check(grant="g", tool="t", args=document, now_ms=0)
    assert decision.outcome == "allow" or decision.rule == "(invalid request)"


@given(st.text(), st.text(), st.text(), st.dictionaries(st.text(), st.text()))
def test_check_never_raises_on_names(grant: str, tool: str, session: str, labels: dict[str, str]) -> None:
    decision = ALLOW.check(grant=grant, tool=tool, session=session, labels=labels, now_ms=0)
    assert decision.outcome == "allow" or decision.rule == "(invalid request)"


@given(values)
def test_what_json_calls_equal_is_decided_equally(value: Any) -> None:
    as_value = ALLOW.check(grant="g", tool="t", args={"v": value}, now_ms=0)
    as_text = ALLOW.check(grant="g", tool="t", args=json.dumps({"v": value}, default=float), now_ms=0)
    assert as_value == as_text


@pytest.mark.parametrize(
    ("value", "document"),
    [
        ({"a": 2**63}, b'{"a":9223372036854775808}'),
        ({"a": -(2**64)}, b'{"a":-18446744073709551616}'),
        ({"a": Decimal("0.10")}, b'{"a":0.10}'),
        ({"a": Decimal("1E+400")}, b'{"a":1E+400}'),
        ({"a": 0.1}, b'{"a":0.1}'),
        ({"a": 1e300}, b'{"a":1e300}'),
        ({"a": True, "b": None, "c": (1, 2)}, b'{"a":true,"b":null,"c":[1,2]}'),
        ({"a": Number.TWO}, b'{"a":2}'),
        ({'"\\\n': "é\x7f"}, '{"\\u0022\\u005c\\u000a":"é\x7f"}'.encode()),
        (" {} ", b" {} "),
        (b"torn", b"torn"),
        (bytearray(b"{}"), b"{}"),
        (memoryview(b"{}"), b"{}"),
        ([1], b"[1]"),
        ({}, b"{}"),
    ],
)
def test_written_as(value: object, document: bytes) -> None:
    assert args_json(value) == document


@pytest.mark.parametrize(
    "value", [{"a": float("nan")}, {"a": float("inf")}, {"a": Decimal("NaN")}, {"a": 10**5_000}, [1], 5]
)
def test_values_that_no_call_may_have_are_denied(value: object) -> None:
    decision = ALLOW.check(grant="g", tool="t", args=value)
    assert (decision.outcome, decision.rule) == ("deny", "(invalid request)")


def test_a_list_that_holds_itself_is_denied() -> None:
    endless: list[Any] = []
    endless.append(endless)
    decision = ALLOW.check(grant="g", tool="t", args={"a": endless})
    assert (decision.outcome, decision.rule) == ("deny", "(invalid request)")
    assert "64" in decision.message


@pytest.mark.parametrize("value", [{"a": {1, 2}}, {"a": b"bytes"}, {"a": object()}, {1: "a"}])
def test_types_without_json_form_are_the_programs_mistake(value: object) -> None:
    with pytest.raises(TypeError):
        ALLOW.check(grant="g", tool="t", args=value)
