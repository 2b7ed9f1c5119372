"""JSON from outside: exact numbers, and no key twice."""

from __future__ import annotations

import json
from decimal import Decimal, InvalidOperation
from typing import Any

from callgate.text import quoted


def read_json(text: str | bytes) -> Any:  # noqa: ANN401  JSON
    """A JSON value; numbers that are not integers are `Decimal`.

    Raises:
        ValueError: It is no JSON, a key stands twice in one object, or a number is out of range.
        RecursionError: It is nested too deep.
    """
    return json.loads(text, parse_float=_decimal, parse_constant=_no_constant, object_pairs_hook=_once)


def _decimal(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:
        message = f"the number {quoted(text)} is out of range"
        raise ValueError(message) from None


def _no_constant(text: str) -> object:
    message = f"{text} is no JSON"
    raise ValueError(message)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) != len(pairs):
        raise ValueError("a key stands twice in one object")
    return document
