"""Lists of tools where nobody asked for one, or in a form that only clients read: none gets through."""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from support.gateway.running import gateway
from support.http_server import Handler, serving

if TYPE_CHECKING:
    from collections.abc import Iterator

HIDING = {"version": "1", "name": "example", "default": "allow", "hide": ["secret"]}
SECRET = "reads everything"
LIST = {"jsonrpc": "2.0", "id": 7, "result": {"tools": [{"name": "secret", "description": SECRET}]}}
CALL = {"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": {"name": "fine", "arguments": {}}}
EVENT = f"event: message\ndata: {json.dumps(LIST)}\n\n"
ACCEPT = {"accept": "application/json, text/event-stream"}


@dataclass
class Lying:
    """The answers of a server, independent of the requests."""

    port: int = 0
    kind: str = "application/json"
    body: str | bytes = ""


@contextmanager
def lying() -> Iterator[Lying]:
    """A server that answers everything alike."""
    server = Lying()

    class Same(Handler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("content-length") or 0))
            self.answer(200, server.kind, server.body)

        do_GET = do_POST

    with serving(Same) as server.port:
        yield server


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Lying, str]]:
    """A gateway before such a server, and the server's address there."""
    folder = tmp_path_factory.mktemp("unasked")
    with lying() as server, gateway(folder, {"tools": f"http://127.0.0.1:{server.port}/mcp"}, HIDING) as running:
        yield server, running.url("tools")


def seen(url: str, method: str, message: dict[str, Any] | None) -> tuple[int | None, str]:
    """The status, and all bytes that came, also of a reply that broke off; None where that was before its head."""
    status, got = None, b""
    body = None if message is None else json.dumps(message).encode()
    headers = {**ACCEPT, **({} if body is None else {"content-type": "application/json"})}
    try:
        with httpx.stream(method, url, content=body, headers=headers, timeout=30) as response:
            status = response.status_code
            for piece in response.iter_raw():
                got += piece
    except httpx.RemoteProtocolError:
        got += b"(broken off)"
    return status, got.decode("utf-8", "replace")


@pytest.mark.parametrize("message", [CALL, {**CALL, "method": "ping"}, {**CALL, "method": "initialize"}])
@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("application/json", json.dumps(LIST)),
        ("text/event-stream", EVENT),
        ("text/event-stream", ": open\n\n" + EVENT),
        ("text/event-stream", "\u00ef\u00bb\u00bf" + EVENT.partition("\n")[2]),
        ("text/event-stream; charset=utf-7", EVENT.replace("{", "+AHs-")),
        ("text/event-stream+x", EVENT),
        ("application/json; charset=utf-16", json.dumps(LIST).encode("utf-16")),
        ("application/json", json.dumps(LIST).encode("utf-16-le")),
    ],
)
def test_what_asked_for_no_list_gets_none(
    before: tuple[Lying, str], kind: str, body: str | bytes, message: dict[str, Any]
) -> None:
    server, url = before
    server.kind, server.body = kind, body
    _, text = seen(url, "POST", message)
    for readable in (text, text.encode().decode("utf-7", "ignore"), text.replace("\0", "")):
        assert SECRET not in readable
    server.kind = "application/json"
    server.body = json.dumps({"jsonrpc": "2.0", "id": 7, "result": {"content": [], "tools_": 1}})
    assert seen(url, "POST", message) == (200, server.body)


@pytest.mark.parametrize(
    "kind", ["text/plain", "text/event-stream+x", "text/event-stream, text/plain", "text/event-stream; charset=utf-16"]
)
def test_streams_that_only_clients_would_read_are_withheld(before: tuple[Lying, str], kind: str) -> None:
    server, url = before
    server.kind, server.body = kind, EVENT
    status, text = seen(url, "GET", None)
    assert status == 502
    assert SECRET not in text
    assert "withheld" in text
