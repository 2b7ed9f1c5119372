"""Envoy's external authorization with a real Envoy, as `deploy/envoy` configures it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from support.proxies.guarded import guarded

AGENT = {"x-agent": "a"}


def call(tool: str, **arguments: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": {"name": tool, "arguments": arguments}}


def test_calls_pass_or_are_denied_with_a_reason(tmp_path: Path) -> None:
    with guarded(tmp_path, tool_errors=False) as (proxy, _):
        forged = {"x-callgate-rule": "forged", "x-callgate-outcome": "deny"}
        passed = proxy.send("POST", "/mcp/aws", {**AGENT, **forged}, call("open"))
        assert passed.status == 200
        seen = passed.body["headers"]
        assert (seen["x-callgate-outcome"], seen["x-callgate-policy"]) == ("allow", "example")
        assert "x-callgate-rule" not in seen
        assert json.loads(passed.body["body"]) == call("open")

        denied = proxy.send("POST", "/mcp/aws", AGENT, call("small", n=11))
        assert (denied.status, denied.body["id"]) == (403, 7)
        assert denied.body["result"]["isError"] is True
        assert denied.body["result"]["content"][0]["text"] == "too many"
        assert proxy.send("POST", "/mcp/aws", AGENT, call("small", n=10)).status == 200

        statuses = [proxy.send("POST", "/mcp/aws", AGENT, call("capped")).status for _ in range(3)]
        assert statuses == [200, 200, 429]
        capped = proxy.send("POST", "/mcp/aws", AGENT, call("capped"))
        assert int(capped.headers["retry-after"]) > 0
        assert "try again in" in capped.body["result"]["content"][0]["text"]
        # Another caller has a count of its own.
        assert proxy.send("POST", "/mcp/aws", {"x-agent": "b"}, call("capped")).status == 200

        initialize = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {}}
        assert proxy.send("POST", "/mcp/aws", AGENT, initialize).status == 200
        assert proxy.send("GET", "/mcp/aws", AGENT).status == 200


def test_what_was_not_judged_does_not_pass(tmp_path: Path) -> None:
    with guarded(tmp_path, tool_errors=False) as (proxy, _):
        assert proxy.send("POST", "/mcp/aws", AGENT, call("open")).status == 200
        for headers, path, body in [
            ({}, "/mcp/aws", call("open")),
            (AGENT, "/mcp/other", call("open")),
            (AGENT, "/mcp/aws%2fx", call("open")),
            ({"x_agent": "a"}, "/mcp/aws", call("open")),
            ({**AGENT, "content-encoding": "gzip"}, "/mcp/aws", call("open")),
            ({**AGENT, "mcp-name": "other"}, "/mcp/aws", call("open")),
            (AGENT, "/mcp/aws", [call("open")]),
            (AGENT, "/mcp/aws", {**call("open"), "Method": "ping"}),
            (AGENT, "/mcp/aws", {"jsonrpc": "2.0", "id": 7, "result": {}}),
            (AGENT, "/mcp/aws", {"jsonrpc": "2.0", "id": 7, "method": "tools/destroy"}),
            (AGENT, "/mcp/aws", b"{"),
            (AGENT, "/mcp/aws", b""),
            (AGENT, "/mcp/aws", b" " * 2_000_000),
        ]:
            denied = proxy.send("POST", path, headers, body)
            assert denied.status in {400, 403, 413}, (headers, path, body, denied)


def test_nothing_passes_when_callgate_is_gone(tmp_path: Path) -> None:
    with guarded(tmp_path) as (proxy, running):
        assert proxy.send("POST", "/mcp/aws", AGENT, call("open")).status == 200
        running.stop()
        assert proxy.send("POST", "/mcp/aws", AGENT, call("open")).status == 403
