"""Servers of the transport before streamable HTTP (HTTP+SSE), which the gateway does not speak."""

from __future__ import annotations

import subprocess
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from support.gateway.environments import NODE, SDK1, bare_environment, needed
from support.gateway.running import gateway
from support.gateway.servers import EVERYTHING, listening
from support.http_server import Handler, serving
from support.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

PING = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
CALL = {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {"name": "open"}}
PYTHON_SERVER = """
import sys
from mcp.server.fastmcp import FastMCP
FastMCP("old", host="127.0.0.1", port=int(sys.argv[1])).run("sse")
"""


@contextmanager
def old_server(sdk: str) -> Iterator[str]:
    """A real server of that transport: where it streams its events."""
    port = free_port()
    program = NODE if sdk == "typescript" else SDK1
    needed(program)
    words = (
        [str(program), str(EVERYTHING), "sse"]
        if sdk == "typescript"
        else [str(program), "-c", PYTHON_SERVER, str(port)]
    )
    with listening(words, port, bare_environment(PORT=str(port))):
        yield f"http://127.0.0.1:{port}/sse"


@pytest.mark.parametrize("sdk", ["python", "typescript"])
def test_it_is_named(tmp_path: Path, sdk: str) -> None:
    with old_server(sdk) as url, gateway(tmp_path, {"old": url}, stderr=subprocess.PIPE) as running:
        refused = httpx.post(running.url("old"), json=PING, timeout=30)
        assert refused.status_code == 502
        assert "HTTP+SSE, of 2024-11-05" in refused.json()["error"]["message"]
        called = httpx.post(running.url("old"), json=CALL, timeout=30).json()["result"]
        assert called["isError"]
        assert "ask the operator to connect it by streamable HTTP" in called["content"][0]["text"]
        _, log = running.sidecar.stop()
    assert "upstream_failed" in log
    assert "configure the URL of its streamable HTTP endpoint, often `/mcp` in place of `/sse`" in log


def test_others_that_refuse_a_message_are_passed_on(tmp_path: Path) -> None:
    asked = []

    class Refusing(Handler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.answer(200, "text/event-stream", "event: message\ndata: {}\n\n")

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            self.answer(405, "text/plain", "not here")

    with serving(Refusing) as port, gateway(tmp_path, {"s": f"http://127.0.0.1:{port}/mcp"}) as running:
        answer = httpx.post(running.url("s"), json=PING, timeout=30)
        assert (answer.status_code, answer.text) == (405, "not here")
        assert asked == ["/mcp"]
        in_session = httpx.post(running.url("s"), json=PING, headers={"mcp-session-id": "a"}, timeout=30)
        assert in_session.status_code == 405
        assert asked == ["/mcp"], "who has a session has spoken to a server of today"
