"""JSON with exact numbers: read from outside, without a key twice, and written again."""

from __future__ import annotations

import json
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

from callgate.text import quoted

if TYPE_CHECKING:
    from collections.abc import Callable


def read_json(text: str | bytes) -> Any:  # noqa: ANN401  JSON
    """A JSON value; numbers that are not integers are `Decimal`.

    Raises:
        ValueError: It is no JSON, a key stands twice in one object, or a number is out of range.
        RecursionError: It is nested too deep.
    """
    return json.loads(text, parse_float=_decimal, parse_constant=_no_constant, object_pairs_hook=_once)


def write_json(value: Any, *, indent: int | None = None, string: Callable[[str], str] = json.dumps) -> str:  # noqa: ANN401  JSON
    """The text of a JSON value; a `Decimal` keeps its exact value.

    Args:
        value: What `read_json` gives, or what `json.dumps` takes.
        indent: Spaces before each level; without it, the text is one line.
        string: Writes strings; by default in ASCII.

    Raises:
        ValueError: A number is not finite.
    """
    return _written(value, "" if indent is None else " " * indent, "\n" if indent is not None else "", string)


def _written(value: Any, step: str, line: str, string: Callable[[str], str]) -> str:  # noqa: ANN401  JSON
    """The text of a value; `line` is the break before an element of its parent, with the indentation."""
    if isinstance(value, str):
        return string(value)
    inner = f"{line}{step}"
    if isinstance(value, dict):
        fields = [f"{string(str(name))}: {_written(one, step, inner, string)}" for name, one in value.items()]
        return _joined("{}", fields, line, inner)
    if isinstance(value, (list, tuple)):
        return _joined("[]", [_written(one, step, inner, string) for one in value], line, inner)
    if isinstance(value, Decimal):
        if not value.is_finite():
            message = f"{value} is no JSON"
            raise ValueError(message)
        return str(value)
    return json.dumps(value, allow_nan=False)


def _joined(brackets: str, parts: list[str], line: str, inner: str) -> str:
    if not parts:
        return brackets
    return f"{brackets[0]}{inner}{(',' + (inner or ' ')).join(parts)}{line}{brackets[1]}"


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
