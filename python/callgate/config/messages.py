"""pydantic's errors in the words of this project."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from callgate.text import did_you_mean, quoted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pydantic_core import ErrorDetails

_EXPECTED: Final = {
    "string_type": "expected text",
    "bool_type": "expected `true` or `false`",
    "bool_parsing": "expected `true` or `false`",
    "dict_type": "expected keys and values",
    "model_type": "expected keys and values",
    "model_attributes_type": "expected keys and values",
    "list_type": "expected a list",
}


def message_of(error: ErrorDetails, known: Sequence[str]) -> str:  # noqa: PLR0911  one per kind of fault
    """One sentence; `known` are the keys of the section, for an unknown one."""
    kind, context = error["type"], error.get("ctx", {})
    if kind == "extra_forbidden":
        return unknown_key(str(error["loc"][-1]), known)
    if kind == "missing":
        return f"the key `{error['loc'][-1]}` is missing"
    if kind == "value_error":
        return str(context["error"])
    if kind in {"greater_than_equal", "less_than_equal", "greater_than", "less_than"}:
        word = {"g": "at least", "l": "at most"}[kind[0]] if kind.endswith("equal") else kind.replace("_", " ")
        return f"expected {word} {next(iter(context.values()))}"
    if kind in {"too_short", "too_long"}:
        bound = context["min_length"] if kind == "too_short" else context["max_length"]
        word = "at least" if kind == "too_short" else "at most"
        return f"expected {word} {bound} {'entry' if bound == 1 else 'entries'}, got {context['actual_length']}"
    if kind in {"enum", "literal_error"}:
        return f"expected {context['expected'].replace(chr(39), '`')}"
    if kind in _EXPECTED:
        got = _kind(error["input"])
        hint = "; put it in quotes" if kind == "string_type" and got in {"a number", "a boolean"} else ""
        return f"{_EXPECTED[kind]}, got {got}{hint}"
    return error["msg"][:1].lower() + error["msg"][1:]


def unknown_key(key: str, known: Sequence[str]) -> str:
    """The message for an unknown key, with the nearest existing one."""
    return f"unknown key {quoted(key)}{did_you_mean(key, known)}"


def _kind(value: object) -> str:
    """The kind of the value, never its text."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, (int, float)):
        return "a number"
    if isinstance(value, str):
        return "text"
    return "a list" if isinstance(value, list) else "keys and values"
