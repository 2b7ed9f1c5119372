"""Tools that change behind the gateway."""

from __future__ import annotations

from typing import Any

EVERY_TOOL = {"version": "1", "name": "example", "default": "allow"}


def rule_of(reply: dict[str, Any]) -> str:
    """The rule that denied a call; empty if none did."""
    rule: str = reply["result"].get("_meta", {}).get("callgate/decision", {}).get("rule", "")
    return rule
