"""Servers behind the gateway are tried at the start: what `/readyz` and the log say of one that is no MCP server."""

from __future__ import annotations

import json
import urllib.request
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from support.http_server import Handler, serving
from support.ports import free_port
from support.program import TIMEOUT_S, Sidecar, sidecar
from support.proxies.mcp import mcp_server
from support.proxies.policies import POLICY
from support.setup import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

RESULT: dict[str, Any] = {
    "protocolVersion": "2025-11-25",
    "capabilities": {},
    "serverInfo": {"name": "s", "version": "1"},
}


@contextmanager
def probing(folder: Path, port: int) -> Iterator[Sidecar]:
    """`serve --upstream` in front of this port."""
    policy = folder / "policy.json"
    policy.write_text(json.dumps(POLICY), encoding="utf-8")
    words = ("--policy", policy, "--upstream", f"s=http://127.0.0.1:{port}/mcp", "--counters", "memory")
    with sidecar(*words, "--state", folder / "state") as running:
        yield running


def ready(running: Sidecar, **headers: str) -> str:
    """`/readyz`, which stays 200."""
    request = urllib.request.Request(f"http://{running.admin}/readyz", headers=headers)
    with urllib.request.urlopen(request, timeout=TIMEOUT_S) as response:
        assert response.status == 200
        text: str = response.read().decode()
        return text


@contextmanager
def answering(kept: list[tuple[str, str, str]], *, knows: str, kind: str = "application/json") -> Iterator[int]:
    """A server that knows this method alone; `kept` gets HTTP method, MCP method and session of each request."""

    class Server(Handler):
        def do_POST(self) -> None:
            message = json.loads(self.rfile.read(int(self.headers["content-length"])))
            kept.append(("POST", message["method"], self.headers.get("mcp-session-id", "")))
            reply: dict[str, Any] = {"jsonrpc": "2.0", "id": message["id"]}
            if message["method"] == knows:
                reply["result"] = RESULT
            else:
                reply["error"] = {"code": -32601, "message": "unknown method"}
            body = json.dumps(reply)
            body = f"event: message\ndata: {body}\n\n" if kind == "text/event-stream" else body
            self.send_response(200 if message["method"] == knows else 400)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(body)))
            if message["method"] == "initialize":
                self.send_header("mcp-session-id", "one")
            self.end_headers()
            self.wfile.write(body.encode())

        def do_DELETE(self) -> None:
            kept.append(("DELETE", "", self.headers.get("mcp-session-id", "")))
            self.answer(200, "text/plain", "")

    with serving(Server) as port:
        yield port


class Elsewhere(Handler):
    """A web server without MCP."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.answer(404, "text/html", "<h1>not found</h1>")

    def do_GET(self) -> None:
        self.answer(404, "text/html", "<h1>not found</h1>")


def test_an_address_without_mcp_is_named(tmp_path: Path) -> None:
    with serving(Elsewhere) as port, probing(tmp_path, port) as running:
        until(lambda: "the server `s` does not answer as an MCP server" in ready(running))
        text = ready(running)
        assert text.startswith("ready\n")
        assert "status 404" in text
        assert "often `/mcp`" in text
        document = json.loads(ready(running, accept="application/json"))
        assert document["ready"] is True
        assert "status 404" in document["upstream_faults"]["s"]
        code, err = running.stop()
    assert code == 0
    [line] = [line for line in err.splitlines() if "upstream_unfit" in line]
    assert "server=s" in line
    assert "status 404" in line


def test_an_address_where_nobody_answers_is_named(tmp_path: Path) -> None:
    with probing(tmp_path, free_port()) as running:
        until(lambda: "cannot be reached" in ready(running))
        assert ready(running).startswith("ready\n")


@pytest.mark.parametrize("stateless", [False, True])
def test_a_real_server_is_not_named(tmp_path: Path, stateless: bool) -> None:
    with mcp_server("/mcp", stateless=stateless) as port, probing(tmp_path, port) as running:
        until(lambda: _sent(running) > 0)
        assert ready(running) == "ready\n"
        code, err = running.stop()
    assert (code, "upstream_unfit" in err) == (0, False)


def _sent(running: Sidecar) -> float:
    with urllib.request.urlopen(f"http://{running.admin}/metrics", timeout=TIMEOUT_S) as response:
        lines = response.read().decode().splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith("callgate_upstream_sent_total{"))


@pytest.mark.parametrize("kind", ["application/json", "text/event-stream"])
def test_what_is_asked(tmp_path: Path, kind: str) -> None:
    asked: list[tuple[str, str, str]] = []
    with answering(asked, knows="server/discover", kind=kind) as port, probing(tmp_path, port) as running:
        until(lambda: asked)
        assert running.stop()[0] == 0
    assert asked == [("POST", "server/discover", "")]

    asked.clear()
    with answering(asked, knows="initialize", kind=kind) as port, probing(tmp_path, port) as running:
        until(lambda: len(asked) == 3)
        assert ready(running) == "ready\n"
        code, err = running.stop()
    assert asked == [("POST", "server/discover", ""), ("POST", "initialize", ""), ("DELETE", "", "one")]
    assert (code, "upstream_unfit" in err) == (0, False)
