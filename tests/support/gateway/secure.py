"""An MCP server over TLS, whose certificate can be changed while it runs."""

from __future__ import annotations

import json
import ssl
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from tempfile import TemporaryDirectory
from threading import Event, Thread
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    import trustme


@dataclass
class Secure:
    """A running server. Every request has its own connection, so that each gets the certificate of its time."""

    context: ssl.SSLContext
    port: int = 0
    authorizations: list[str | None] = field(default_factory=list)
    """Of each call that arrived, in order."""
    let_go: Event = field(default_factory=Event)
    """Ends the streams of the tool `watch`, each of which sends a first and a last message."""

    def url(self, host: str = "localhost") -> str:
        """The URL of the server."""
        return f"https://{host}:{self.port}/mcp"

    def show(self, certificate: trustme.LeafCert) -> None:
        """Sets the certificate of new connections."""
        with TemporaryDirectory() as folder:
            path = f"{folder}/certificate.pem"
            certificate.private_key_and_cert_chain_pem.write_to_path(path)
            self.context.load_cert_chain(path)


def event(message: dict[str, Any]) -> bytes:
    """One event."""
    return b"data: " + json.dumps(message).encode() + b"\n\n"


@contextmanager
def secure_server(certificate: trustme.LeafCert) -> Iterator[Secure]:
    """Serves on a free port until the end."""
    secure = Secure(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
    # A resumed session shows no certificate.
    secure.context.num_tickets = 0
    secure.show(certificate)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            message = json.loads(self.rfile.read(int(self.headers["content-length"])))
            secure.authorizations.append(self.headers.get("authorization"))
            text = {"content": [{"type": "text", "text": "done"}], "isError": False}
            reply = {"jsonrpc": "2.0", "id": message["id"], "result": text}
            watches = message["params"]["name"] == "watch"
            self.send_response(200)
            self.send_header("content-type", "text/event-stream" if watches else "application/json")
            self.end_headers()
            if watches:
                self.wfile.write(event({"jsonrpc": "2.0", "method": "notifications/message", "params": {}}))
                secure.let_go.wait(60)
            self.wfile.write(event(reply) if watches else json.dumps(reply).encode())

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the base class's name
            """Logs nothing."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def finish_request(self, request: Any, client_address: Any) -> None:
            # On the connection's own thread: a silent one must not delay others.
            try:
                with secure.context.wrap_socket(request, server_side=True) as connection:
                    super().finish_request(connection, client_address)
            except OSError:
                # A client that does not trust the certificate.
                pass

    with Server(("127.0.0.1", 0), Handler) as server:
        secure.port = server.server_address[1]
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield secure
        finally:
            secure.let_go.set()
            server.shutdown()
            thread.join()
