"""The paths of servers, and the metadata about their protection."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from support.gateway.issuers import ISSUER, PUBLIC_URL, ec_key, jwks, oauth
from support.gateway.running import bearer, gateway
from support.proxies.mcp import mcp_client, mcp_server

if TYPE_CHECKING:
    from pathlib import Path

WELL_KNOWN = "/.well-known/oauth-protected-resource"
PING = {"jsonrpc": "2.0", "id": 1, "method": "ping"}


def test_a_slash_at_the_end_is_none(tmp_path: Path) -> None:
    with (
        mcp_server("/mcp", stateless=False) as port,
        gateway(tmp_path, {"tools": f"http://127.0.0.1:{port}/mcp"}, grants={"alice": "tools"}) as running,
    ):
        url = running.url("tools")
        saw = mcp_client(f"{url}/", [("open", {"n": 3}), ("small", {"n": 11})], bearer("alice"), "legacy")
        assert saw["seen"] == [["done", "opened 3"], ["refused", "too many"]]
        nobody = httpx.post(f"{url}/", json=PING)
        challenge = nobody.headers["www-authenticate"]
        assert f'resource_metadata="http://{running.address}{WELL_KNOWN}/mcp/tools"' in challenge
        found = httpx.get(f"http://{running.address}{WELL_KNOWN}/mcp/tools/").json()
        assert found["resource"] == url
        for other in (f"{url}//", f"http://{running.address}/mcp/", f"{url}/x"):
            assert httpx.post(other, json=PING, headers=bearer("alice")).status_code == 404, other


@pytest.mark.parametrize(
    ("has_grants", "has_issuer", "expected"),
    [
        (False, False, None),
        (True, False, {"bearer_methods_supported": ["header"]}),
        (False, True, {"authorization_servers": [ISSUER], "bearer_methods_supported": ["header"]}),
        (True, True, {"authorization_servers": [ISSUER], "bearer_methods_supported": ["header"]}),
    ],
)
def test_metadata_says_who_protects_a_server(
    tmp_path: Path, has_grants: bool, has_issuer: bool, expected: dict[str, Any] | None
) -> None:
    (tmp_path / "jwks.json").write_text(json.dumps(jwks(ec_key("e"))), encoding="utf-8")
    section = oauth(jwks={"file": "jwks.json"}) if has_issuer else {"public_url": PUBLIC_URL}
    grants = {"alice": "s"} if has_grants else None
    with gateway(tmp_path, {"s": "http://127.0.0.1:9/mcp"}, grants=grants, gateway=section) as running:
        answer = httpx.get(f"http://{running.address}{WELL_KNOWN}/mcp/s")
        assert httpx.get(f"http://{running.address}{WELL_KNOWN}/mcp/none").status_code == 404
    if expected is None:
        assert answer.status_code == 404
        assert "without a token" in answer.json()["error"]["message"]
    else:
        assert (answer.status_code, answer.json()) == (200, {"resource": f"{PUBLIC_URL}/mcp/s", **expected})
