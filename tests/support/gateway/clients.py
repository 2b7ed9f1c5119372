"""Real MCP clients, each a separate program, that take the same steps and report in the same form.

A step is an object: `{"do": "list"}`, `call` (`name`, `arguments`, `progress`), `resources`, `read` (`uri`), `prompts`,
`prompt` (`name`, `arguments`), `complete` (`prompt`, `argument`, `value`), `level` (`level`), `ping`.
"""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from support.gateway.environments import PROGRAMS, SDK, SDK1, needed, node, own_environment
from support.proxies.envoy import PATIENCE_S

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from support.gateway.servers import Command

HANDSHAKES = ("2025-03-26", "2025-06-18", "2025-11-25")
"""Versions of the protocol that begin with a handshake."""
MODERN = "2026-07-28"


@dataclass(frozen=True)
class Client:
    """One SDK. `versions` are those that can be forced; otherwise the SDK negotiates one."""

    name: str
    command: tuple[Path | str, ...]
    versions: tuple[str, ...]


PYTHON = Client("python", (SDK, PROGRAMS / "sdk_client.py"), (*HANDSHAKES, MODERN))
PYTHON_1 = Client("python-1", (SDK1, PROGRAMS / "sdk1_client.py"), HANDSHAKES)
TYPESCRIPT = Client("typescript", node("client.mjs"), (*HANDSHAKES, MODERN))
# It always requests the newest version that it knows.
TYPESCRIPT_1 = Client("typescript-1", node("client1.mjs"), ())
CLIENTS = [PYTHON, PYTHON_1, TYPESCRIPT, TYPESCRIPT_1]
"""Both generations of both SDKs."""


@dataclass(frozen=True)
class Saw:
    """A client's observations. `did` has one entry per step: a list, a text, or for calls and faults `outcome` (`done`,
    `refused`, `error`), `text`, and `meta` or `code`."""

    version: str | None
    server: str | None
    did: list[Any]
    asked: list[str] = field(default_factory=list)
    """The server's requests, in order."""
    notified: list[str] = field(default_factory=list)
    progress: list[float] = field(default_factory=list)


def run_client(
    client: Client,
    target: str | Command,
    steps: Sequence[Mapping[str, Any]],
    *,
    version: str | None = None,
    token: str | None = None,
    headers: Mapping[str, str] | None = None,
    answers: Mapping[str, Any] | None = None,
) -> subprocess.CompletedProcess[str]:
    """The client's run, which may fail. A target is a URL, or a server over stdio.

    `answers` to the server's requests, `sampling` (a text) and `elicitation` (a result): only for these does the client
    say that it answers them.
    """
    assert version is None or version in client.versions, f"{client.name} cannot be told to speak {version}"
    for part in client.command:
        needed(Path(part))
    given = dict(headers or {})
    if token is not None:
        given["authorization"] = f"Bearer {token}"
    if isinstance(target, str):
        at: dict[str, Any] = {"url": target}
    else:
        at = {"command": target.words, "environment": dict(target.environment)}
    options = {
        "target": at,
        "steps": [dict(step) for step in steps],
        "headers": given,
        "version": version,
        "answers": dict(answers or {}),
    }
    command = [*(str(word) for word in client.command), json.dumps(options)]
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=3 * PATIENCE_S,
        check=False,
        env=own_environment(),
    )


def see(client: Client, target: str | Command, steps: Sequence[Mapping[str, Any]], **options: Any) -> Saw:
    """The observations of a client whose run must succeed; `options` as of `run_client`."""
    done = run_client(client, target, steps, **options)
    assert done.returncode == 0, f"{client.name}: {done.stderr}"
    return Saw(**json.loads(done.stdout))
