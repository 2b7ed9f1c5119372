"""Servers over HTTP: those that do not behave, and what is sent to them."""

from __future__ import annotations

import gzip
import json
import ssl
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import trustme

from callgate.workbench.scan.http import Events
from callgate.workbench.scan.listing import list_servers
from callgate.workbench.scan.target import Bounds, HttpTarget
from support.gateway.environments import SDK, bare_environment, needed
from support.gateway.servers import listening
from support.http_server import Handler, serving
from support.ports import free_port
from support.scan.hostile import PROGRAM

if TYPE_CHECKING:
    from callgate.workbench.scan.listing import Listing

BOUNDS = Bounds(seconds=20.0)
INFO = {
    "protocolVersion": "2025-11-25",
    "capabilities": {"tools": {}},
    "serverInfo": {"name": "small", "version": "1"},
}


class Server(Handler):
    """An MCP server that answers lists as its class says; others get errors of JSON-RPC."""

    seen: list[dict[str, str]]
    mode = "usual"

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.seen.append({name.lower(): value for name, value in self.headers.items()})
        if "id" not in body:
            self.answer(202, "text/plain", "")
        elif self.mode in ("401", "500"):
            self.answer(int(self.mode), "text/html", "<h1>token=abc</h1>")
        elif self.mode == "html":
            self.answer(200, "text/html", "<h1>hello</h1>")
        elif body["method"] == "initialize":
            self.reply(body, INFO)
        elif body["method"] == "tools/list":
            self.list(body)
        else:
            error = {"code": -32601, "message": "method not found"}
            self.answer(200, "application/json", json.dumps({"jsonrpc": "2.0", "id": body["id"], "error": error}))

    def do_GET(self) -> None:
        self.answer(405, "text/plain", "")

    def reply(self, body: Any, result: Any) -> None:
        self.answer(200, "application/json", json.dumps({"jsonrpc": "2.0", "id": body["id"], "result": result}))

    def list(self, body: Any) -> None:
        tools = {"tools": [{"name": "fine", "inputSchema": {"type": "object"}}]}
        text = json.dumps({"jsonrpc": "2.0", "id": body["id"], "result": tools})
        if self.mode == "gzip":
            packed = gzip.compress(b" " * 200_000_000 + text.encode(), 1)
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-encoding", "gzip")
            self.send_header("content-length", str(len(packed)))
            self.end_headers()
            self.wfile.write(packed)
        elif self.mode == "large":
            self.answer(200, "application/json", " " * 3_000_000 + text)
        elif self.mode == "bad":
            self.answer(200, "application/json", text.replace('"fine"', '"fine", "name": "other"'))
        elif self.mode == "no-json":
            self.answer(200, "application/json", "<html>")
        elif self.mode == "away":
            self.send_response(307)
            self.send_header("location", "http://127.0.0.2:1/mcp")
            self.send_header("content-length", "0")
            self.end_headers()
        elif self.mode == "events":
            # Line ends of both kinds, an event without data, a comment, and one of another name.
            event = (
                f"id: 1\r\ndata:\r\n\r\n: still here\n\nevent: other\ndata: {{}}\n\nevent: message\ndata: {text}\n\n"
            )
            self.answer(200, "text/event-stream", event)
        elif self.mode == "endless":
            self.send_response(200)
            self.send_header("content-type", "text/event-stream")
            self.end_headers()
            while True:
                self.wfile.write(b"data: " + b"x" * 100_000)
        else:
            self.answer(200, "application/json", text)


def server(mode: str) -> type[Server]:
    return type("Once", (Server,), {"mode": mode, "seen": []})


def listed(handler: type[Server], bounds: Bounds = BOUNDS, **headers: str) -> Listing:
    with serving(handler) as port:
        (listing,) = list_servers([HttpTarget("small", f"http://127.0.0.1:{port}/mcp", headers)], bounds)
    return listing


@pytest.mark.parametrize(
    ("mode", "reason"),
    [
        ("401", "it wants authentication (HTTP 401)"),
        ("500", "it answers with HTTP 500"),
        ("gzip", "it compressed its reply"),
        ("large", "a message larger than 1 MiB"),
        ("endless", "a message larger than 1 MiB"),
        ("bad", "a key stands twice in one object"),
        ("no-json", "it answers with error -32700"),
        ("away", "not follow"),
        ("html", "content type"),
    ],
)
def test_a_bad_server_is_a_failure_with_its_reason(mode: str, reason: str) -> None:
    listing = listed(server(mode), replace(BOUNDS, message_bytes=1 << 20))
    assert listing.tools == []
    assert reason in str(listing.failure)
    assert "token=abc" not in str(listing.failure)


@pytest.mark.parametrize("mode", ["usual", "events"])
def test_a_server_is_listed_with_its_headers(mode: str) -> None:
    handler = server(mode)
    listing = listed(handler, authorization="Bearer s3cret")
    assert ([tool["name"] for tool in listing.tools], listing.failure) == (["fine"], None)
    assert (listing.title, listing.version, listing.protocol) == ("small", "1", "2025-11-25")
    assert all(seen["authorization"] == "Bearer s3cret" for seen in handler.seen)
    assert all(seen["accept-encoding"] == "identity" for seen in handler.seen)


def test_authorities_of_its_own() -> None:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with serving(server("usual"), tls=context) as port:
        target = HttpTarget("small", f"https://127.0.0.1:{port}/mcp")
        untrusted, trusted = list_servers([target, replace(target, ca=authority.cert_pem.bytes())], BOUNDS)
    assert "certificate verify failed" in str(untrusted.failure)
    assert (trusted.failure, len(trusted.tools)) == (None, 1)


def test_a_server_of_the_older_transport_is_listed() -> None:
    needed(SDK)
    port = free_port()
    with listening([str(SDK), str(PROGRAM.with_name("sse_server.py")), str(port)], port, bare_environment()):
        (listing,) = list_servers([HttpTarget("older", f"http://127.0.0.1:{port}/sse")], BOUNDS)
    assert listing.failure is None
    assert ([tool["name"] for tool in listing.tools], listing.title, listing.version) == (["add"], "older", "7")
    assert listing.tools[0]["inputSchema"]["required"] == ["a", "b"]


def test_several_servers_do_not_wait_for_a_bad_one() -> None:
    ended = list[str]()
    with serving(server("usual")) as port:
        targets = [
            HttpTarget("dead", "http://127.0.0.1:9/mcp"),
            *(HttpTarget(f"n{number}", f"http://127.0.0.1:{port}/mcp") for number in range(20)),
        ]
        listings = list_servers(targets, BOUNDS, ended=lambda listing: ended.append(listing.target.name))
    assert [listing.target.name for listing in listings] == [target.name for target in targets]
    assert sorted(ended) == sorted(target.name for target in targets)
    assert [listing.failure is None for listing in listings] == [False, *[True] * 20]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_events_come_in_pieces_of_any_size(size: int) -> None:
    text = b"id: 1\r\ndata:\r\n\r\ndata: a\rdata: b\r\r: no\n\nevent: other\ndata: c\n\n"
    text += b"event:message\r\ndata:d: e\r\n\r\ndata: open"
    found = list[bytes]()
    events = Events(found.append)
    for start in range(0, len(text), size):
        events.feed(text[start : start + size])
    assert found == [b"a\nb", b"d: e"]
