"""Rewritten configurations in the hands of real clients: calls are judged, and everything else is as before."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from support.gateway.clients import CLIENTS, Client, see
from support.gateway.running import gateway
from support.gateway.servers import Command, everything, everything_command

if TYPE_CHECKING:
    from pathlib import Path

    from support.clients_config.home import Home

POLICY: dict[str, Any] = {
    "version": "1",
    "name": "every",
    "default": "allow",
    "tools": {
        "get-sum": {"deny_if": [{"conditions": [{"path": "args.a", "op": "gt", "value": 10}], "on_deny": "too much"}]}
    },
}
STEPS: list[dict[str, Any]] = [
    {"do": "list"},
    {"do": "call", "name": "echo", "arguments": {"message": "hello"}},
    {"do": "call", "name": "get-sum", "arguments": {"a": 11, "b": 1}},
]


def judged(did: list[Any]) -> None:
    tools, echo, total = did
    assert {"echo", "get-sum"} < set(tools)
    assert (echo["outcome"], echo["text"]) == ("done", "Echo: hello")
    assert (total["outcome"], total["text"]) == ("refused", "too much")


@pytest.mark.parametrize("client", CLIENTS, ids=[client.name for client in CLIENTS])
def test_a_program_is_judged(home: Home, client: Client) -> None:
    command = everything_command()
    entry = {"command": command.words[0], "args": list(command.words[1:]), "env": dict(command.environment)}
    file = home.write(".cursor/mcp.json", {"mcpServers": {"every": entry}})
    done = home.run("clients", "wrap", "--policy", home.policy("every", document=POLICY))
    assert done.code == 0, done
    wrapped = json.loads(file.read_text())["mcpServers"]["every"]
    assert wrapped["env"] == entry["env"]
    seen = see(client, Command((wrapped["command"], *wrapped["args"]), wrapped["env"]), STEPS)
    judged(seen.did)
    # Pins and counts are kept, as the state folder says.
    assert (home.path / ".local" / "state" / "callgate-wrap" / "pins" / "every.json").exists()


@pytest.mark.parametrize("client", CLIENTS, ids=[client.name for client in CLIENTS])
def test_a_server_over_http_is_judged(home: Home, tmp_path: Path, client: Client) -> None:
    with everything() as url, gateway(tmp_path, {"every": url}, POLICY) as running:
        file = home.write(".cursor/mcp.json", {"mcpServers": {"every": {"url": url}}})
        before = file.read_bytes()
        address = f"http://{running.address}"
        done = home.run("clients", "wrap", "--gateway", address)
        assert done.code == 0, done
        # The fragment, which is the original URL, stays with the client.
        wrapped = json.loads(file.read_text())["mcpServers"]["every"]["url"]
        assert wrapped == f"{address}/mcp/every#{url}"
        judged(see(client, wrapped, STEPS).did)
    assert home.run("clients", "unwrap").code == 0
    assert file.read_bytes() == before
