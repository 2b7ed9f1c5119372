"""Envoy's rate limit service with a real Envoy, as `deploy/envoy` configures it."""

from __future__ import annotations

from pathlib import Path

from support.program import sidecar
from support.proxies.envoy import ROOT, envoy, upstream

DEPLOY = ROOT / "deploy" / "envoy"


def test_requests_are_limited_by_user_and_tool(tmp_path: Path) -> None:
    with sidecar("--config", DEPLOY / "callgate-rate-limit.yaml") as running, upstream() as behind:
        ports = {8081: behind, 9191: int(running.address.rpartition(":")[2])}
        with envoy(DEPLOY / "rate-limit.yaml", ports, tmp_path) as proxy:

            def send(agent: str, tool: str) -> int:
                return proxy.send("POST", "/mcp", {"x-agent": agent, "mcp-name": tool}, {}).status

            # Two that delete, whichever they are.
            assert [send("a", f"delete-{number}") for number in range(3)] == [200, 200, 429]
            refused = proxy.send("POST", "/mcp", {"x-agent": "a", "mcp-name": "delete-9"}, {})
            assert (refused.status, refused.headers["ratelimit-remaining"]) == (429, "0")
            assert int(refused.headers["retry-after"]) > 0
            assert send("b", "delete-1") == 200
            # Twenty of any other, each by itself.
            assert [send("a", "list") for _ in range(21)] == [200] * 20 + [429]
            assert send("a", "read") == 200

            running.stop()
            assert send("b", "read") == 500, "nothing passes when callgate is gone"
