"""Policies as text; equal policies give equal text."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from callgate.exact_json import write_json
from callgate.workbench.convert.render import scalar

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


def render_policy_yaml(policy: dict[str, Any], header: Sequence[str]) -> str:
    """YAML below a comment, with one line for each condition and each simple value."""
    comment = [f"# {line}".rstrip() for line in header]
    return "\n".join([*comment, *_mapping(policy, "")]) + "\n"


def render_policy_json(policy: dict[str, Any]) -> str:
    """JSON, which has no comments."""
    return write_json(policy, indent=2, string=_json_string) + "\n"


def _json_string(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _mapping(values: dict[str, Any], indent: str) -> Iterator[str]:
    for key, value in values.items():
        name = f"{indent}{scalar(key)}:"
        if isinstance(value, dict) and value and not _is_condition(value):
            yield name
            yield from _mapping(value, indent + "  ")
        elif isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
            yield name
            yield from _items(value, indent)
        else:
            yield f"{name} {_line(value)}"


def _items(values: list[dict[str, Any]], indent: str) -> Iterator[str]:
    for item in values:
        if _is_condition(item):
            yield f"{indent}  - {_line(item)}"
            continue
        # The first key is on the line of the dash.
        first, *rest = _mapping(item, indent + "    ")
        yield f"{indent}  - {first.lstrip()}"
        yield from rest


def _is_condition(value: dict[str, Any]) -> bool:
    return "op" in value


def _line(value: Any) -> str:  # noqa: ANN401  of a policy
    if isinstance(value, dict):
        return "{" + ", ".join(f"{scalar(key)}: {_line(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_line, value)) + "]"
    return scalar(value) if isinstance(value, str) else write_json(value)
