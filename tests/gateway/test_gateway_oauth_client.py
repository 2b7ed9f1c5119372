"""A client of the SDK that is told nothing but the gateway's address, and finds the issuer by itself."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from support.gateway.authorization import authorization_server
from support.gateway.environments import PROGRAMS, SDK, bare_environment, needed
from support.gateway.issuers import ec_key
from support.gateway.running import configured
from support.ports import free_port
from support.program import sidecar
from support.proxies.envoy import PATIENCE_S
from support.proxies.mcp import mcp_server

TEAMS = {
    "version": "1",
    "name": "teams",
    "default": "deny",
    "tools": {"open": {"require": [{"conditions": [{"path": "grant.labels.team", "op": "eq", "value": "ops"}]}]}},
}


def test_the_sdk_gets_a_token_and_is_let_in(tmp_path: Path) -> None:
    needed(SDK)
    at = f"127.0.0.1:{free_port()}"
    url = f"http://{at}/mcp/s"
    with (
        mcp_server("/mcp", stateless=False) as upstream,
        authorization_server(ec_key("1"), team="ops") as server,
    ):
        section = {
            "public_url": f"http://{at}",
            "oauth": {
                "issuer": server.issuer,
                "jwks": {"url": f"{server.issuer}/jwks.json"},
                "labels": {"team": "team"},
                "scopes": ["tools:call"],
            },
        }
        path = configured(tmp_path, {"s": f"http://127.0.0.1:{upstream}/mcp"}, TEAMS, gateway=section)
        calls = json.dumps([["open", {"n": 3}], ["capped", {}]])
        command = [str(SDK), str(PROGRAMS / "oauth_client.py"), url, server.issuer, calls]
        with sidecar("--config", path, "--listen", at, stderr=subprocess.DEVNULL):
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=2 * PATIENCE_S, check=False, env=bare_environment()
            )
    assert done.returncode == 0, done.stderr[-3000:]
    (opened, text), (capped, _) = json.loads(done.stdout)
    assert [opened, text, capped] == ["done", "opened 3", "refused"]
    [asked] = server.asked
    assert asked == {"grant_type": "client_credentials", "resource": url, "scope": "tools:call"}
