"""An authorization server: its metadata (RFC 8414), its keys, and tokens for clients with credentials."""

from __future__ import annotations

import base64
import json
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from support.gateway.issuers import jwks

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from support.gateway.issuers import Key

CREDENTIALS = base64.b64encode(b"robot:secret%20of%20the%20robot").decode()


@dataclass
class AuthorizationServer:
    """A server that issues tokens to clients."""

    key: Key
    claims: Mapping[str, Any]
    """Further claims of its tokens."""
    port: int = 0
    asked: list[dict[str, str]] = field(default_factory=list)
    """The token requests that it got."""

    @property
    def issuer(self) -> str:
        """Its name."""
        return f"http://127.0.0.1:{self.port}"

    def document(self, path: str) -> dict[str, Any] | None:
        """The published document at a path."""
        if path == "/jwks.json":
            return jwks(self.key)
        if path != "/.well-known/oauth-authorization-server":
            return None
        return {
            "issuer": self.issuer,
            "token_endpoint": f"{self.issuer}/token",
            "authorization_endpoint": f"{self.issuer}/authorize",
            "jwks_uri": f"{self.issuer}/jwks.json",
            "response_types_supported": ["code"],
            "grant_types_supported": ["client_credentials"],
            "token_endpoint_auth_methods_supported": ["client_secret_basic"],
        }

    def token(self, form: dict[str, str]) -> dict[str, Any]:
        """The answer to an authenticated client: a token for the resource that it names."""
        self.asked.append(form)
        said = {**self.claims, "iss": self.issuer, "aud": form["resource"], "scope": form.get("scope", "")}
        return {"access_token": self.key.token("robot", **said), "token_type": "Bearer", "expires_in": 600}


@contextmanager
def authorization_server(key: Key, **claims: Any) -> Iterator[AuthorizationServer]:
    """Serves on a free port until the end."""
    server_of = AuthorizationServer(key, claims)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.answer(server_of.document(urlsplit(self.path).path))

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"])).decode()
            form = {name: values[-1] for name, values in parse_qs(body).items()}
            is_known = self.headers.get("authorization") == f"Basic {CREDENTIALS}"
            self.answer(server_of.token(form) if is_known and self.path == "/token" else None)

        def answer(self, document: dict[str, Any] | None) -> None:
            body = json.dumps(document or {"error": "invalid_request"}).encode()
            self.send_response(404 if document is None else 200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the base class's name
            """Logs nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        server_of.port = server.server_address[1]
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server_of
        finally:
            server.shutdown()
            thread.join()
