"""A real MCP client and a real MCP server, with and without callgate between them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from support.stdio.wrapped import ALLOW, client, server, wrapping

CALLS: list[tuple[str, dict[str, Any]]] = [
    ("open", {"n": 3}),
    ("large", {"size": 3_000_000}),
    ("slow", {"steps": 3}),
    ("failing", {}),
    ("nosuch", {}),
    ("small", {"n": "x"}),
]


@pytest.mark.parametrize("mode", ["auto", "legacy"])
def test_what_is_allowed_is_as_without(tmp_path: Path, mode: str) -> None:
    # Only old servers ask their clients themselves; newer ones do it by their results.
    calls = [*CALLS, ("asking", {})] if mode == "legacy" else CALLS
    directly, _ = client(server(), calls, mode)
    wrapped, errors = client(wrapping(tmp_path, server(), policy=ALLOW), calls, mode)
    assert wrapped == directly
    assert wrapped["version"] == ("2026-07-28" if mode == "auto" else "2025-11-25")
    assert [what for what, _ in wrapped["seen"][:4]] == ["done", "done", "done", "refused"]
    assert len(wrapped["progress"]) >= 3
    if mode == "legacy":
        assert wrapped["seen"][-1] == ["done", "accept you asked who?"]
    assert "server: ready\n" in errors


@pytest.mark.parametrize("mode", ["auto", "legacy"])
def test_calls_are_judged_and_lists_are_cut(tmp_path: Path, mode: str) -> None:
    calls = [("open", {"n": 3}), ("small", {"n": 11}), ("secret", {}), *[("capped", {})] * 3, ("slow", {"steps": 1})]
    seen, _ = client(wrapping(tmp_path, server()), calls, mode)
    tools = {tool["name"] for tool in seen["tools"]}
    assert "secret" not in tools
    assert {"open", "small", "capped"} < tools
    opened, small, secret, first, second, capped, slow = seen["seen"]
    assert [opened, first, second] == [["done", "opened 3"], ["done", "done"], ["done", "done"]]
    assert small == ["refused", "too many"]
    assert [secret[0], capped[0], slow[0]] == ["refused"] * 3
    assert "try again in" in capped[1]
    assert seen["together"] == [["done", f"opened {n}"] for n in range(20)]
