"""The gateway between a real MCP client and a real MCP server: what the client sees."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from support.gateway.running import bearer, gateway
from support.ports import free_port
from support.program import sidecar
from support.proxies.mcp import mcp_client, mcp_server, run_client
from support.proxies.policies import POLICY

CALLS = [("open", {"n": 3}), ("small", {"n": 11}), ("capped", {}), ("capped", {}), ("capped", {}), ("open", {"n": 4})]
MODES = [("auto", True), ("auto", False), ("legacy", True), ("legacy", False)]
HIDING = {**POLICY, "hide": ["secret"]}


@pytest.mark.parametrize(("mode", "stateless"), MODES)
@pytest.mark.parametrize("form", ["json", "events"])
def test_calls_are_judged_and_hidden_tools_are_gone(tmp_path: Path, mode: str, stateless: bool, form: str) -> None:
    further = ["secret", "json"] if form == "json" else ["secret"]
    with (
        mcp_server("/mcp", *further, stateless=stateless) as port,
        gateway(tmp_path, {"tools": f"http://127.0.0.1:{port}/mcp"}, HIDING, grants={"alice": "tools"}) as running,
    ):
        url = running.url("tools")
        saw = mcp_client(url, [*CALLS, ("secret", {})], bearer("alice"), mode)
        direct = mcp_client(f"http://127.0.0.1:{port}/mcp", CALLS[:1], {}, mode)
    assert saw["version"] == direct["version"]
    assert saw["tools"] == ["capped", "open", "small"]
    assert direct["tools"] == ["capped", "open", "secret", "small"]
    *others, capped, last, hidden = saw["seen"]
    assert others == [["done", "opened 3"], ["refused", "too many"], ["done", "done"], ["done", "done"]]
    assert capped[0] == "refused"
    assert "try again in" in capped[1]
    assert last == ["done", "opened 4"], "the session goes on"
    assert hidden[0] == "refused"


def test_without_grants_nobody_needs_a_token(tmp_path: Path) -> None:
    with (
        mcp_server("/mcp", stateless=True) as port,
        gateway(tmp_path, {"tools": f"http://127.0.0.1:{port}/mcp"}) as running,
    ):
        assert mcp_client(running.url("tools"), CALLS[:1], {})["seen"] == [["done", "opened 3"]]


def test_a_policy_and_an_address_are_enough(tmp_path: Path) -> None:
    (tmp_path / "policy.json").write_text(json.dumps(HIDING))
    with mcp_server("/mcp", "secret", stateless=False) as port:
        upstream = f"tools=http://127.0.0.1:{port}/mcp"
        with sidecar("--policy", "policy.json", "--upstream", upstream, "--state", "state", cwd=tmp_path) as running:
            saw = mcp_client(running.said(r"^gateway: +(http\S+)"), CALLS[:1], {})
    assert saw["tools"] == ["capped", "open", "small"]
    assert saw["seen"] == [["done", "opened 3"]]


@pytest.mark.parametrize("mode", ["auto", "legacy"])
def test_strangers_are_told_to_log_in(tmp_path: Path, mode: str) -> None:
    with (
        mcp_server("/mcp", stateless=False) as port,
        gateway(
            tmp_path,
            {"tools": f"http://127.0.0.1:{port}/mcp", "other": "http://127.0.0.1:9/mcp"},
            grants={"alice": "other"},
        ) as running,
    ):
        for headers, reason in (
            ({}, "no token was sent"),
            ({"authorization": "Basic YTpi"}, "is no one token"),
            ({"authorization": "Bearer cgt_nobody"}, "no grant of this server"),
            (bearer("alice"), "no grant of this server"),
        ):
            done = run_client(running.url("tools"), CALLS[:1], headers, mode)
            assert done.returncode != 0
            assert reason in done.stderr, done.stderr[-2000:]


def test_what_never_reached_the_server_is_given_back(tmp_path: Path) -> None:
    port = free_port()
    with gateway(tmp_path, {"tools": f"http://127.0.0.1:{port}/mcp"}) as running:
        for _ in range(5):
            answer = post(running.address, "/mcp/tools", call("capped"))
            assert answer["result"]["isError"]
            assert "cannot be reached" in answer["result"]["content"][0]["text"]
        with mcp_server("/mcp", stateless=True, at=port):
            saw = mcp_client(running.url("tools"), [("capped", {})] * 3, {})
    assert [kind for kind, _ in saw["seen"]] == ["done", "done", "refused"]


def call(tool: str, **arguments: Any) -> dict[str, Any]:
    """A call of a tool."""
    return {"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": {"name": tool, "arguments": arguments}}


def post(address: str, path: str, message: dict[str, Any], headers: dict[str, str] | None = None) -> Any:
    """The JSON that a message is answered with."""
    sent = {"accept": "application/json, text/event-stream", **(headers or {})}
    return httpx.post(f"http://{address}{path}", json=message, headers=sent, timeout=30).json()
