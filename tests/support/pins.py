"""Pinned tools in a state folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from callgate._callgate import pins_record
from support.program import refused, run

URL = "https://tools.example/mcp"


def tool(name: str, description: str = "one", **more: object) -> dict[str, Any]:
    return {"name": name, "description": description, "inputSchema": {"type": "object"}, **more}


class Place:
    """A state folder, and lists that a server shows."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.state = folder / "state"

    @property
    def file(self) -> Path:
        """The pins of the server `srv`."""
        return self.state / "pins" / "srv.json"

    def saved(self, *tools: dict[str, Any]) -> Path:
        path = self.folder / "list.json"
        path.write_text(json.dumps({"tools": tools}))
        return path

    def record(self, *tools: dict[str, Any], url: str | None = URL, command: list[str] | None = None) -> list[str]:
        """Runs `callgate pin record`."""
        answer = json.dumps({"tools": tools}).encode()
        changed = pins_record(self.file.parent, "srv", url, command, answer)
        return [f"{state:<8}{name}" for name, state in changed]

    def lines(self, command: str, *words: str) -> list[str]:
        done = run("pin", command, "--state", self.state, *words)
        assert (done.code, done.err) == (0, ""), done
        return done.out.splitlines()

    def states(self) -> dict[str, str]:
        return {one["tool"]: one["state"] for one in json.loads(self.lines("list", "--json")[0])}

    def refused(self, command: str, *words: str | Path) -> str:
        return refused("pin", command, "--state", self.state, *words)
