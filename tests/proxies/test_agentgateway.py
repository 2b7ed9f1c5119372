"""agentgateway's questions about a real MCP server's messages, as `deploy/agentgateway` configures callgate."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from support.planes import wait_until
from support.program import sidecar
from support.proxies.envoy import ROOT
from support.proxies.mcp import mcp_server, noting_server
from support.proxies.people import RULE, UNAVAILABLE, add_approver, approval_in, approve, locked
from support.proxies.policies import POLICY
from support.proxies.stand_in import gateway
from support.proxies.ways import ASKS, KEYS

DEPLOY = ROOT / "deploy" / "agentgateway"
AGENT = {"x-agent": "a"}


HIDES = {**POLICY, "hide": ["small"]}


def configured(folder: Path, policy: dict[str, Any], **keys: Any) -> Path:
    """callgate's configuration, but for its policy and further keys."""
    configuration = yaml.safe_load((DEPLOY / "callgate.yaml").read_text())
    (folder / "policy.json").write_text(json.dumps(policy))
    configuration["policies"] = {"example": "policy.json"}
    del configuration["catalogue"]
    configuration.update(keys)
    path = folder / "callgate.yaml"
    path.write_text(yaml.safe_dump(configuration))
    return path


def test_a_real_servers_messages(tmp_path: Path) -> None:
    with (
        mcp_server("/mcp", stateless=True) as port,
        sidecar("--config", configured(tmp_path, HIDES)) as running,
        gateway("aws", f"http://127.0.0.1:{port}/mcp", running.address, tmp_path) as proxy,
    ):

        def call(tool: str, arguments: dict[str, Any], headers: dict[str, str] | None = None) -> dict[str, Any]:
            return proxy.send(
                "tools/call", {"name": tool, "arguments": arguments}, AGENT if headers is None else headers
            )

        listed = proxy.send("tools/list", None, AGENT)["result"]
        assert sorted(tool["name"] for tool in listed["tools"]) == ["capped", "open"]
        assert all("inputSchema" in tool for tool in listed["tools"]), "the rest stays"

        opened = call("open", {"n": 3}, {**AGENT, "x-callgate-rule": "forged", "x-callgate-outcome": "forged"})
        assert opened["result"]["content"][0]["text"] == "opened 3"
        assert opened["sent"] == {
            **AGENT,
            "x-callgate-outcome": "allow",
            "x-callgate-policy": "example",
            "x-callgate-policy-version": opened["sent"]["x-callgate-policy-version"],
        }
        hidden = call("small", {"n": 1})["error"]
        assert hidden["code"] == -32001
        assert hidden["data"]["data"]["callgate/decision"]["rule"] == "(hidden)"

        assert ["result" in call("capped", {}) for _ in range(3)] == [True, True, False]
        capped = call("capped", {})["error"]
        assert (capped["code"], "try again in" in capped["message"]) == (-32003, True)
        assert "result" in call("capped", {}, {"x-agent": "b"}), "another caller has a count of its own"

        nobody = proxy.send("tools/list", None, {})
        assert nobody["error"]["code"] in {-32001, -32600}


def test_a_person_admits_one_call(tmp_path: Path) -> None:
    add_approver(tmp_path / "state")
    with (
        noting_server(tmp_path, stateless=True) as (notes, port),
        sidecar("--config", configured(tmp_path, ASKS, **KEYS)) as running,
        gateway("aws", f"http://127.0.0.1:{port}/mcp", running.address, tmp_path) as proxy,
    ):

        def risky() -> dict[str, Any]:
            return proxy.send("tools/call", {"name": "risky", "arguments": {"n": 1}}, AGENT)

        def approval() -> str:
            error = risky()["error"]
            assert error["code"] == -32001
            return approval_in(error["message"], error["data"]["data"]["callgate/decision"])

        wait_until(lambda: risky()["error"]["data"]["data"]["callgate/decision"]["rule"] == RULE)
        first = approval()
        assert notes.read_text() == ""
        approve(tmp_path / "state", first)
        assert risky()["result"]["content"][0]["text"] == "did 1"
        second = approval()
        assert second != first
        with locked(tmp_path / "state"):
            denied = risky()["error"]["data"]["data"]["callgate/decision"]
            assert (denied["outcome"], denied["rule"]) == ("deny", UNAVAILABLE)
            assert "result" in proxy.send("tools/call", {"name": "open", "arguments": {"n": 5}}, AGENT)
        assert approval() == second
        assert notes.read_text() == "1\n"


def test_the_gateways_file_says_what_the_tests_do() -> None:
    [bind] = yaml.safe_load((DEPLOY / "agentgateway.yaml").read_text())["binds"]
    [route] = bind["listeners"][0]["routes"]
    [processor] = route["policies"]["mcpGuardrails"]["processors"]
    assert processor == {
        "kind": "remote",
        "host": "127.0.0.1:9191",
        "failureMode": "failClosed",
        "methods": {"tools/call": "request", "tools/list": "full", "*": "request"},
        "metadata": {"x-agent": 'request.headers["x-agent"]'},
    }
    servers = yaml.safe_load((DEPLOY / "callgate.yaml").read_text())["servers"]
    assert [target["name"] for target in route["backends"][0]["mcp"]["targets"]] == list(servers)
