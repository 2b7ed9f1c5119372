"""An OAuth issuer: keys, a server that publishes them, and tokens as PyJWT signs them."""

from __future__ import annotations

import json
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from support.http_server import Handler, serving

if TYPE_CHECKING:
    from collections.abc import Iterator

ISSUER = "https://login.example.com"
PUBLIC_URL = "https://callgate.example.com"


@dataclass(frozen=True)
class Key:
    """A pair of keys under an id."""

    name: str
    private: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

    @property
    def algorithm(self) -> str:
        """The signature algorithm."""
        return "RS256" if isinstance(self.private, rsa.RSAPrivateKey) else "ES256"

    def public(self, **further: Any) -> dict[str, Any]:
        """The public key as the issuer publishes it (JWK)."""
        if isinstance(self.private, rsa.RSAPrivateKey):
            found = json.loads(RSAAlgorithm.to_jwk(self.private.public_key()))
        else:
            found = json.loads(ECAlgorithm.to_jwk(self.private.public_key()))
        return {**found, "kid": self.name, **further}

    def token(
        self, sub: str = "alice", server: str = "s", /, *, header: dict[str, Any] | None = None, **claims: Any
    ) -> str:
        """A token that is valid for ten minutes, changed by `header` and `claims`; None removes a claim."""
        said = {
            "iss": ISSUER,
            "aud": f"{PUBLIC_URL}/mcp/{server}",
            "sub": sub,
            "exp": int(time.time()) + 600,
            **claims,
        }
        said = {name: value for name, value in said.items() if value is not None}
        # Signed as text, because tests need tokens that PyJWT would refuse to sign.
        payload = json.dumps(said).encode()
        return jwt.api_jws.encode(payload, self.private, self.algorithm, headers={"kid": self.name, **(header or {})})


def ec_key(name: str) -> Key:
    """On P-256."""
    return Key(name, ec.generate_private_key(ec.SECP256R1()))


def rsa_key(name: str, bits: int = 2048) -> Key:
    """RSA with this number of bits."""
    return Key(name, rsa.generate_private_key(public_exponent=65537, key_size=bits))


def jwks(*keys: Key) -> dict[str, Any]:
    """Their public halves, as an issuer publishes them."""
    return {"keys": [key.public() for key in keys]}


def oauth(**further: Any) -> dict[str, Any]:
    """The section `gateway` of a configuration that trusts this issuer."""
    return {"public_url": PUBLIC_URL, "oauth": {"issuer": ISSUER, **further}}


def bearing(token: str) -> dict[str, str]:
    """The header with the token."""
    return {"authorization": f"Bearer {token}"}


@dataclass
class Publisher:
    """A server of an issuer's keys."""

    port: int = 0
    document: Any = None
    """The answer; None for status 503."""
    documents: dict[str, Any] = field(default_factory=dict)
    """The answers at other paths."""
    asked: list[str] = field(default_factory=list)
    """The paths, in order."""

    @property
    def issuer(self) -> str:
        """The issuer's name, which is also its URL."""
        return f"http://127.0.0.1:{self.port}/realms/a"

    @property
    def url(self) -> str:
        """The URL of the keys."""
        return f"http://127.0.0.1:{self.port}/jwks.json"

    def describe(self, path: str, **changes: Any) -> None:
        """Publishes metadata of the issuer at a path, with these changes."""
        self.documents[path] = {"issuer": self.issuer, "jwks_uri": self.url, **changes}

    def publish(self, *keys: Key) -> None:
        """Replaces the published keys."""
        self.document = jwks(*keys)


@contextmanager
def publisher(*keys: Key) -> Iterator[Publisher]:
    """Publishes these keys until the end."""
    published = Publisher()
    published.publish(*keys)

    class Keys(Handler):
        def do_GET(self) -> None:
            published.asked.append(self.path)
            if self.path == "/jwks.json":
                body = "" if published.document is None else json.dumps(published.document)
                self.answer(200 if body else 503, "application/jwk-set+json", body)
                return
            document = published.documents.get(self.path)
            self.answer(404 if document is None else 200, "application/json", json.dumps(document))

    with serving(Keys) as published.port:
        yield published
