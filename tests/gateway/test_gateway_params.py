"""Arguments that stand in a header as well: held against the call as soon as anything says which they are."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from support.gateway.clients import MODERN, PYTHON, TYPESCRIPT, Client, see
from support.gateway.running import bearer, gateway
from support.gateway.servers import sdk_server
from support.proxies.upstream import keeping_upstream

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

META = {
    "io.modelcontextprotocol/protocolVersion": MODERN,
    "io.modelcontextprotocol/clientInfo": {"name": "wire", "version": "1"},
    "io.modelcontextprotocol/clientCapabilities": {},
}
CAPPED = {
    "version": "1",
    "name": "example",
    "default": "allow",
    "tools": {"regional": {"limits": [{"counter": "calls", "window": "hour", "max": 1}]}},
}
OTHERWISE = {"type": "object", "properties": {"region": {"type": "string", "x-mcp-header": "Zone"}}}
ANNOTATED = {"type": "object", "properties": {"region": {"type": "string", "x-mcp-header": "Region"}}}


def ask(url: str, method: str, headers: Mapping[str, str] | None = None, **params: Any) -> httpx.Response:
    """The answer to a message in the version that has such headers."""
    message = {"jsonrpc": "2.0", "id": 7, "method": method, "params": {**params, "_meta": META}}
    given = {
        "accept": "application/json, text/event-stream",
        "mcp-protocol-version": MODERN,
        "mcp-method": method,
        **({"mcp-name": params["name"]} if "name" in params else {}),
        **(headers or {}),
    }
    return httpx.post(url, json=message, headers=given, timeout=30)


def call(url: str, field: str | None, region: Any = "eu", *, name: str = "mcp-param-region") -> httpx.Response:
    """The answer to a call with this region, and this in the header."""
    arguments = {} if region is None else {"region": region}
    return ask(url, "tools/call", {} if field is None else {name: field}, name="regional", arguments=arguments)


def by_us(answer: httpx.Response) -> str:
    """The rule that callgate refused by; empty where it was the server."""
    error = answer.json()["error"]
    assert error["code"] == -32020
    rule: str = error.get("data", {}).get("callgate/decision", {}).get("rule", "")
    return rule


def catalogue(folder: Path, schema: Any) -> str:
    """A file that says this of the tool."""
    path = folder / "catalogue.json"
    tools = {"regional": {"input_schema": schema}}
    path.write_text(json.dumps({"version": "1", "servers": {"s": {"tools": tools}}}), encoding="utf-8")
    return str(path)


@pytest.mark.parametrize("client", [PYTHON, TYPESCRIPT], ids=lambda client: client.name)
def test_what_sdks_send_passes(tmp_path: Path, client: Client) -> None:
    regions = ["eu-west-1", "Zürich", " ", "=?base64?x?=", "=?base64?x", "=?BASE64?eA==?="]
    steps: list[dict[str, Any]] = [{"do": "list"}]
    steps += [{"do": "call", "name": "regional", "arguments": {"region": name}} for name in regions]
    with sdk_server() as url, gateway(tmp_path, {"s": url}, {**CAPPED, "tools": {}}) as running:
        _, *called = see(client, running.url("s"), steps, version=MODERN).did
        # They do send it: without, or with another, this server would have refused.
        assert call(running.url("s"), None).status_code == 400
    assert [step["text"] for step in called] == [f"in {name}" for name in regions]


def test_what_the_server_lists_is_held_against_calls(tmp_path: Path) -> None:
    with sdk_server() as server, gateway(tmp_path, {"s": server}, CAPPED, grants={"alice": "s"}) as running:
        url = running.url("s")

        def asked(field: str, region: Any = "eu", *, name: str = "mcp-param-region") -> httpx.Response:
            headers = {name: field, **bearer("alice")}
            arguments = {} if region is None else {"region": region}
            return ask(url, "tools/call", headers, name="regional", arguments=arguments)

        assert ask(url, "tools/list", bearer("alice")).status_code == 200
        for field, region in [("us", "eu"), ("", "eu"), ("eu", None), ("1", 1.5), ("null", None)]:
            answer = asked(field, region)
            assert (answer.status_code, by_us(answer)) == (400, "(invalid request)"), (field, region)
            assert answer.json()["id"] == 7
            assert "mcp-param-region" in answer.json()["error"]["message"]
        for alias in ("mcp_param_region", "mcp-param.region"):
            assert by_us(asked("eu", name=alias)) == "(invalid request)"
        stranger = call(url, "us")
        assert stranger.status_code == 401
        assert "region" not in stranger.text
        # None of them has taken the one unit that there is.
        assert asked("eu").json()["result"]["content"][0]["text"] == "in eu"
        assert asked("eu").json()["result"]["isError"]


@pytest.mark.parametrize("pinning", ["enforce", "off"])
def test_where_nothing_is_known_the_server_checks(tmp_path: Path, pinning: str) -> None:
    with sdk_server() as server:
        upstream = {"url": server, "pinning": pinning}
        with gateway(tmp_path, {"s": upstream}, {**CAPPED, "tools": {}}) as running:
            assert by_us(call(running.url("s"), "us")) == ""
            ask(running.url("s"), "tools/list")
            known = "(invalid request)" if pinning == "enforce" else ""
            assert by_us(call(running.url("s"), "us")) == known


def test_the_catalogue_speaks_where_no_list_did(tmp_path: Path) -> None:
    with keeping_upstream() as kept:
        url = f"http://127.0.0.1:{kept.port}/mcp"
        known = catalogue(tmp_path, ANNOTATED)
        with gateway(tmp_path, {"s": url, "t": url}, {**CAPPED, "tools": {}}, catalogue=known) as running:
            assert by_us(call(running.url("s"), "us")) == "(invalid request)"
            assert call(running.url("s"), "eu").status_code == 200
            assert call(running.url("s"), None).status_code == 200
            # It says nothing of another server's tools.
            assert call(running.url("t"), "us").status_code == 200
        assert len(kept.arrived) == 3


def test_a_list_outweighs_the_catalogue(tmp_path: Path) -> None:
    known = catalogue(tmp_path, OTHERWISE)
    with sdk_server() as server, gateway(tmp_path, {"s": server}, {**CAPPED, "tools": {}}, catalogue=known) as running:
        url = running.url("s")
        assert by_us(call(url, "us")) == "", "the catalogue has another header"
        assert by_us(call(url, "us", name="mcp-param-zone")) == "(invalid request)"
        ask(url, "tools/list")
        assert by_us(call(url, "us")) == "(invalid request)"
        # It is nobody's now; the server misses its own.
        assert by_us(call(url, "us", name="mcp-param-zone")) == ""
