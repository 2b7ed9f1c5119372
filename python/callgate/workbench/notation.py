"""Values as they are written into YAML and JSON files."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

from callgate.config.fields import parse_instant

if TYPE_CHECKING:
    from collections.abc import Mapping

_WORD: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
_HASH: Final = re.compile(r"[0-9a-f]{64}")
_RESERVED: Final = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n"})


def block(item: Mapping[str, Any], first: str, others: str) -> list[str]:
    """The lines of a section; nested values are in brackets."""
    lines = [member(key, value, quote=False) for key, value in item.items()]
    return [f"{first if number == 0 else others}{line}" for number, line in enumerate(lines)]


def member(key: str, value: object, *, quote: bool) -> str:
    """A key with its value."""
    return f"{scalar(key, quote=quote)}: {flow(value, quote=quote)}"


def flow(value: object, *, quote: bool) -> str:
    """A value in brackets; JSON if everything is quoted."""
    if quote:
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, dict):
        return f"{{{', '.join(member(key, inner, quote=False) for key, inner in value.items())}}}"
    if isinstance(value, list):
        return f"[{', '.join(flow(member, quote=False) for member in value)}]"
    return scalar(value, quote=False) if isinstance(value, str) else json.dumps(value)


def scalar(value: str, *, quote: bool) -> str:
    """A text, plain where YAML has no other meaning for it."""
    is_word = _WORD.fullmatch(value) and value.lower() not in _RESERVED and not _HASH.fullmatch(value)
    if not quote and (is_word or _is_instant(value)):
        return value
    return json.dumps(value, ensure_ascii=False)


def _is_instant(value: str) -> bool:
    try:
        parse_instant(value)
    except ValueError:
        return False
    return True
