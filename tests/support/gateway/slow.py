"""Slow clients, as sockets and bytes."""

from __future__ import annotations

import json
import socket
import time
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from support.proxies.envoy import PATIENCE_S

if TYPE_CHECKING:
    from collections.abc import Iterator

MEBIBYTE = 1 << 20


class SlowClient:
    """A connection to the gateway, on which a request is sent and answered as slowly as a test wants."""

    def __init__(self, address: str) -> None:
        host, _, port = address.rpartition(":")
        self.socket = socket.create_connection((host, int(port)), timeout=PATIENCE_S)
        # Without a reader, this side's system accepts only a few bytes.
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16_384)

    def begin(self, length: int, *, path: str = "/mcp/s") -> None:
        """The head of a request with a body of this length."""
        head = f"POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
        accept = "accept: application/json, text/event-stream\r\n"
        self.socket.sendall(f"{head}{accept}content-length: {length}\r\n\r\n".encode())

    def send(self, message: dict[str, Any]) -> None:
        """A whole request."""
        body = json.dumps(message).encode()
        self.begin(len(body))
        self.socket.sendall(body)

    def dribble(self, message: dict[str, Any], pause_s: float) -> None:
        """A request whose body comes byte by byte."""
        body = json.dumps(message).encode()
        self.begin(len(body))
        for byte in body:
            self.socket.sendall(bytes([byte]))
            time.sleep(pause_s)

    def read(self, count: int, pause_s: float = 0.0) -> bytes:
        """Reads this number of bytes one by one; fewer if the connection ends."""
        read = bytearray()
        while len(read) < count and (byte := self.socket.recv(1)):
            read += byte
            time.sleep(pause_s)
        return bytes(read)

    def read_until(self, end: bytes) -> bytes:
        """Reads up to some bytes, or to the end of the connection."""
        read = bytearray()
        while end not in read and (part := self.socket.recv(65_536)):
            read += part
        return bytes(read)

    def status(self) -> str:
        """The status of the answer; empty if the connection broke instead."""
        try:
            return self.read_until(b"\r\n").decode("latin-1").partition(" ")[2][:3]
        except ConnectionError:
            return ""

    def close(self) -> None:
        """Disconnects."""
        self.socket.close()


def resident_bytes(pid: int) -> int:
    """The resident memory of a process."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    [line] = [line for line in status.splitlines() if line.startswith("VmRSS:")]
    return int(line.split()[1]) * 1024


def most_resident_bytes(pid: int, for_s: float) -> int:
    """The most of it within a time."""
    end, most = time.monotonic() + for_s, 0
    while time.monotonic() < end:
        most = max(most, resident_bytes(pid))
        time.sleep(0.02)
    return most


@contextmanager
def slow_clients(address: str, number: int) -> Iterator[list[SlowClient]]:
    """So many, which go at the end."""
    with ExitStack() as stack:
        yield [stack.enter_context(closing(SlowClient(address))) for _ in range(number)]
