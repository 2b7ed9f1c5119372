"""Resident memory while clients keep streams of events open."""

from __future__ import annotations

import socket
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from common import programs

if TYPE_CHECKING:
    from mcp_gateway.ways import Way

# In the first event of the server: who has read it knows that all between is open.
OPENED = b'"data":"open"'


def resident_bytes(way: Way, count: int) -> tuple[int, int]:
    """Resident memory of the gateway or proxy, before and while so many streams are open."""
    before = way.program.resident_bytes()["total"]
    with ExitStack() as stack:
        for _ in range(count):
            stack.enter_context(_opened(way))
        return before, way.program.resident_bytes()["total"]


def _opened(way: Way) -> socket.socket:
    """A stream whose first event has come."""
    url = urlsplit(way.url)
    fields = {**way.headers, "accept": "text/event-stream", "host": url.netloc}
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items() if name != "content-type")
    host, _, port = url.netloc.partition(":")
    connection = socket.create_connection((host, int(port)), timeout=programs.START_SECONDS)
    connection.sendall(f"GET {url.path} HTTP/1.1\r\n{head}\r\n".encode())
    read = b""
    while OPENED not in read:
        more = connection.recv(4096)
        if not more:
            sys.exit(f"{way.name} ended a stream that the server keeps open: {read.decode(errors='replace')}")
        read += more
    return connection
