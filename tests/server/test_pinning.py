"""Lists of a real server, held against its first one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from callgate._callgate import pins_read, pins_record
from support.proxies.mcp import mcp_server

CLIENT = {"name": "test", "version": "1"}


def listed(url: str, version: str) -> bytes:
    """The server's answer to `tools/list` in this version of the protocol, as it came."""
    fields = {"accept": "application/json, text/event-stream", "mcp-protocol-version": version}
    with httpx.Client(headers=fields, timeout=30.0) as client:
        params: dict[str, Any] = {}
        if version < "2026":
            answer = ask(
                client, url, "initialize", {"protocolVersion": version, "capabilities": {}, "clientInfo": CLIENT}
            )
            assert json.loads(message(answer))["result"]["protocolVersion"] == version
            client.headers.update({"mcp-session-id": answer.headers.get("mcp-session-id", "")})
            told = {"jsonrpc": "2.0", "method": "notifications/initialized"}
            assert client.post(url, json=told).status_code < 300
        else:
            client.headers["mcp-method"] = "tools/list"
            prefix = "io.modelcontextprotocol/"
            values = {"protocolVersion": version, "clientInfo": CLIENT, "clientCapabilities": {}}
            params = {"_meta": {prefix + key: value for key, value in values.items()}}
        return message(ask(client, url, "tools/list", params))


def ask(client: httpx.Client, url: str, method: str, params: dict[str, Any]) -> httpx.Response:
    answer = client.post(url, json={"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
    assert answer.status_code == 200, answer.text
    return answer


def message(answer: httpx.Response) -> bytes:
    if answer.headers["content-type"].startswith("application/json"):
        return answer.content
    (data,) = [line[5:].strip() for line in answer.content.splitlines() if line.startswith(b"data:")]
    return data


def states(folder: Path) -> dict[str, str]:
    (server,) = pins_read(folder)
    return {tool["tool"]: tool["state"] for tool in server["tools"]}


@pytest.mark.parametrize("versions", [("2025-03-26", "2025-11-25", "2026-07-28"), ("2026-07-28", "2025-06-18")])
def test_a_real_server_stays_what_it_is(tmp_path: Path, versions: tuple[str, ...]) -> None:
    """Neither another version of the protocol nor a restart counts as a change, whichever version was first."""
    with mcp_server("/mcp", stateless=False) as port:
        url = f"http://127.0.0.1:{port}/mcp"
        for version in versions:
            assert pins_record(tmp_path, "srv", url, None, listed(url, version)) == [], version
    assert states(tmp_path) == {"open": "pinned", "capped": "pinned", "small": "pinned"}
    with mcp_server("/mcp", "secret", "json", stateless=True, at=port):
        assert pins_record(tmp_path, "srv", url, None, listed(url, versions[-1])) == [("secret", "new")]
    assert states(tmp_path) == {"open": "pinned", "capped": "pinned", "small": "pinned", "secret": "new"}
