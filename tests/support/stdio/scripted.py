"""`callgate connect`, and servers over HTTP that answer by a script."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from support import http_server
from support.http_server import Handler
from support.program import PROGRAM

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator


def leading(url: str, *further: str) -> list[str]:
    """The command that connects a client to the server."""
    return [str(PROGRAM), "connect", url, *further]


class Server(Handler):
    """Answers by its script, and records requests."""

    script: Any
    asked: list[tuple[str, dict[str, str], Any]]

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        fields = {name.lower(): value for name, value in self.headers.items()}
        message = json.loads(body) if body else None
        self.asked.append((self.command, fields, message))
        status, kind, reply, further = self.script(self.command, fields, message)
        self.send_response(status)
        for name, value in further.items():
            self.send_header(name, value)
        if kind:
            self.send_header("content-type", kind)
        self.send_header("content-length", str(len(reply)))
        self.end_headers()
        self.wfile.write(reply)

    do_POST = do_GET = do_DELETE = _answer


@contextmanager
def serving(
    script: Any, tls: ssl.SSLContext | None = None
) -> Iterator[tuple[str, list[tuple[str, dict[str, str], Any]]]]:
    """A server that answers by a script, over TLS if there is a context; gives its URL and the recorded requests."""
    asked: list[tuple[str, dict[str, str], Any]] = []
    handler = type("Scripted", (Server,), {"script": staticmethod(script), "asked": asked})
    scheme = "http" if tls is None else "https"
    with http_server.serving(handler, tls=tls) as port:
        yield f"{scheme}://127.0.0.1:{port}/mcp", asked


def reply(number: int | str, **result: Any) -> bytes:
    """A result."""
    return json.dumps({"jsonrpc": "2.0", "id": number, "result": result}).encode()


def event(data: bytes, *lines: str) -> bytes:
    """An event of a stream."""
    return "".join(f"{line}\n" for line in lines).encode() + b"data: " + data + b"\n\n"
