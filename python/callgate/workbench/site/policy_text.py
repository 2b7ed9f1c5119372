"""A policy as JSON and as YAML of the same value, in which nothing is invisible."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

from callgate.exact_json import write_json
from callgate.text import is_unseen
from callgate.workbench.site.shown import is_plain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_PLAIN: Final = re.compile(r"[A-Za-z_/][A-Za-z0-9_./-]*")
_WORDS: Final = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n"})
"""Words that some readers of YAML do not read as text."""

_TWO_BYTES: Final = 0xFFFF


def policy_json(policy: dict[str, Any]) -> str:
    """The policy as JSON."""
    return write_json(policy, indent=2, string=lambda text: _quoted(text, _json_escape)) + "\n"


def policy_yaml(policy: dict[str, Any]) -> str:
    """The policy as YAML."""
    return "\n".join(_mapping(policy, "")) + "\n"


def yaml_scalar(text: str) -> str:
    """A text as YAML, plain where no reader takes it for something else."""
    if _PLAIN.fullmatch(text) and text.lower() not in _WORDS:
        return text
    return _quoted(text, _yaml_escape)


def _mapping(values: dict[str, Any], indent: str) -> Iterator[str]:
    for key, value in values.items():
        name = f"{indent}{yaml_scalar(key)}:"
        if isinstance(value, dict) and value:
            yield name
            yield from _mapping(value, f"{indent}  ")
        elif isinstance(value, list) and any(isinstance(item, dict) for item in value):
            yield name
            yield from _items(value, f"{indent}  ")
        else:
            yield f"{name} {_flow(value)}"


def _items(values: list[Any], indent: str) -> Iterator[str]:
    for item in values:
        if isinstance(item, dict) and item:
            # The first key is on the line of the dash.
            first, *rest = _mapping(item, f"{indent}  ")
            yield f"{indent}- {first.lstrip()}"
            yield from rest
        else:
            yield f"{indent}- {_flow(item)}"


def _flow(value: Any) -> str:  # noqa: ANN401  JSON
    if isinstance(value, str):
        return yaml_scalar(value)
    if isinstance(value, list):
        return f"[{', '.join(map(_flow, value))}]"
    return "{}" if isinstance(value, dict) else write_json(value)


def _quoted(text: str, escape: Callable[[str], str]) -> str:
    quoted = json.dumps(text, ensure_ascii=False)
    return quoted if is_plain(text) else "".join(escape(one) if _is_hidden(one) else one for one in _characters(text))


def _characters(text: str) -> Iterator[str]:
    """The text in double quotes, character by character; those that are escaped in every format are so already."""
    yield '"'
    for one in text:
        if one in '"\\':
            yield "\\"
        yield one
    yield '"'


def _is_hidden(character: str) -> bool:
    return not character.isprintable() or is_unseen(character)


def _yaml_escape(character: str) -> str:
    return f"\\U{ord(character):08x}" if ord(character) > _TWO_BYTES else f"\\u{ord(character):04x}"


def _json_escape(character: str) -> str:
    # Beyond two bytes, JSON has a pair of surrogates.
    return json.dumps(character)[1:-1] if ord(character) > _TWO_BYTES else f"\\u{ord(character):04x}"
