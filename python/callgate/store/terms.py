"""The terms of a permit: one condition for each top-level argument that a call may have."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from callgate.exact_json import read_json
from callgate.store.errors import AnswerError


def read_terms(text: str) -> dict[str, dict[str, Any]]:
    """Terms from JSON: `{"region": {"exactly": "eu"}, "count": {"at_most": [0, 5]}, "kind": {"one_of": ["a"]}}`.

    The two numbers of `at_most` are the least and the greatest value; `{"any": true}` lets an argument be anything or
    absent.

    Raises:
        AnswerError: They are no terms.
    """
    try:
        terms = read_json(text)
    except (ValueError, RecursionError):
        terms = None
    if not isinstance(terms, dict):
        message = "expected the terms of a permit as an object of conditions by argument"
        raise AnswerError(message)
    for name, condition in terms.items():
        if not isinstance(condition, dict) or len(condition) != 1 or not _is_condition(*next(iter(condition.items()))):
            message = (
                f"the term for the argument `{name}` is none; expected one of `exactly` with a value, `at_most` with "
                "the least and the greatest number, `one_of` with a list, and `any` with true"
            )
            raise AnswerError(message)
    return terms


def covers(terms: Mapping[str, Mapping[str, Any]], arguments: Mapping[str, object]) -> bool:
    """True if a call with these arguments is within the terms."""
    if any(name not in terms for name in arguments):
        return False
    return all(_holds(condition, name, arguments) for name, condition in terms.items())


def is_equal(one: object, other: object) -> bool:
    """True for equal JSON values as `eq` of policies compares them: numbers by exact value, and types apart."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if _is_number(one) and _is_number(other):
        return one == other
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(is_equal(value, other[name]) for name, value in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(is_equal(*pair) for pair in zip(one, other, strict=True))
    return type(one) is type(other) and one == other


def _holds(condition: Mapping[str, Any], name: str, arguments: Mapping[str, object]) -> bool:
    [(kind, wanted)] = condition.items()
    if kind == "any":
        return True
    if name not in arguments:
        return False
    value: Any = arguments[name]
    if kind == "exactly":
        return is_equal(value, wanted)
    if kind == "one_of":
        return any(is_equal(value, one) for one in wanted)
    least, greatest = wanted
    return _is_number(value) and bool(least <= value <= greatest)


def _is_condition(kind: str, wanted: object) -> bool:
    if kind == "any":
        return wanted is True
    if kind == "one_of":
        return isinstance(wanted, list) and bool(wanted)
    if kind == "at_most":
        return isinstance(wanted, list) and len(wanted) == 2 and all(map(_is_number, wanted))  # noqa: PLR2004  a range
    return kind == "exactly"


def _is_number(value: object) -> bool:
    return isinstance(value, (int, Decimal)) and not isinstance(value, bool)
