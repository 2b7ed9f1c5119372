"""The mark of Intercept's documents."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

MARK: Final = "rules"
"""The field of a tool that callgate's own policies do not have."""

OWN_TOP: Final = frozenset({"name", "log_args", "log_labels", "mode", "all_tools", "categories"})
"""Fields at the top that only callgate's own policies have."""

OWN_RULES: Final = frozenset({"action", "reason", "require", "deny_if", "schema", "limits", "approval", "mode"})
"""Fields of a tool that only callgate's own policies have."""


def may_be_intercept(content: bytes) -> bool:
    """False if a file cannot have the mark, without reading it as a document."""
    # JSON and quoted YAML may write the key with escapes.
    return MARK.encode() in content or b"\\" in content


def is_intercept(data: Mapping[str, Any]) -> bool:
    """True if an entry of `tools` has `rules`. A document without any is read as callgate's own."""
    tools = data.get("tools")
    return isinstance(tools, dict) and any(isinstance(entry, dict) and MARK in entry for entry in tools.values())
