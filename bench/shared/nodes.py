"""Sidecars and the Redis in which they count, on the core that serves."""

from __future__ import annotations

import json
import re
import socket
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from common import programs

from callgate import Client

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from contextlib import ExitStack
    from pathlib import Path

    from common.programs import Program, Sidecar

SERVER, TOOL, PROBE = "srv", "create_charge", "probe"
# A store gives no units for half a lease after it was seen first.
PATIENCE_SECONDS = 30.0
_KEY = bytes(range(32)).hex()


@dataclass(frozen=True)
class Redis:
    """A running Redis."""

    program: Program
    port: int

    @property
    def url(self) -> str:
        """The URL for callgate."""
        return f"redis://127.0.0.1:{self.port}"

    def commands(self) -> int:
        """Scripts that callgate has run so far."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=programs.START_SECONDS) as connection:
            connection.sendall(b"INFO commandstats\r\nQUIT\r\n")
            text = b"".join(iter(lambda: connection.recv(65_536), b"")).decode()
        return sum(int(calls) for calls in re.findall(r"^cmdstat_evalsha:calls=(\d+)", text, re.MULTILINE))


def redis(stack: ExitStack) -> Redis:
    """Starts a Redis without persistence."""
    port = programs.free_port()
    words = ["redis-server", "--bind", "127.0.0.1", "--port", str(port), "--save", "", "--appendonly", "no"]
    program = stack.enter_context(programs.started(words))
    programs.wait_for(port, program)
    return Redis(program, port)


def sidecar(
    stack: ExitStack, folder: Path, limits: Sequence[Mapping[str, object]], store: Redis | None, name: str = "bench"
) -> Sidecar:
    """Starts a sidecar whose one tool has these limits; without a store it counts in memory."""
    folder.mkdir(parents=True, exist_ok=True)
    # The probe is a limit that needs the store, if there is one.
    probe = [{"counter": "probe", "window": "10ms", "max": 1_000_000, "shared": "strict" if store else "local"}]
    policy = {
        "version": "1",
        "name": name,
        "default": "deny",
        "tools": {TOOL: {"limits": list(limits)}, PROBE: {"limits": probe}},
    }
    (folder / "policy.json").write_text(json.dumps(policy), encoding="utf-8")
    key = folder / "key"
    key.touch(0o600)
    key.write_text(_KEY, encoding="utf-8")
    configuration: dict[str, object] = {
        "servers": {SERVER: {"policy": "bench"}},
        "policies": {"bench": str(folder / "policy.json")},
        "grant_key_file": str(key),
    }
    if store is not None:
        configuration["counters"] = {"store": "memory", "shared": {"url": store.url}}
    running = stack.enter_context(programs.sidecar(configuration, folder, log=folder / "log"))
    _wait_for_units(running)
    return running


def _wait_for_units(running: Sidecar) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    with Client(running.address) as client:
        while client.check(server=SERVER, tool=PROBE, grant="probe").outcome != "allow":
            if time.monotonic() > deadline:
                sys.exit("the store gave no units")
            time.sleep(0.05)
