"""JSON with exact numbers."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callgate.exact_json import read_json, write_json

NUMBERS = st.integers() | st.decimals(allow_nan=False, allow_infinity=False)
SCALARS = st.none() | st.booleans() | st.text() | NUMBERS
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner))


@given(VALUES, st.none() | st.integers(0, 4))
def test_what_is_written_is_read_again(value: Any, indent: int | None) -> None:
    text = write_json(value, indent=indent)
    assert text.isascii()
    assert write_json(read_json(text)) == write_json(value)


@pytest.mark.parametrize(
    "text", ["9007199254740993", "1e400", "-0", "1.10", "0.1", "1E-7", "123456789012345678901234567890.5"]
)
def test_numbers_keep_their_value(text: str) -> None:
    assert Decimal(write_json(read_json(text))) == Decimal(text)


def test_the_form_is_that_of_the_standard_library() -> None:
    value = {"a": [1, {"b": None}, [], {}], "c": True, "d": "é\n"}
    assert write_json(value) == json.dumps(value)
    assert write_json(value, indent=2) == json.dumps(value, indent=2)
    assert (
        write_json(value, string=lambda text: f"<{text[:1]}>") == "{<a>: [1, {<b>: null}, [], {}], <c>: true, <d>: <é>}"
    )


@pytest.mark.parametrize("value", [Decimal("NaN"), Decimal("Infinity"), float("nan"), float("inf")])
def test_numbers_that_are_none(value: Any) -> None:
    with pytest.raises(ValueError, match="JSON"):
        write_json(value)
