"""External authorization by what Envoy's own MCP filter has read, as `deploy/envoy` configures it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx

from support.proxies.envoy import PATIENCE_S
from support.proxies.guarded import guarded, guarded_server
from support.proxies.mcp import mcp_client, mcp_server
from support.proxies.upstream import keeping_upstream

AGENT = {"x-agent": "a", "accept": "application/json, text/event-stream"}
FILTER = ("mcp-filter.yaml", "callgate-mcp-filter.yaml")


def call(tool: str, identifier: Any = 7, **arguments: Any) -> dict[str, Any]:
    params = {"name": tool, "arguments": arguments}
    return {"jsonrpc": "2.0", "id": identifier, "method": "tools/call", "params": params}


def test_calls_are_judged_by_their_names(tmp_path: Path) -> None:
    with guarded(tmp_path, FILTER, tool_errors=False) as (proxy, _):
        for identifier in [7, "seven"]:
            assert proxy.send("POST", "/mcp/aws", AGENT, call("open", identifier)).status == 200
            denied = proxy.send("POST", "/mcp/aws", AGENT, call("shut", identifier))
            assert (denied.status, denied.body["id"]) == (403, identifier)
        # A double cannot tell this number from its neighbours, so nobody is answered under a wrong one.
        assert proxy.send("POST", "/mcp/aws", AGENT, call("shut", 2**53 + 1)).body["id"] is None
        statuses = [proxy.send("POST", "/mcp/aws", AGENT, call("capped")).status for _ in range(3)]
        assert statuses == [200, 200, 429]
        # Nobody has seen the arguments.
        small = proxy.send("POST", "/mcp/aws", AGENT, call("small", n=1))
        assert small.status == 403
        assert "argument" in small.body["result"]["content"][0]["text"]
        assert proxy.send("GET", "/mcp/aws", AGENT).status == 200


def test_what_was_not_read_does_not_pass(tmp_path: Path) -> None:
    with guarded(tmp_path, FILTER, tool_errors=False) as (proxy, _):
        named_twice = b'{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"open","name":"shut"}}'
        for headers, body in [
            ({**AGENT, "mcp-name": "shut", "mcp-method": "tools/call"}, call("open")),
            (AGENT, named_twice),
            (AGENT, [call("open")]),
            (AGENT, {**call("open"), "jsonrpc": "1.0"}),
            (AGENT, {"jsonrpc": "2.0", "method": "tools/call", "params": {"name": "open"}}),
            (AGENT, {"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": {}}),
            (AGENT, {"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": {"name": ["open"]}}),
            (AGENT, {"jsonrpc": "2.0", "id": 1.5, "method": "tools/call", "params": {"name": "open"}}),
            (AGENT, b"{"),
            (AGENT, call("open", n="x" * 2_000_000)),
            ({"x-agent": "a"}, call("open")),
        ]:
            denied = proxy.send("POST", "/mcp/aws", headers, body)
            assert denied.status in {400, 403, 413}, (headers, body, denied)
    # Where the configuration does not name the filter, what it says is not believed.
    with guarded(tmp_path, FILTER, mcp_metadata=None, tool_errors=False) as (proxy, _):
        assert proxy.send("POST", "/mcp/aws", AGENT, call("open")).status == 403


def test_a_body_of_a_get_over_http_2_does_not_pass(tmp_path: Path) -> None:
    body = json.dumps(call("shut")).encode()
    with keeping_upstream() as upstream, guarded_server(tmp_path, upstream.port, FILTER) as (proxy, _):
        with httpx.Client(http1=False, http2=True, base_url=f"http://{proxy.address}", timeout=PATIENCE_S) as client:
            for method in ["GET", "DELETE"]:
                headers = {**AGENT, "mcp-session-id": "s"}
                plain = client.request(method, "/mcp/aws", headers=headers)
                assert (plain.status_code, plain.http_version) == (200, "HTTP/2")
                # No length is announced: over HTTP/2 none is needed.
                sent = client.request(method, "/mcp/aws", headers=headers, content=iter([body]))
                assert sent.status_code == 403
        assert [request.body for request in upstream.arrived] == [b"", b""]


def test_a_real_client_goes_through(tmp_path: Path) -> None:
    calls = [("open", {"n": 3}), ("capped", {}), ("capped", {}), ("capped", {})]
    with (
        mcp_server("/mcp", stateless=False) as port,
        guarded_server(tmp_path, port, FILTER) as (proxy, _),
    ):
        seen = mcp_client(f"http://{proxy.address}/mcp/aws", calls)["seen"]
    assert seen[:3] == [["done", "opened 3"], ["done", "done"], ["done", "done"]]
    assert seen[3][0] == "refused"
    assert "try again in" in seen[3][1]
