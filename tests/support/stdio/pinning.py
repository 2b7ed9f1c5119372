"""Tools that change behind `callgate wrap`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from support.program import run
from support.stdio.wrapped import Talk, call, request

if TYPE_CHECKING:
    from pathlib import Path


def listed(talk: Talk, **params: Any) -> list[str]:
    """The names of the tools that a client is shown."""
    talk.send(request("list", "tools/list", **params))
    return [tool["name"] for tool in talk.reply()["result"]["tools"]]


def rule(talk: Talk, tool: str) -> str:
    """The rule that denied a call; empty if none did."""
    talk.send(call("call", tool))
    result = talk.reply()["result"]
    found: str = result.get("_meta", {}).get("callgate/decision", {}).get("rule", "")
    assert result.get("isError", False) == bool(found)
    return found


def pin(folder: Path, *words: str) -> str:
    """The output of `callgate pin`."""
    done = run("pin", *words, "--state", str(folder / "state"))
    assert done.code == 0, done.err
    return done.out
