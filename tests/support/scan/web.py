"""A small MCP server over HTTP that behaves, or does not, as a word says."""

from __future__ import annotations

import gzip
import json
from typing import Any

from support.http_server import Handler

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
        elif self.mode.isdecimal():
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
