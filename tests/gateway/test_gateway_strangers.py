"""Who may come in at the gateway, and with what."""

from __future__ import annotations

from pathlib import Path

import httpx

from gateway.running import bearer, gateway
from proxies.mcp import mcp_server

INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-06-18",
        "capabilities": {},
        "clientInfo": {"name": "test", "version": "1"},
    },
}
PING = {"jsonrpc": "2.0", "id": 2, "method": "ping"}
ACCEPT = {"accept": "application/json, text/event-stream"}


def test_sessions_tokens_and_pages_of_strangers_are_kept_out(tmp_path: Path) -> None:
    with (
        mcp_server("/mcp", stateless=False) as port,
        gateway(tmp_path, {"s": f"http://127.0.0.1:{port}/mcp"}, grants={"alice": "s", "bob": "s"}) as running,
    ):
        url = running.url("s")

        def post(message: object, **headers: str) -> httpx.Response:
            fields = {name.replace("_", "-"): value for name, value in headers.items()}
            return httpx.post(url, json=message, headers={**ACCEPT, **fields}, timeout=30)

        begun = post(INITIALIZE, **bearer("alice"))
        session = begun.headers["mcp-session-id"]
        assert post(PING, mcp_session_id=session, **bearer("alice")).status_code == 200
        assert post(PING, mcp_session_id=session, **bearer("bob")).status_code == 404
        bare = session.partition(".")[2]
        assert post(PING, mcp_session_id=bare, **bearer("alice")).status_code == 404

        nobody = post(PING)
        assert nobody.status_code == 401
        challenge = nobody.headers["www-authenticate"]
        metadata = f"http://{running.address}/.well-known/oauth-protected-resource/mcp/s"
        assert f'resource_metadata="{metadata}"' in challenge
        assert httpx.get(metadata, timeout=30).json() == {"resource": url, "bearer_methods_supported": ["header"]}

        asked = httpx.post(
            f"{url}?access_token=cgt_alice", json=PING, headers={**ACCEPT, **bearer("alice")}, timeout=30
        )
        assert asked.status_code == 400
        assert "cgt_alice" not in asked.text
        assert post(PING, origin="https://evil.example", **bearer("alice")).status_code == 403
        assert post(PING, host="evil.example", **bearer("alice")).status_code == 403
