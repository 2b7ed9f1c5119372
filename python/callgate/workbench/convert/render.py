"""Rate limits as text; equal limits give equal text."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from callgate.workbench.convert.rules import RateLimits

_PLAIN: Final = re.compile(r"[A-Za-z_/][A-Za-z0-9_./-]*")
_WORDS: Final = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n"})
"""Words that some readers of YAML do not read as text."""


def render_yaml(limits: RateLimits, header: Sequence[str]) -> str:
    """YAML below a comment."""
    comment = [f"# {line}".rstrip() for line in header]
    return "\n".join([*comment, *_mapping(limits.plain(), "")]) + "\n"


def render_json(limits: RateLimits) -> str:
    """JSON, which has no comments."""
    return json.dumps(limits.plain(), ensure_ascii=False, indent=2) + "\n"


def _mapping(values: dict[str, Any], indent: str) -> Iterator[str]:
    for key, value in values.items():
        if isinstance(value, dict):
            yield f"{indent}{key}:"
            yield from _mapping(value, indent + "  ")
        elif isinstance(value, list):
            yield f"{indent}{key}:" + ("" if value else " []")
            for item in value:
                # The first key is on the line of the dash.
                first, *rest = _mapping(item, indent + "    ")
                yield f"{indent}  - {first.lstrip()}"
                yield from rest
        else:
            yield f"{indent}{key}: {scalar(value)}"


def scalar(value: str | int) -> str:
    """A text or a number as every reader of YAML understands it."""
    if not isinstance(value, str):
        return json.dumps(value)
    if _PLAIN.fullmatch(value) and value.lower() not in _WORDS:
        return value
    return '"' + "".join(_escaped(character) for character in value) + '"'


def _escaped(character: str) -> str:
    if character in {'"', "\\"}:
        return "\\" + character
    return character if character.isprintable() else f"\\U{ord(character):08x}"
