"""Faults of an upstream's answer, each as a fault of `faulty_server`.

A name that takes arguments gives the fault; one that does not is the fault.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from support.gateway.encodings import ENCODERS, bomb
from support.gateway.faulty import EVENTS, JSON, answer, properly, reply

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from support.gateway.faulty import Connection, Fault, Request

NEWLINES = {"lf": b"\n", "crlf": b"\r\n", "cr": b"\r"}
"""Line endings of a stream of events."""


def event(message: dict[str, Any], newline: bytes = b"\n", identifier: str | None = None) -> bytes:
    """One event that holds a message."""
    lines = [b"event: message", *([f"id: {identifier}".encode()] if identifier else [])]
    return newline.join([*lines, b"data: " + json.dumps(message).encode(), b"", b""])


def progress(step: int) -> dict[str, Any]:
    """A notification as it comes before a result."""
    return {"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progressToken": 1, "progress": step}}


# The wrong answer.


def other_id(connection: Connection, request: Request) -> None:
    """A result for a request that was not made."""
    connection.answer(200, json.dumps({**answer(request), "id": "another"}).encode(), {"content-type": JSON})


def two_replies(connection: Connection, request: Request) -> None:
    """Two different results for one request, in one stream."""
    second = answer(request, content=[{"type": "text", "text": "second"}])
    connection.answer(200, event(answer(request)) + event(second), {"content-type": EVENTS})


def two_responses(connection: Connection, request: Request) -> None:
    """Two HTTP responses for one request. A client that keeps the connection takes the second for a later one."""
    second = json.dumps(answer(request, content=[{"type": "text", "text": "second"}])).encode()
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
    first = reply(request)
    connection.send(head % len(first) + first + head % len(second) + second)


def html(status: int = 200) -> Fault:
    """A page for people, as proxies and captive portals send it."""
    page = b"<!doctype html><title>Sorry</title><p>Something went wrong.</p>"
    return lambda connection, _: connection.answer(status, page, {"content-type": "text/html"})


def says(status: int, body: bytes = b"", **headers: str) -> Fault:
    """Any status with any body; underscores of header names stand for hyphens."""
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda connection, _: connection.answer(status, body, fields)


def redirect(location: str, status: int = 307) -> Fault:
    """Redirects the client."""
    return says(status, location=location)


def raw(data: bytes) -> Fault:
    """These bytes, and the end of the connection."""

    def fault(connection: Connection, _: Request) -> None:
        connection.send(data)
        connection.close()

    return fault


# The stream of events.


def stream(pieces: Iterable[bytes]) -> Fault:
    """A stream of events in these pieces, each in a separate chunk and segment."""

    def fault(connection: Connection, _: Request) -> None:
        connection.chunked(EVENTS)
        for piece in pieces:
            if not connection.chunk(piece):
                return
        connection.chunk(b"")

    return fault


def cut(newline: bytes, piece_bytes: int = 1) -> Fault:
    """Progress and the proper answer, cut after every so many bytes: within names, line ends and code points."""

    def fault(connection: Connection, request: Request) -> None:
        noted = {**progress(1), "params": {"progressToken": 1, "progress": 1, "message": "naïve ☃"}}
        said = json.dumps(noted, ensure_ascii=False).encode()
        # A client ignores the comment, the empty data and the unknown field (the standard's section 9.2.6).
        parts = [b": comment", b"retry: 10", b"", b"data: " + said, b"", b"unknown: x"]
        body = newline.join([*parts, b"", event(answer(request), newline)])
        stream(body[start : start + piece_bytes] for start in range(0, len(body), piece_bytes))(connection, request)

    return fault


def large_event(size_bytes: int) -> Fault:
    """The answer as one event of about this size."""

    def fault(connection: Connection, request: Request) -> None:
        body = event(answer(request, content=[{"type": "text", "text": "x" * size_bytes}]))
        stream(body[start : start + 16_384] for start in range(0, len(body), 16_384))(connection, request)

    return fault


def large_result(size_bytes: int) -> Fault:
    """The answer as JSON of about this size, of which only a part is held in memory at a time."""

    def fault(connection: Connection, request: Request) -> None:
        before, after = json.dumps(answer(request, content=[{"type": "text", "text": "@"}])).encode().split(b"@")
        part = b"x" * 65_536
        whole, rest = divmod(size_bytes, len(part))
        length = len(before) + size_bytes + len(after)
        connection.head(200, {"content-type": JSON, "content-length": str(length)})
        connection.send(before)
        for _ in range(whole):
            if not connection.send(part):
                return
        connection.send(part[:rest] + after)

    return fault


# Compression.


def compressed(encoding: str, kind: str = JSON, named: str | None = None) -> Fault:
    """The proper answer in one of `ENCODERS`, as JSON or in an event; `named` is what its header wrongly calls it."""
    called, encode = ENCODERS[encoding]

    def fault(connection: Connection, request: Request) -> None:
        body = event(answer(request)) if kind == EVENTS else reply(request)
        connection.answer(200, encode(body), {"content-type": kind, "content-encoding": named or called})

    return fault


def compressed_twice(outer: str, inner: str) -> Fault:
    """An encoding around another."""

    def fault(connection: Connection, request: Request) -> None:
        packed = ENCODERS[outer][1](ENCODERS[inner][1](reply(request)))
        connection.answer(200, packed, {"content-type": JSON, "content-encoding": f"{inner}, {outer}"})

    return fault


def decompression_bomb(encoding: str, mebibytes: int) -> Fault:
    """The proper answer with so many mebibytes of spaces before its last brace."""

    def fault(connection: Connection, request: Request) -> None:
        body = reply(request)
        packed = bomb(encoding, body[:-1], body[-1:], mebibytes)
        connection.answer(200, packed, {"content-type": JSON, "content-encoding": encoding})

    return fault


# Slow, and silent.


def slow_head(pause_s: float) -> Fault:
    """A head of one byte at a time, and then the proper answer."""

    def fault(connection: Connection, request: Request) -> None:
        body = reply(request)
        connection.slowly(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n", 1, pause_s)
        connection.send(b"content-length: %d\r\n\r\n%s" % (len(body), body))

    return fault


def slow_body(pause_s: float) -> Fault:
    """The head at once, then a byte at a time."""

    def fault(connection: Connection, request: Request) -> None:
        body = reply(request)
        connection.head(200, {"content-type": JSON, "content-length": str(len(body))})
        connection.slowly(body, 1, pause_s)

    return fault


def silent(connection: Connection, _: Request) -> None:
    """Never answers. The connection is closed when the test ends it."""
    connection.wait()
    connection.close()


def silent_stream(connection: Connection, _: Request) -> None:
    """A stream that begins and then stays silent."""
    connection.chunked(EVENTS)
    connection.chunk(b": here\n\n")
    connection.wait()
    connection.close()


# Broken off.


def hang_up(connection: Connection, _: Request) -> None:
    """Closes before the status line."""
    connection.close()


def reset(connection: Connection, _: Request) -> None:
    """Breaks off before the status line."""
    connection.reset()


def reset_within(data: bytes) -> Fault:
    """Breaks off after these bytes of an answer."""

    def fault(connection: Connection, _: Request) -> None:
        connection.send(data)
        connection.reset()

    return fault


def reset_mid_stream(events: int) -> Fault:
    """A stream that breaks off after so many notifications, before the answer."""

    def fault(connection: Connection, _: Request) -> None:
        connection.chunked(EVENTS)
        for step in range(events):
            connection.chunk(event(progress(step)))
        connection.reset()

    return fault


def ends_early(connection: Connection, request: Request) -> None:
    """Half of an answer with an announced length, and an orderly end."""
    body = reply(request)
    connection.head(200, {"content-type": JSON, "content-length": str(len(body))})
    connection.send(body[: len(body) // 2])
    connection.close()


def resets_when_used_again(connection: Connection, request: Request) -> None:
    """The proper answer on a kept connection, which breaks as soon as the next request arrives, unread."""
    properly(connection, request)
    connection.await_next()
    connection.reset()


def in_turn(faults: Sequence[Fault]) -> Fault:
    """One fault per request, in order; the last one is repeated."""
    left = list(faults)

    def fault(connection: Connection, request: Request) -> None:
        (left.pop(0) if len(left) > 1 else left[0])(connection, request)

    return fault
