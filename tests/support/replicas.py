"""Sidecars that share a store."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from callgate import Client
from callgate.store.place import Place
from support.planes import wait_until
from support.program import Sidecar, run, sidecar

_PATIENCE_MS = 20_000
"""A sidecar waits for the store no longer than the caller does: with a client's usual second, a longer
`approvals.deadline` would mean nothing."""

ALLOW: dict[str, Any] = {"version": "1", "name": "allow", "default": "allow"}
DENY: dict[str, Any] = {"version": "1", "name": "deny", "default": "deny"}
ASKS: dict[str, Any] = {
    "version": "1",
    "name": "asks",
    "default": "allow",
    "tools": {"risky": {"action": "require_approval"}},
}


class Replica:
    """A running sidecar with its folder."""

    def __init__(self, folder: Path, running: Sidecar, client: Client) -> None:
        self.folder = folder
        self.running = running
        self.client = client

    @property
    def status(self) -> dict[str, Any]:
        """The document of `callgate status`."""
        done = run("status", "--state", self.folder / "state", "--json")
        assert done.code == 0, done
        document: dict[str, Any] = json.loads(done.out)
        return document

    def rule(self, grant: str = "g", **more: Any) -> str:
        """The rule of a decision."""
        return self.client.check(grant=grant, **{"server": "s", "tool": "t", **more}).rule

    def metrics(self) -> str:
        """The page of metrics."""
        with urllib.request.urlopen(f"http://{self.running.admin}/metrics", timeout=20) as response:
            text: str = response.read().decode()
            return text

    def wait_for_store(self, state: str = "open") -> None:
        """Waits until the store is in this state."""
        wait_until(lambda: self.status["store"]["state"] == state)


@contextmanager
def replica(folder: Path, place: Place | None, *, waits: bool = True, **keys: Any) -> Iterator[Replica]:
    """A sidecar with its own state folder; without a place the store is in it."""
    folder.mkdir(exist_ok=True)
    (folder / "allow.json").write_text(json.dumps(ALLOW))
    document = {
        "state": "state",
        "servers": {"s": {"policy": "allow"}},
        "policies": {"allow": "allow.json"},
        "log_format": "text",
        **keys,
    }
    if place is not None:
        document["store"] = {"url": place.url}
    (folder / "callgate.json").write_text(json.dumps(document))
    with (
        sidecar("--config", folder / "callgate.json", "--state", folder / "state") as running,
        Client(running.address, timeout_ms=_PATIENCE_MS) as client,
    ):
        one = Replica(folder, running, client)
        if waits:
            one.wait_for_store()
        yield one
