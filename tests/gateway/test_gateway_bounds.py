"""Bounds of one grant at a server, and the counts of servers."""

from __future__ import annotations

import urllib.request
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from support.gateway import faults
from support.gateway.faulty import EVENTS, JSON, TOOLS, answer, faulty_server
from support.gateway.running import bearer, gateway
from support.proxies.envoy import PATIENCE_S
from support.setup import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.gateway.faulty import Connection, Faulty, Request
    from support.gateway.running import Gateway

POLICY = {
    "version": "1",
    "name": "example",
    "default": "allow",
    "tools": {"once": {"limits": [{"counter": "calls", "window": "hour", "max": 1}]}},
}
GRANTS = {"alice": "s", "bob": "s"}
LIST: dict[str, Any] = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
ACCEPT = {"accept": f"{JSON}, {EVENTS}"}
LISTEN: dict[str, Any] = {
    "jsonrpc": "2.0",
    "id": 2,
    "method": "subscriptions/listen",
    "params": {
        "notifications": {"toolsListChanged": True},
        "_meta": {
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientCapabilities": {},
        },
    },
}
LISTENING = {"mcp-protocol-version": "2026-07-28", "mcp-method": "subscriptions/listen"}


@pytest.fixture
def faulty() -> Iterator[Faulty]:
    with faulty_server() as faulty:
        yield faulty


def call(tool: str) -> dict[str, Any]:
    """A call of a tool."""
    return {"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": {"name": tool, "arguments": {}}}


def text_of(running: Gateway, grant: str, tool: str = "open") -> str:
    """The text of a call's result."""
    answered = httpx.post(
        running.url("s"), json=call(tool), headers={**ACCEPT, **bearer(grant)}, timeout=PATIENCE_S
    ).json()
    text: str = answered["result"]["content"][0]["text"]
    return text


def metric(running: Gateway, name: str) -> float:
    """One sample of the metrics page, with its labels."""
    with urllib.request.urlopen(f"http://{running.sidecar.admin}/metrics", timeout=PATIENCE_S) as page:
        lines = page.read().decode().splitlines()
    [value] = [line.rpartition(" ")[2] for line in lines if line.rpartition(" ")[0] == name]
    return float(value)


def test_one_grant_leaves_room_for_others(tmp_path: Path, faulty: Faulty) -> None:
    faulty.on("GET", faults.silent_stream)
    faulty.on("subscriptions/listen", faults.silent_stream)
    upstream = {"url": faulty.url, "max_requests": 4, "max_requests_per_grant": 2}
    with (
        gateway(tmp_path, {"s": upstream}, POLICY, grants=GRANTS) as running,
        ExitStack() as streams,
        httpx.Client(timeout=PATIENCE_S) as client,
    ):
        url = running.url("s")
        # Kept, because a stream whose pieces are let go of is closed.
        pieces: list[Iterator[bytes]] = []

        def opened(grant: str, method: str) -> int:
            message = LISTEN if method == "POST" else None
            headers = {**ACCEPT, **bearer(grant), **(LISTENING if method == "POST" else {})}
            stream = streams.enter_context(client.stream(method, url, headers=headers, json=message))
            if stream.status_code == 200:
                pieces.append(stream.iter_raw())
                assert next(pieces[-1]) == b": here\n\n"
            return stream.status_code

        assert [opened("alice", method) for method in ("GET", "POST")] == [200, 200]
        assert metric(running, 'callgate_upstream_requests{server="s"}') == 2
        assert "too many requests of yours are open" in text_of(running, "alice", "once")
        assert opened("alice", "GET") == 503
        assert text_of(running, "bob") == "open done"
        assert metric(running, 'callgate_upstream_failures_total{kind="grant_busy",server="s"}') == 2
        assert [opened("bob", "GET") for _ in range(2)] == [200, 200]
        assert metric(running, 'callgate_upstream_failures_total{kind="busy",server="s"}') == 0
        assert len(faulty.asked("tools/call")) == 1

        streams.close()
        until(lambda: metric(running, 'callgate_upstream_requests{server="s"}') == 0)
        assert text_of(running, "alice", "once") == "once done", "its unit had been given back"
        assert "try again in" in text_of(running, "alice", "once")


def test_a_quarter_is_one_grant_s_where_nothing_is_said(tmp_path: Path, faulty: Faulty) -> None:
    faulty.on("GET", faults.silent_stream)
    upstream = {"url": faulty.url, "max_requests": 20}
    for grants, most in ((GRANTS, 5), (None, 20)):
        with (
            gateway(tmp_path, {"s": upstream}, POLICY, grants=grants) as running,
            httpx.Client(timeout=PATIENCE_S) as client,
            ExitStack() as streams,
        ):
            headers = {**ACCEPT, **(bearer("alice") if grants else {})}
            for expected in [200] * most + [503]:
                stream = streams.enter_context(client.stream("GET", running.url("s"), headers=headers))
                assert stream.status_code == expected
            kind = "grant_busy" if grants else "busy"
            assert metric(running, f'callgate_upstream_failures_total{{kind="{kind}",server="s"}}') == 1


def test_requests_and_failures_are_counted(tmp_path: Path, faulty: Faulty) -> None:
    upstream = {"url": faulty.url, "answer_timeout": "700ms"}
    with gateway(tmp_path, {"s": upstream, "gone": "http://127.0.0.1:9/mcp"}, POLICY) as running:

        def post(message: dict[str, Any], server: str = "s") -> int:
            return httpx.post(running.url(server), json=message, headers=ACCEPT, timeout=PATIENCE_S).status_code

        assert post(call("open")) == 200
        assert post({"jsonrpc": "2.0", "method": "notifications/initialized"}) == 202
        assert httpx.get(running.url("s"), headers=ACCEPT).status_code == 405
        assert post(call("open"), "nobody") == 404
        for fault in (faults.silent, faults.reset, faults.says(401), faults.redirect("http://a.example/")):
            faulty.on("tools/call", fault)
            assert post(call("open")) == 200
        faulty.on("tools/call", faults.reset_mid_stream(1))
        with pytest.raises(httpx.RemoteProtocolError):
            post(call("open"))
        faulty.on("tools/list", faults.slow_body(0.1))
        post(LIST)
        assert post(LIST, "gone") == 502

        assert metric(running, 'callgate_requests_total{code="200",protocol="mcp"}') == 6
        for code in (202, 404, 405, 502, 504):
            assert metric(running, f'callgate_requests_total{{code="{code}",protocol="mcp"}}') == 1, code
        counted = {"too_slow": 2, "broken": 1, "unauthorized": 1, "redirected": 1, "cut_short": 1, "unreachable": 0}
        for kind, count in counted.items():
            assert metric(running, f'callgate_upstream_failures_total{{kind="{kind}",server="s"}}') == count, kind
        assert metric(running, 'callgate_upstream_failures_total{kind="unreachable",server="gone"}') == 1
        until(lambda: metric(running, 'callgate_upstream_requests{server="s"}') == 0)


def test_tools_are_counted_by_what_pinning_says_of_them(tmp_path: Path, faulty: Faulty) -> None:
    with gateway(tmp_path, {"s": faulty.url, "off": {"url": faulty.url, "pinning": "off"}}, POLICY) as running:

        def tools() -> list[float]:
            return [
                metric(running, f'callgate_tools{{server="s",state="{state}"}}')
                for state in ("pinned", "changed", "new")
            ]

        def changes() -> list[float]:
            return [
                metric(running, f'callgate_tools_changed_total{{server="s",state="{state}"}}')
                for state in ("changed", "new")
            ]

        def listed(server: str = "s") -> None:
            httpx.post(running.url(server), json=LIST, headers=ACCEPT, timeout=PATIENCE_S)

        assert (tools(), changes()) == ([0, 0, 0], [0, 0])
        listed()
        assert (tools(), changes()) == ([3, 0, 0], [0, 0])
        evil = [{**TOOLS[0], "description": "evil"}, *TOOLS[1:], {**TOOLS[0], "name": "added"}]
        faulty.on("tools/list", listing(evil))
        for server in ("s", "s", "off"):
            listed(server)
        assert (tools(), changes()) == ([2, 1, 1], [1, 1])
        faulty.on("tools/list", listing(TOOLS))
        listed()
        assert (tools(), changes()) == ([3, 0, 1], [1, 1])
        with urllib.request.urlopen(f"http://{running.sidecar.admin}/metrics", timeout=PATIENCE_S) as page:
            assert 'server="off",state=' not in page.read().decode()


def listing(tools: list[dict[str, Any]]) -> Any:
    """A server's list, with these tools."""

    def fault(connection: Connection, request: Request) -> None:
        events = faults.event(answer(request, tools=tools))
        connection.answer(200, events, {"content-type": EVENTS})

    return fault
