"""Canonical forms of JSON values: equal exactly for values that `eq` calls equal."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, TypeAlias

Canonical: TypeAlias = "tuple[Any, ...]"


def canonical(value: Any) -> Canonical:  # noqa: ANN401  JSON
    """A hashable form of a value: with its type, numbers by exact value, objects without an order of keys."""
    match value:
        case None:
            return ("null",)
        case bool():
            return ("boolean", value)
        case int() | Decimal():
            return ("number", *_number(Decimal(value)))
        case str():
            return ("string", value)
        case list() | tuple():
            return ("list", *map(canonical, value))
        case dict():
            return ("object", *sorted((key, canonical(one)) for key, one in value.items()))
        case _:
            message = f"{type(value).__name__} is no JSON"
            raise TypeError(message)


def _number(value: Decimal) -> tuple[int, str, int]:
    """Sign, digits without zeros at the end, exponent. Unlike `Decimal.normalize` it never rounds."""
    sign, digits, exponent = value.as_tuple()
    text = "".join(map(str, digits)).lstrip("0")
    if not text or not isinstance(exponent, int):
        return 0, "", 0
    short = text.rstrip("0")
    return sign, short, exponent + len(text) - len(short)
