"""A real MCP client, a proxy that asks over HTTP, a real MCP server: what the client sees."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.proxies.forward import WITH_BODY, WITHOUT_BODY, Kind, forwarding
from support.proxies.mcp import mcp_client, mcp_server, run_client

HEADERS = {"authorization": "Bearer cgt_alice"}
CALLS = [("open", {"n": 3}), ("small", {"n": 11}), ("capped", {}), ("capped", {}), ("capped", {}), ("open", {"n": 4})]


@pytest.mark.parametrize("stateless", [False, True])
@pytest.mark.parametrize("mode", ["auto", "legacy"])
@pytest.mark.parametrize("kind", WITH_BODY, ids=str)
def test_with_the_body_every_client_can_call(tmp_path: Path, kind: Kind, mode: str, stateless: bool) -> None:
    with (
        mcp_server("/mcp", stateless=stateless) as port,
        # The status of a denial is what Envoy's HTTP ext_authz goes by, so that it cannot be a tool's result.
        forwarding(kind, tmp_path, port) as (proxy, _),
    ):
        saw = mcp_client(f"http://{proxy.address}/mcp/aws", CALLS, HEADERS, mode)
    assert saw["tools"] == ["capped", "open", "small"]
    assert saw["version"] == ("2026-07-28" if mode == "auto" else "2025-11-25")
    opened, small, first, second, capped, last = saw["seen"]
    assert [opened, first, second, last] == [
        ["done", "opened 3"],
        ["done", "done"],
        ["done", "done"],
        ["done", "opened 4"],
    ]
    if kind.name == "haproxy":
        assert small == ["refused", "too many"]
        assert capped[0] == "refused"
        assert "try again in" in capped[1]
    else:
        assert (small[0], capped[0]) == ("error", "error")


@pytest.mark.parametrize("stateless", [False, True])
@pytest.mark.parametrize("kind", WITHOUT_BODY, ids=str)
def test_without_the_body_clients_that_name_their_calls_can_call(tmp_path: Path, kind: Kind, stateless: bool) -> None:
    with mcp_server("/mcp", stateless=stateless) as port, forwarding(kind, tmp_path, port) as (proxy, _):
        url = f"http://{proxy.address}/mcp/aws"
        saw = mcp_client(url, CALLS, HEADERS)
        old = run_client(url, CALLS, HEADERS, "legacy")
    assert saw["tools"] == ["capped", "open", "small"]
    assert saw["version"] == "2026-07-28"
    opened, small, first, second, capped, last = saw["seen"]
    assert [opened, first, second, last] == [
        ["done", "opened 3"],
        ["done", "done"],
        ["done", "done"],
        ["done", "opened 4"],
    ]
    # Its rule looks at arguments.
    assert (small[0], capped[0]) == ("error", "error")
    # A client that opens a session does not get so far as to call.
    assert old.returncode != 0
