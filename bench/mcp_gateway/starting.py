"""Starts the server and what stands before it: behind a proxy the server shares the core of the load."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from common import echo, machine, programs, proxies
from mcp_gateway.ways import CALLGATE, DIRECT, FLOOR, Way
from proxy import messages

from callgate._callgate import hash_token, new_token

if TYPE_CHECKING:
    from contextlib import ExitStack
    from pathlib import Path

# Two conditions and two limits.
POLICY = machine.ROOT / "bench/policy.json"
HEADERS = {
    "content-type": "application/json",
    "accept": "application/json, text/event-stream",
    "mcp-protocol-version": "2025-11-25",
}


def ways(stack: ExitStack, folder: Path, *, quick: bool) -> list[Way]:
    """The server itself, two plain proxies before it, and callgate."""
    # Without a proxy between, the server has the proxies' core: a request crosses from core to core either way.
    port, itself = echo.started(stack, programs.SERVER_CORE, quick=quick)
    upstream, _ = echo.started(stack, programs.LOAD_CORE, quick=quick)
    found = [Way(DIRECT, _url(port), HEADERS, itself)]
    for name in (proxies.NGINX, proxies.ENVOY):
        port, program = proxies.plain(stack, folder, name, upstream)
        found.append(Way(name, _url(port), HEADERS, program))
    port, program = echo.passed_on(stack, _url(upstream), quick=quick)
    return [*found, Way(FLOOR, _url(port), HEADERS, program), callgate(stack, folder, upstream)]


def callgate(stack: ExitStack, folder: Path, upstream: int) -> Way:
    """callgate with one grant, whose token every request bears."""
    key, token = secrets.token_bytes(32), new_token()
    key_file = folder / "grant.key"
    key_file.write_text(key.hex(), encoding="ascii")
    key_file.chmod(0o600)
    configuration: dict[str, object] = {
        # All streams are of one grant.
        "servers": {"srv": {"upstream": {"url": f"http://127.0.0.1:{upstream}/mcp", "max_requests_per_grant": 1_024}}},
        "policies": {"bench": str(POLICY)},
        "grants": [{"id": messages.AGENT, "server": "srv", "policy": "bench", "token_hash": hash_token(key, token)}],
        "grant_key_file": str(key_file),
    }
    running = stack.enter_context(programs.sidecar(configuration, folder))
    headers = {**HEADERS, "authorization": f"Bearer {token}"}
    return Way(CALLGATE, f"http://{running.address}{messages.PATH}", headers, running, running)


def _url(port: int) -> str:
    return f"http://127.0.0.1:{port}{messages.PATH}"
