"""Catalogues and decision logs for recommended policies."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from callgate.config.document import parse_document
from callgate.config.policies import faults_in
from callgate.workbench.catalogue import Catalogue, CatalogueServer, Tool
from callgate.workbench.recommend import Format, Recommendation, text_of

if TYPE_CHECKING:
    from pathlib import Path

    from callgate.workbench.catalogue import Category

MINUTE_US = 60_000_000
START_US = 1_795_000_000_000_000


def catalogue_of(*tools: Tool, server: str = "srv") -> Catalogue:
    """A catalogue of one server."""
    return Catalogue({server: CatalogueServer({tool.name: tool for tool in tools})})


def tool(name: str, category: Category | None = None, **facts: Any) -> Tool:
    """A tool with these facts."""
    return Tool(name, category=category, **facts)


def policy_of(recommendation: Recommendation, form: Format = Format.JSON) -> dict[str, Any]:
    """The policy as a reader of its text finds it, without explanations; it loads."""
    text = text_of(recommendation, form, ["About the policy."]).encode()
    file = f"policy.{form.value}"
    assert faults_in(file, text) == []
    return without_extra(parse_document(file, text).data)


def without_extra(policy: dict[str, Any]) -> dict[str, Any]:
    """A policy without the fields that its canonical form lacks; in recommended ones they stand in two places."""
    plain = {key: value for key, value in policy.items() if not key.startswith("x-")}
    tools = {
        name: {key: value for key, value in rules.items() if not key.startswith("x-")}
        for name, rules in plain["tools"].items()
    }
    return {**plain, "tools": tools}


def canonical(policy: dict[str, Any]) -> str:
    """The policy's canonical form, as far as recommended policies need it: all of their numbers are small."""
    return json.dumps(policy, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def line(tool: str, at_us: int = START_US, **fields: Any) -> str:
    """A line of a decision log."""
    record = {
        "time": "2026-11-18T10:13:20.000000Z",
        "decided_at_us": at_us,
        "protocol": "grpc",
        "server": "srv",
        "grant": "ann",
        "session": "",
        "tool": tool,
        "outcome": "allow",
        "rule": "",
        "policy": "p",
        "policy_version": "0f3a9c21d7be",
        "args_keys": [],
        "duration_ns": 812,
    }
    return json.dumps({**record, **fields})


def write_log(path: Path, *lines: str) -> Path:
    """A log of these lines."""
    path.write_text("".join(f"{one}\n" for one in lines))
    return path
