"""Policies for one tool: the recommended one, and examples that limit, block or ask."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from callgate.workbench.catalogue import Category, Tool

CALLS_PER_MINUTE: Final[Mapping[Category, int]] = {"Read": 60, "Write": 30, "Execute": 10}
"""The recommended limit of each category that has one (docs/policy.md, section 8)."""

_TIGHTER: Final[Mapping[Category | None, tuple[int, int]]] = {
    "Read": (30, 2000),
    "Write": (10, 200),
    "Execute": (3, 50),
    "Destructive": (1, 5),
    "Financial": (2, 20),
    None: (3, 50),
}
"""Calls in a minute and in a day of the example that limits: well below what is recommended."""


def recommended_rule(tool: Tool) -> dict[str, Any]:
    """The policy that is recommended for one tool (docs/policy.md, section 8).

    A tool without a category has no rule, so that the default denies it.
    """
    policy: dict[str, Any] = {"version": "1", "default": "deny"}
    if tool.category == "Destructive":
        return {**policy, "hide": [key_of(tool.name)]}
    if tool.category == "Financial":
        return _for(tool, {"action": "require_approval"})
    if tool.category is None:
        return policy
    return _for(tool, {"limits": [_limit(tool, "rate", "minute", CALLS_PER_MINUTE[tool.category])]})


def limiting_rule(tool: Tool, checks: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """A policy that admits few calls, with checks of arguments.

    It is never weaker than the recommended rule: where that is no limit, a person agrees to each call as well.
    """
    minute, day = _TIGHTER[tool.category]
    rules: dict[str, Any] = {} if tool.category in CALLS_PER_MINUTE else {"action": "require_approval"}
    if checks:
        rules["require"] = [dict(check) for check in checks]
    rules["limits"] = [_limit(tool, "rate", "minute", minute), _limit(tool, "day", "day", day)]
    return _for(tool, rules)


def denying_rule(tool: Tool) -> dict[str, Any]:
    """A policy that denies each call, with a reason for the model."""
    return _for(tool, {"action": "deny", "reason": "ask the platform team"})


def hiding_rule(tool: Tool) -> dict[str, Any]:
    """A policy that takes the tool out of lists and denies each call."""
    return {"version": "1", "default": "deny", "hide": [key_of(tool.name)]}


def asking_rule(tool: Tool) -> dict[str, Any]:
    """A policy under which a person agrees to each call."""
    terms: dict[str, Any] = {"timeout": "1h", "valid": "10m"}
    if tool.risk in ("high", "critical"):
        terms["reason"] = "required"
    if tool.risk == "critical":
        terms["count"] = 2
    return _for(tool, {"action": "require_approval", "approval": terms})


def tighter_numbers(tool: Tool) -> tuple[int, int]:
    """Calls in a minute and in a day of `limiting_rule`."""
    return _TIGHTER[tool.category]


def key_of(name: str) -> str:
    """The key of a policy that stands for exactly this name (docs/policy.md, section 1)."""
    return "".join(f"\\{character}" if character in "\\*?" else character for character in name)


def _for(tool: Tool, rules: Mapping[str, Any]) -> dict[str, Any]:
    return {"version": "1", "default": "deny", "tools": {key_of(tool.name): dict(rules)}}


def _limit(tool: Tool, counter: str, window: str, most: int) -> dict[str, Any]:
    return {"counter": f"{tool.name}_{counter}", "window": window, "max": most, "scope": "grant"}
