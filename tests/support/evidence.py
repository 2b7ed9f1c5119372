"""The evidence of waiting calls, in the shape in which the doors write it."""

from __future__ import annotations

import json
from typing import Any

ENTRY: dict[str, Any] = {
    "action": "require_approval",
    "require": [{"conditions": [{"path": "args.region", "op": "in", "value": ["eu-west-1", "args.none"]}]}],
    "limits": [
        {"counter": "spend", "window": "day", "max": 100, "cost": "args.amount", "scope": ["grant", 'args["a.b"]']}
    ],
    "approval": {"approvers": ["ops"]},
}
EVIDENCE: dict[str, Any] = {
    "category": "Write",
    "risk": "high",
    "labels": {"team": "red"},
    "session": "s-1",
    "protocol": "gateway",
    "pep": None,
    "limits": [
        {
            "counter": "spend",
            "rule": "/tools/t/limits/spend",
            "max": 100,
            "remaining": 40,
            "over": 0,
            "reset_after_ms": 61_000,
        }
    ],
    "tool": {"description": "Makes an image.\nOf a machine.", "input_schema": {"type": "object"}},
    "entries": [{"rule": "/tools/t", "document": ENTRY}],
    "policy": {"name": "team", "version": "0123456789ab"},
}


def evidence(**changed: Any) -> str:
    """The evidence as JSON text."""
    return json.dumps({**EVIDENCE, **changed}, ensure_ascii=False)
