"""The policy, the limits and the calls that a profile is made with."""

from __future__ import annotations

import random

GRANTS = 200
DOMAIN = "trained"

TOOL_RULES = {
    "require": [
        {"conditions": [{"path": "args.zone", "op": "in", "value": ["a", "b", "c"]}]},
        {"conditions": [{"path": "args.labels[*].name", "op": "regex", "value": "^[a-z][a-z0-9-]*$"}]},
    ],
    "deny_if": [
        {
            "name": "too many",
            "conditions": [
                {
                    "any": [
                        {"path": "args.size.disks", "op": "gt", "value": 9},
                        {"path": "args.force", "op": "eq", "value": True},
                    ]
                }
            ],
        }
    ],
    "limits": [
        {"counter": "often", "window": "minute", "max": 120, "scope": "grant"},
        {
            "counter": "sum",
            "window": "day",
            "max": 1_000_000,
            "cost": "args.size.disks",
            "scope": ["grant", "args.zone"],
        },
    ],
}
POLICY = {
    "version": "1",
    "name": "trained",
    "default": "deny",
    "hide": ["admin_*"],
    "tools": {
        **{f"make_{number}": TOOL_RULES for number in range(12)},
        "read_*": {"limits": [{"counter": "reads", "window": "minute", "max": 600, "scope": "session"}]},
        "drop_it": {"action": "deny", "reason": "nobody drops it"},
        "seldom": {"limits": [{"counter": "seldom", "window": "hour", "max": 20}]},
    },
}
RATE_LIMITS = {
    "domain": DOMAIN,
    "descriptors": [
        {"key": "user", "descriptors": [{"key": "path", "rate_limit": {"unit": "minute", "requests_per_unit": 40}}]},
        {"key": "path", "rate_limit": {"unit": "hour", "requests_per_unit": 1_000_000}},
    ],
}


def tool(chance: random.Random) -> str:
    """A tool, most often one with conditions and limits."""
    many = [f"make_{chance.randrange(12)}"] * 12
    return chance.choice([*many, "read_a", "read_b", "drop_it", "seldom", "unknown", "admin_x"])


def arguments(chance: random.Random) -> dict[str, object]:
    """Arguments of some hundred bytes, a tenth of them refused."""
    return {
        "zone": chance.choice("aaabbbcccd"),
        "name": "".join(chance.choices('abcdefgh-0123é"', k=chance.randrange(4, 60))),
        "size": {"disks": chance.randrange(1, 11), "kind": "m7.large", "ratio": round(chance.random(), 3)},
        "labels": [{"name": f"label-{n}", "value": "x" * n} for n in range(chance.randrange(6))],
        "force": False,
        "note": None if chance.random() < 0.5 else "text " * chance.randrange(30),
    }


def token(number: int) -> str:
    """The token of a grant."""
    return f"cgt_{number:043d}"


def any_token(chance: random.Random) -> str:
    """The token of some grant."""
    return token(chance.randrange(GRANTS))
