"""callgate as an MCP gateway in front of servers, as a user configures it."""

from __future__ import annotations

import json
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

from callgate._callgate import hash_token
from support.planes import wait_until
from support.program import Done, Sidecar, run, sidecar
from support.proxies.policies import POLICY

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

KEY = bytes(range(32))
TOKENS = {"alice": "cgt_alice", "bob": "cgt_bob"}


@dataclass(frozen=True)
class Gateway:
    """A running gateway."""

    address: str
    sidecar: Sidecar
    config: Path

    def await_control_plane(self) -> None:
        """Waits until it is there: it starts after decisions are served, and takes memory and time of its own."""

        def status() -> Done:
            return run("status", "--config", self.config, "--json")

        wait_until(lambda: json.loads(status().out)["store"]["state"] == "open", status)

    def url(self, server: str) -> str:
        """The URL of a server for clients."""
        return f"http://{self.address}/mcp/{server}"


def configured(
    folder: Path,
    servers: Mapping[str, str | Mapping[str, Any]],
    policy: Mapping[str, Any] = POLICY,
    *,
    grants: Mapping[str, str] | None = None,
    **further: Any,
) -> Path:
    """A configuration with these servers: their URLs, or whole sections `upstream`. `grants` are servers by grant."""
    (folder / "policy.json").write_text(json.dumps(policy), encoding="utf-8")
    # No probes: many tests count what reaches their servers.
    upstreams = {
        name: {"probe": False, **({"url": found} if isinstance(found, str) else found)}
        for name, found in servers.items()
    }
    configuration: dict[str, Any] = {
        "servers": {name: {"policy": "p", "upstream": upstream} for name, upstream in upstreams.items()},
        "policies": {"p": "policy.json"},
        "listen": "127.0.0.1:0",
        "admin": {"listen": "127.0.0.1:0"},
        "counters": "memory",
        "state": "state",
        **further,
    }
    if grants is not None:
        (folder / "key").write_text(KEY.hex(), encoding="utf-8")
        (folder / "key").chmod(0o600)
        configuration["grant_key_file"] = "key"
        configuration["grants"] = [
            {"id": name, "server": server, "policy": "p", "token_hash": hash_token(KEY, TOKENS[name])}
            for name, server in grants.items()
        ]
    path = folder / "callgate.yaml"
    path.write_text(yaml.safe_dump(configuration), encoding="utf-8")
    return path


@contextmanager
def gateway(
    folder: Path,
    servers: Mapping[str, str | Mapping[str, Any]],
    policy: Mapping[str, Any] = POLICY,
    *,
    grants: Mapping[str, str] | None = None,
    stderr: int = subprocess.DEVNULL,
    **further: Any,
) -> Iterator[Gateway]:
    """A gateway in front of these servers, as `configured` has it."""
    path = configured(folder, servers, policy, grants=grants, **further)
    with sidecar("--config", path, stderr=stderr) as running:
        yield Gateway(running.address, running, path)


def bearer(grant: str) -> dict[str, str]:
    """The header that authenticates the caller."""
    return {"authorization": f"Bearer {TOKENS[grant]}"}
