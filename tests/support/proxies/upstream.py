"""An upstream that records requests byte for byte, and functions that send raw bytes to it."""

from __future__ import annotations

import json
import socket
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from support.http_server import Handler, serving
from support.proxies.envoy import PATIENCE_S, Answer, answer

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


@dataclass(frozen=True)
class Arrived:
    """One request, with all of its body."""

    method: str
    path: str
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str | None:
        """The first value of a header by its lower-case name."""
        return next((value for key, value in self.headers if key.lower() == name), None)


@dataclass
class Upstream:
    """A server that answers every request with success."""

    port: int
    arrived: list[Arrived] = field(default_factory=list)


@contextmanager
def keeping_upstream() -> Iterator[Upstream]:
    """Serves on a free port until the end."""
    kept = Upstream(0)

    class Keeper(Handler):
        def handle_any(self) -> None:
            try:
                body = self.read_body()
            except (OSError, ValueError):
                # An incomplete request does not count.
                self.close_connection = True
                return
            kept.arrived.append(Arrived(self.command, self.path, self.headers.items(), body))
            self.send_response(200)
            self.send_header("content-length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

        def read_body(self) -> bytes:
            if self.headers.get("transfer-encoding", "").lower() != "chunked":
                wanted = int(self.headers.get("content-length") or 0)
                body = self.rfile.read(wanted)
                if len(body) < wanted:
                    raise ValueError("broken off")
                return body
            parts = []
            while size := int(self.rfile.readline().split(b";")[0], 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)

        do_GET = do_POST = do_DELETE = do_PUT = do_HEAD = do_OPTIONS = handle_any

    with serving(Keeper) as kept.port:
        yield kept


def send_raw(
    address: str,
    method: str,
    target: str,
    headers: Sequence[tuple[str, bytes]],
    body: bytes | None,
    *,
    chunked: bool = False,
    host: str | None = None,
) -> Answer:
    """One request as bytes, because no client library would send some of them. A status of 0 means no answer."""
    fields = b"".join(name.encode() + b": " + value + b"\r\n" for name, value in headers)
    if chunked:
        assert body is not None
        fields += b"transfer-encoding: chunked\r\n"
        body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
    elif body is not None:
        fields += b"content-length: %d\r\n" % len(body)
    head = f"{method} {target} HTTP/1.1\r\nhost: {host or address}\r\nconnection: close\r\n".encode()
    name, _, port = address.rpartition(":")
    received = b""
    with socket.create_connection((name, int(port)), timeout=PATIENCE_S) as connection:
        try:
            connection.sendall(head + fields + b"\r\n" + (body or b""))
            while part := connection.recv(65536):
                received += part
        except ConnectionError:
            # A server that refuses early may not read to the end.
            pass
    start, _, rest = received.partition(b"\r\n\r\n")
    if not start:
        return Answer(0, {}, b"")
    first, *lines = start.decode("latin-1").split("\r\n")
    pairs = [line.split(": ", 1) for line in lines]
    got = {name.lower(): value for name, value in ((pair[0].rstrip(":"), pair[-1]) for pair in pairs)}
    if got.get("transfer-encoding") == "chunked":
        rest = unchunked(rest)
    return answer(int(first.split(" ")[1]), got, rest)


def unchunked(data: bytes) -> bytes:
    """The bytes without the frames around them."""
    body = b""
    while data:
        size, _, data = data.partition(b"\r\n")
        length = int(size.split(b";")[0] or b"0", 16)
        if length == 0:
            break
        body += data[:length]
        data = data[length + 2 :]
    return body


def call(tool: str, **arguments: Any) -> bytes:
    """A call of a tool."""
    return message({"name": tool, "arguments": arguments})


def message(params: dict[str, Any]) -> bytes:
    """A call with these `params`."""
    return json.dumps({"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": params}).encode()
