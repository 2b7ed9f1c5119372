"""Admission at the gateway: the clients, and their credentials."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from callgate import ConfigError, Engine, Server
from support.gateway.running import bearer, gateway
from support.proxies.mcp import mcp_server
from support.proxies.policies import POLICY
from support.proxies.upstream import call, keeping_upstream, send_raw

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


def test_no_spelling_of_a_client_passes_for_a_field_of_the_gateway(tmp_path: Path) -> None:
    (tmp_path / "tenant").write_text("ours", encoding="utf-8")
    with keeping_upstream() as upstream:
        at = {"url": f"http://127.0.0.1:{upstream.port}/mcp", "headers": {"x-tenant": {"file": "tenant"}}}
        with gateway(tmp_path, {"s": at}, grants={"alice": "s"}) as running:
            fields = [("content-type", b"application/json"), ("authorization", b"Bearer cgt_alice")]
            spelt = [
                "X-Tenant",
                "x_tenant",
                "x.tenant",
                "x_forwarded-for",
            ]
            forged = [(name, b"forged") for name in spelt]
            answer = send_raw(running.address, "POST", "/mcp/s", [*fields, *forged, ("x-own", b"1")], call("open"))
    assert answer.status == 200
    [arrived] = upstream.arrived
    assert [value for name, value in arrived.headers if name.lower() == "x-tenant"] == ["ours"]
    assert arrived.header("x-own") == "1"
    assert "forged" not in str(arrived)


def test_two_configured_fields_that_a_server_takes_for_one_are_refused() -> None:
    headers = [("x-tenant", "ours"), ("x_tenant", "others")]
    behind = {"s": {"url": "http://127.0.0.1:1/mcp", "headers": headers}}
    with pytest.raises(ConfigError, match=r"`x_tenant` and `x-tenant` are one to servers"):
        Server(Engine.from_dict(POLICY), gateway={"servers": behind}).check()
