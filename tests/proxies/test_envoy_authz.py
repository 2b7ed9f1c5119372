"""Envoy's external authorization with a real Envoy, as `deploy/envoy` configures it."""

from __future__ import annotations

import json
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from cli.program import Sidecar, sidecar
from proxies.envoy import ROOT, Proxy, envoy, upstream

if TYPE_CHECKING:
    from collections.abc import Iterator

DEPLOY = ROOT / "deploy" / "envoy"
AGENT = {"x-agent": "a"}
POLICY = {
    "version": "1",
    "name": "example",
    "default": "deny",
    "tools": {
        "open": {},
        "capped": {"limits": [{"counter": "calls", "window": "hour", "max": 2}]},
        "small": {"deny_if": [{"conditions": [{"path": "args.n", "op": "gt", "value": 10}], "on_deny": "too many"}]},
    },
}


def call(tool: str, **arguments: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": {"name": tool, "arguments": arguments}}


@contextmanager
def guarded(folder: Path) -> Iterator[tuple[Proxy, Sidecar]]:
    """Client, Envoy, callgate and upstream; callgate's configuration is ours but for its policy."""
    configuration = yaml.safe_load((DEPLOY / "callgate.yaml").read_text())
    (folder / "policy.json").write_text(json.dumps(POLICY))
    configuration["policies"] = {"example": "policy.json"}
    del configuration["catalogue"]
    path = folder / "callgate.yaml"
    path.write_text(yaml.safe_dump(configuration))
    with sidecar("--config", path) as running, upstream() as behind:
        ports = {8081: behind, 9191: int(running.address.rpartition(":")[2])}
        with envoy(DEPLOY / "ext-authz.yaml", ports, folder) as proxy:
            yield proxy, running


def test_calls_pass_or_are_denied_with_a_reason(tmp_path: Path) -> None:
    with guarded(tmp_path) as (proxy, _):
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
    with guarded(tmp_path) as (proxy, _):
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
