"""Paths of valid policies (`docs/policy.md` section 3)."""

from __future__ import annotations

import json
import re
from typing import Final, Literal

from callgate.workbench.rules.conditions import Path

_STEP: Final = re.compile(r'\.(?P<bare>[^.\[\]"]+)|\["(?P<quoted>(?:[^"\\]|\\.)*)"\]|\[(?P<index>\d+|\*)\]', re.DOTALL)


def parse_path(text: str) -> Path:
    """The steps of a path that the engine accepts."""
    root = next((root for root in ("args", "grant.labels") if _begins(text, root)), text)
    keys: list[tuple[Literal["key", "index", "every"], str | int]] = []
    for step in _STEP.finditer(text, len(root)):
        bare, quoted, index = step["bare"], step["quoted"], step["index"]
        if index is not None:
            keys.append(("every", "") if index == "*" else ("index", int(index)))
        else:
            keys.append(("key", bare if bare is not None else json.loads(f'"{quoted}"')))
    return Path(text, root, tuple(keys))


def _begins(text: str, root: str) -> bool:
    return text.startswith(root) and text[len(root) : len(root) + 1] in ("", ".", "[")
