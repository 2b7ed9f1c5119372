"""A home folder with configurations of MCP clients, and the program that reads them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.program import Done, run


@dataclass(frozen=True)
class Home:
    """A home folder of its own: nothing of the user who runs the tests is read or changed."""

    path: Path

    def write(self, name: str, content: str | bytes | dict[str, Any]) -> Path:
        """Writes a file below it; a mapping as JSON."""
        file = self.path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps(content, indent=2) if isinstance(content, dict) else content
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        return file

    def run(self, *words: str | Path, **variables: str) -> Done:
        """Runs callgate as a user whose home it is."""
        given = {
            "HOME": str(self.path),
            "XDG_CONFIG_HOME": str(self.path / ".config"),
            "XDG_STATE_HOME": str(self.path / ".local" / "state"),
            "CODEX_HOME": "",
            "CLAUDE_CONFIG_DIR": "",
            **variables,
        }
        return run(*words, cwd=self.path, variables=given)

    def policy(self, *servers: str, document: dict[str, Any] | None = None) -> Path:
        """A folder with a policy for each server; by default it allows everything."""
        for server in servers:
            self.write(f"policies/{server}.json", document or {"version": "1", "name": server, "default": "allow"})
        return self.path / "policies"
