"""A server whose tools can be changed while it runs, and a client of a gateway in front of it."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import httpx

from support.http_server import Handler, serving

if TYPE_CHECKING:
    from collections.abc import Iterator

LIST = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}


class Tools:
    """The tools that a server offers, and the calls that it got."""

    def __init__(self) -> None:
        self.port = 0
        self.as_events = False
        self.offered = {"a": "does a", "b": "does b"}
        self.called: list[str] = []

    def answer(self, message: dict[str, Any]) -> dict[str, Any]:
        """The reply to one message."""
        if message["method"] == "initialize":
            served = {"capabilities": {"tools": {}}, "serverInfo": {"name": "offered", "version": "1"}}
            version = message["params"]["protocolVersion"]
            return {"jsonrpc": "2.0", "id": message["id"], "result": {"protocolVersion": version, **served}}
        if message["method"] == "tools/list":
            tools = [{"name": n, "description": d, "inputSchema": {"type": "object"}} for n, d in self.offered.items()]
            return {"jsonrpc": "2.0", "id": message["id"], "result": {"tools": tools}}
        self.called.append(message["params"]["name"])
        return {"jsonrpc": "2.0", "id": message["id"], "result": {"content": [], "isError": False}}


@contextmanager
def offering() -> Iterator[Tools]:
    """A server whose tools can be changed while it runs."""
    tools = Tools()

    class Server(Handler):
        def do_POST(self) -> None:
            message = json.loads(self.rfile.read(int(self.headers["content-length"])))
            text = json.dumps(tools.answer(message))
            if tools.as_events:
                self.answer(200, "text/event-stream", f"event: message\ndata: {text}\n\n")
            else:
                self.answer(200, "application/json", text)

    with serving(Server) as tools.port:
        yield tools


def ask(url: str, message: dict[str, Any], headers: dict[str, str] | None = None) -> dict[str, Any]:
    """The reply, JSON or one event."""
    accept = {"accept": "application/json, text/event-stream"}
    answered = httpx.post(url, json=message, headers={**accept, **(headers or {})}, timeout=30)
    text = answered.text
    if answered.headers["content-type"].startswith("text/event-stream"):
        text = next(line for line in text.splitlines() if line.startswith("data:")).removeprefix("data:")
    reply: dict[str, Any] = json.loads(text)
    return reply


def listed(url: str, headers: dict[str, str] | None = None) -> list[str]:
    """The names of the tools that a client is shown."""
    return [tool["name"] for tool in ask(url, LIST, headers)["result"]["tools"]]


def call(
    url: str, tool: str, headers: dict[str, str] | None = None, arguments: dict[str, Any] | None = None
) -> dict[str, Any]:
    """The reply to a call."""
    message = {
        "jsonrpc": "2.0",
        "id": 2,
        "method": "tools/call",
        "params": {"name": tool, "arguments": arguments or {}},
    }
    return ask(url, message, headers)
