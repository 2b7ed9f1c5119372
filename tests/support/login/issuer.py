"""An issuer whose every answer a test can change: discovery, keys, tokens, userinfo."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from joserfc.jwk import ECKey, Key
from joserfc.jws import JWSRegistry

from support.http_server import Handler, serving

CLIENT = "callgate"
SECRET = "a secret of the client"
ANN = {"sub": "ann", "groups": ["dba"], "preferred_username": "Ann"}


@dataclass
class Login:
    """What a browser's request for a login said."""

    fields: dict[str, str]

    @property
    def answer(self) -> dict[str, str]:
        """What the browser comes back with."""
        return {"code": self.fields["code"], "state": self.fields["state"]}


@dataclass
class FakeIssuer:
    """The issuer. Its fields are what it says."""

    url: str = ""
    clock_s: Callable[[], float] = time.time
    claims: dict[str, Any] = field(default_factory=lambda: dict(ANN))
    """Claims of every ID token, over those that belong there; None takes one out."""
    header: dict[str, Any] = field(default_factory=dict)
    userinfo: dict[str, Any] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)
    """Fields of the metadata, over those that belong there; None takes one out."""
    published: list[Key] = field(default_factory=list)
    signing: ECKey = field(default_factory=lambda: new_key("1"))
    answers: dict[str, tuple[int, bytes]] = field(default_factory=dict)
    """Answers by path in place of the right ones."""
    asked: Counter[str] = field(default_factory=Counter)
    """The number of requests for each path."""
    sent: dict[str, Any] = field(default_factory=dict)
    """The fields and headers of the last request for a token."""
    _begun: dict[str, dict[str, str]] = field(default_factory=dict)

    def begin(self, url: str) -> Login:
        """The login at the URL that a browser was sent to: the person logs in at once."""
        fields = dict(parse_qsl(urlsplit(url).query))
        code = secrets.token_urlsafe(8)
        self._begun[code] = fields
        return Login({**fields, "code": code})

    def rotate(self, kid: str) -> None:
        """Signs by a new key, which alone is published."""
        self.signing = new_key(kid)
        self.published = [self.signing]

    def token(self, *, key: Key | None = None, **claims: Any) -> str:
        """A token with these claims beside the usual ones; None takes one out."""
        now = int(self.clock_s())
        usual = {"iss": self.url, "aud": CLIENT, "iat": now, "exp": now + 300, "auth_time": now - 5}
        said = {name: value for name, value in {**usual, **self.claims, **claims}.items() if value is not None}
        signing = self.signing if key is None else key
        header = {"alg": "ES256", "kid": signing.kid, **self.header}
        return signed({name: value for name, value in header.items() if value is not None}, said, signing)

    def answer(self, path: str, body: bytes, headers: dict[str, str]) -> tuple[int, bytes]:
        """The status and the body that answer a request."""
        self.asked[path] += 1
        if path in self.answers:
            return self.answers[path]
        match path:
            case "/.well-known/openid-configuration":
                return _json(self._described())
            case "/jwks":
                return _json({"keys": [key.as_dict(private=False) for key in self.published]})
            case "/token":
                return self._exchanged(dict(parse_qsl(body.decode())), headers)
            case "/userinfo":
                self.sent["userinfo"] = headers
                return _json(self.userinfo)
        return 404, b"{}"

    def _described(self) -> dict[str, Any]:
        usual = {
            "issuer": self.url,
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token",
            "jwks_uri": f"{self.url}/jwks",
            "userinfo_endpoint": f"{self.url}/userinfo",
            "code_challenge_methods_supported": ["S256"],
        }
        return {name: value for name, value in {**usual, **self.metadata}.items() if value is not None}

    def _exchanged(self, fields: dict[str, str], headers: dict[str, str]) -> tuple[int, bytes]:
        self.sent = {"fields": fields, "headers": headers}
        begun = self._begun.pop(fields.get("code", ""), None)
        if begun is None:
            return 400, b'{"error": "invalid_grant", "error_description": "the code was used"}'
        challenge = encoded(hashlib.sha256(fields["code_verifier"].encode()).digest())
        if challenge != begun["code_challenge"] or fields["redirect_uri"] != begun["redirect_uri"]:
            return 400, b'{"error": "invalid_grant"}'
        token = self.token(**{"nonce": begun["nonce"], **self.claims})
        return _json({"access_token": "an-access-token", "token_type": "Bearer", "id_token": token})


def signed(header: dict[str, Any], claims: dict[str, Any], key: Key | bytes) -> str:
    """A token with this header, also one that no library would write, signed by a key or by a shared secret."""
    text = ".".join(encoded(json.dumps(part).encode()) for part in (header, claims))
    if isinstance(key, bytes):
        signature = hmac.digest(key, text.encode(), "sha256")
    else:
        signature = JWSRegistry.algorithms["ES256"].sign(text.encode(), key)
    return f"{text}.{encoded(signature)}"


def encoded(content: bytes) -> str:
    """Base64url without padding."""
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def new_key(kid: str) -> ECKey:
    """A key to sign with."""
    key: ECKey = ECKey.generate_key("P-256", {"kid": kid, "use": "sig", "alg": "ES256"})
    return key


@contextmanager
def fake_issuer(clock_s: Callable[[], float] = time.time) -> Iterator[FakeIssuer]:
    """Serves an issuer to the end of the block."""
    issuer = FakeIssuer(clock_s=clock_s)
    issuer.published = [issuer.signing]

    class Served(Handler):
        def do_GET(self) -> None:
            self._answer(b"")

        def do_POST(self) -> None:
            self._answer(self.rfile.read(int(self.headers["content-length"])))

        def _answer(self, body: bytes) -> None:
            status, content = issuer.answer(urlsplit(self.path).path, body, dict(self.headers))
            if 300 <= status < 400:
                self.send_response(status)
                self.send_header("location", content.decode())
                self.send_header("content-length", "0")
                self.end_headers()
            else:
                self.answer(status, "application/json", content)

    with serving(Served) as port:
        issuer.url = f"http://127.0.0.1:{port}"
        yield issuer


def _json(document: dict[str, Any]) -> tuple[int, bytes]:
    return 200, json.dumps(document).encode()
