"""Endless answers, as faults: a reader that buffers a whole answer buffers too much."""

from __future__ import annotations

from typing import TYPE_CHECKING

from support.gateway.faults import event, progress
from support.gateway.faulty import EVENTS, JSON, properly

if TYPE_CHECKING:
    from support.gateway.faulty import Connection, Fault, Request

PART = b"x" * 65_536


def going_on(connection: Connection, part: bytes) -> None:
    """Sends it repeatedly, until the client disconnects or the test ends it."""
    while connection.send(part) and not connection.let_go.is_set():
        pass
    connection.close()


def endless_head(connection: Connection, _: Request) -> None:
    """Endless headers."""
    connection.send(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n")
    going_on(connection, b"x-more: %s\r\n" % PART[:1024])


def endless_json(connection: Connection, _: Request) -> None:
    """A list of tools whose first name is endless."""
    connection.chunked(JSON)
    connection.chunk(b'{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"')
    going_on(connection, b"%x\r\n%s\r\n" % (len(PART), PART))


def endless_event(connection: Connection, _: Request) -> None:
    """An endless event."""
    connection.chunked(EVENTS)
    connection.chunk(b"data: ")
    going_on(connection, b"%x\r\n%s\r\n" % (len(PART), PART))


def endless_events(connection: Connection, _: Request) -> None:
    """Endless notifications without the answer."""
    connection.chunked(EVENTS)
    body = event(progress(1)) * 100
    going_on(connection, b"%x\r\n%s\r\n" % (len(body), body))


def informed(times: int) -> Fault:
    """A number of informational answers before the proper one (RFC 9110, section 15.2)."""

    def fault(connection: Connection, request: Request) -> None:
        for _ in range(times):
            connection.send(b"HTTP/1.1 103 Early Hints\r\nlink: </style.css>\r\n\r\n")
        properly(connection, request)

    return fault
