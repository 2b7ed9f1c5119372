"""Streams of events for clients that end lines at more characters than the standard: no message hides behind one."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from support.gateway.faulty import EVENTS, JSON, faulty_server
from support.gateway.running import gateway
from support.proxies.envoy import PATIENCE_S

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.gateway.faulty import Connection, Faulty, Request

HIDING = {"version": "1", "name": "example", "default": "allow", "hide": ["secret"]}
ACCEPT = {"accept": f"{JSON}, {EVENTS}"}
CALL: dict[str, Any] = {"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": {"name": "open", "arguments": {}}}
LIST: dict[str, Any] = {"jsonrpc": "2.0", "id": 7, "method": "tools/list"}
HIDDEN = {"jsonrpc": "2.0", "id": 7, "result": {"tools": [{"name": "secret", "inputSchema": {"type": "object"}}]}}
BREAKS = ["\v", "\f", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\u2029"]


def messages(response: httpx.Response) -> Iterator[dict[str, Any]]:
    """The messages of a stream as httpx-sse 0.4.0 reads them: `iter_lines` of httpx splits like `str.splitlines`."""
    data: list[str] = []
    for line in response.iter_lines():
        if not line:
            # A client logs what is no message, and reads on.
            with suppress(ValueError):
                yield json.loads("\n".join(data))
            data = []
            continue
        name, _, value = line.partition(":")
        if name == "data":
            data.append(value.removeprefix(" "))


def reading(url: str, message: dict[str, Any] | None) -> list[dict[str, Any]]:
    """All messages that such a client sees, also of a stream that breaks off."""
    seen: list[dict[str, Any]] = []
    method = "GET" if message is None else "POST"
    with (
        suppress(httpx.RemoteProtocolError),
        httpx.stream(method, url, json=message, headers=ACCEPT, timeout=PATIENCE_S) as response,
    ):
        seen.extend(messages(response))
    return seen


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Faulty, str]]:
    """A gateway before a server, and the server's address there."""
    folder = tmp_path_factory.mktemp("lines")
    with (
        faulty_server() as faulty,
        gateway(folder, {"s": {"url": faulty.url, "pinning": "off"}}, HIDING) as running,
    ):
        yield faulty, running.url("s")


def streams(line_break: str) -> dict[str, str]:
    """Streams that hold another message for who ends a line there, by where it stands."""
    event = f"{line_break}{line_break}data: {json.dumps(HIDDEN)}{line_break}{line_break}"
    reply = {"jsonrpc": "2.0", "id": 7, "result": {"content": [{"type": "text", "text": "done"}]}}
    return {
        "in a string": f'data: {{"jsonrpc": "2.0", "method": "x{event}"}}\n\ndata: {json.dumps(reply)}\n\n',
        "in an id": f"id: 1{event}\ndata: {json.dumps(reply)}\n\n",
        "in the name of an event": f"event: message{event}\ndata: {json.dumps(reply)}\n\n",
        "in a comment": f": open{event}\n\ndata: {json.dumps(reply)}\n\n",
        "in a field without a name": f"{event}\n\ndata: {json.dumps(reply)}\n\n",
    }


@pytest.mark.parametrize("size_bytes", [1, 4096], ids=["byte by byte", "at once"])
@pytest.mark.parametrize("line_break", BREAKS, ids=ascii)
def test_no_line_begins_within_a_line(before: tuple[Faulty, str], line_break: str, size_bytes: int) -> None:
    faulty, url = before
    for place, stream in streams(line_break).items():

        def fault(connection: Connection, _: Request, body: bytes = stream.encode()) -> None:
            connection.chunked(EVENTS)
            for start in range(0, len(body), size_bytes):
                connection.chunk(body[start : start + size_bytes])
            connection.chunk(b"")

        for asks, message in (("tools/call", CALL), ("tools/list", LIST), ("GET", None)):
            faulty.on(asks, fault)
            seen = reading(url, message)
            assert "secret" not in json.dumps([one for one in seen if "method" not in one]), (place, asks)
        # Passed on as it came, it would have been found.
        assert "secret" in json.dumps(list(messages(httpx.Response(200, text=stream)))), place


@pytest.mark.parametrize("line_break", BREAKS[5:], ids=ascii)
def test_what_stands_in_a_string_is_said_all_the_same(before: tuple[Faulty, str], line_break: str) -> None:
    faulty, url = before
    text = f"one{line_break}two"
    tool = {"name": "open", "description": text, "inputSchema": {"type": "object"}}
    called = {"jsonrpc": "2.0", "id": 7, "result": {"content": [{"type": "text", "text": text}]}}
    listed = {"jsonrpc": "2.0", "id": 7, "result": {"tools": [tool]}}

    def fault(connection: Connection, request: Request) -> None:
        message = listed if request.asks == "tools/list" else called
        stream = f"id: 1\ndata: {json.dumps(message, ensure_ascii=False)}\n\n".encode()
        connection.answer(200, stream, {"content-type": EVENTS})

    for asks, message, expected in (("tools/call", CALL, called), ("tools/list", LIST, listed)):
        faulty.on(asks, fault)
        assert reading(url, message) == [expected]
