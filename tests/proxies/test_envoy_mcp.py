"""A real MCP client, a real Envoy, a real MCP server: what the client sees."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.proxies.guarded import guarded_server
from support.proxies.mcp import mcp_client, mcp_server

CALLS = [("open", {"n": 3}), ("small", {"n": 11}), ("capped", {}), ("capped", {}), ("capped", {}), ("open", {"n": 4})]


@pytest.mark.parametrize("stateless", [False, True])
def test_a_client_is_told_why_and_goes_on(tmp_path: Path, stateless: bool) -> None:
    with mcp_server("/mcp", stateless=stateless) as port, guarded_server(tmp_path, port) as (proxy, _):
        saw = mcp_client(f"http://{proxy.address}/mcp/aws", CALLS)
    assert saw["tools"] == ["capped", "open", "small"]
    *others, capped, last = saw["seen"]
    assert others == [["done", "opened 3"], ["refused", "too many"], ["done", "done"], ["done", "done"]]
    assert capped[0] == "refused"
    assert "try again in" in capped[1]
    assert last == ["done", "opened 4"], "the session goes on"


def test_with_the_outcomes_status_this_client_says_nothing_of_the_reason(tmp_path: Path) -> None:
    with (
        mcp_server("/mcp", stateless=True) as port,
        guarded_server(tmp_path, port, tool_errors=False) as (proxy, _),
    ):
        saw = mcp_client(f"http://{proxy.address}/mcp/aws", CALLS[:2])
    assert saw["seen"][0] == ["done", "opened 3"]
    kind, text = saw["seen"][1]
    assert kind == "error"
    assert "too many" not in text
