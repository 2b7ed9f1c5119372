"""The recommended rule of each category (docs/policy.md, section 8)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from callgate.workbench.catalogue import Category

CALLS_PER_MINUTE: Final[Mapping[Category, int]] = {"Read": 60, "Write": 30, "Execute": 10}
"""The limit of each category that has one, for one tool and one grant."""

HIDDEN: Final[Category] = "Destructive"
"""The category whose tools are hidden."""

APPROVED: Final[Category] = "Financial"
"""The category whose calls need an approval."""


def limit_of(tool: str, most: int) -> dict[str, Any]:
    """A limit of calls in any minute, for each grant."""
    return {"counter": f"{tool}_rate", "window": "minute", "max": most, "scope": "grant"}


def key_of(tool: str) -> str:
    """The key of a policy that stands for exactly this tool (docs/policy.md, section 1)."""
    return "".join(f"\\{character}" if character in "\\*?" else character for character in tool)
