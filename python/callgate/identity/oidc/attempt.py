"""One login that a browser has begun: the secret that only this browser has, and all that follows from it.

The browser keeps the secret in a cookie, so that every replica can end what another one has begun, and nobody can fill
the store by beginning logins. The state, the nonce and the verifier of PKCE are derived from it.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import secrets
from dataclasses import dataclass, field
from typing import Final

LONGEST_S: Final = 900
"""Time from the beginning of a login to its end."""

_SECRET_BYTES: Final = 32
_SECRET: Final = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)
_LONGEST_COOKIE: Final = 3_000


@dataclass(frozen=True)
class LoginAttempt:
    """A login that has begun."""

    secret: str = field(repr=False)
    issuer: str
    """The key of the issuer; see `issuer_key`."""
    began_s: int
    target: str
    """The page after the login."""
    is_fresh: bool = False
    """True if the person has to prove anew who they are, even if the issuer knows them already."""

    @property
    def state(self) -> str:
        """The word by which the answer is recognised as that to this login."""
        return self._derived("state")

    @property
    def nonce(self) -> str:
        """The word by which the ID token is recognised as that of this login."""
        return self._derived("nonce")

    @property
    def verifier(self) -> str:
        """The secret of PKCE, without which nobody else can use the code."""
        return self._derived("verifier")

    @property
    def challenge(self) -> str:
        """The hash of the verifier."""
        return _encoded(hashlib.sha256(self.verifier.encode()).digest())

    @property
    def digest(self) -> str:
        """The name by which the store keeps that this login is over."""
        return hashlib.sha256(self._derived("used").encode()).hexdigest()

    def cookie(self) -> str:
        """The value of the cookie."""
        document = [self.secret, self.issuer, self.began_s, self.target, int(self.is_fresh)]
        return _encoded(json.dumps(document).encode())

    def _derived(self, purpose: str) -> str:
        return _encoded(hmac.new(self.secret.encode(), f"callgate login {purpose}".encode(), hashlib.sha256).digest())


def new_attempt(issuer: str, began_s: float, target: str, *, is_fresh: bool) -> LoginAttempt:
    """A login that begins now."""
    return LoginAttempt(secrets.token_urlsafe(_SECRET_BYTES), issuer, int(began_s), target, is_fresh)


def read_attempt(cookie: str) -> LoginAttempt | None:
    """The login of a cookie; None if there is none."""
    if not 0 < len(cookie) <= _LONGEST_COOKIE or not cookie.isascii():
        return None
    try:
        document = json.loads(base64.urlsafe_b64decode(cookie + "=" * (-len(cookie) % 4)))
        secret, issuer, began_s, target, is_fresh = document
    except (ValueError, TypeError, RecursionError):
        return None
    texts = all(isinstance(one, str) for one in (secret, issuer, target))
    if not texts or not _SECRET.fullmatch(secret) or type(began_s) is not int or is_fresh not in {0, 1}:
        return None
    return LoginAttempt(secret, issuer, began_s, target, bool(is_fresh))


def issuer_key(issuer: str) -> str:
    """The name of an issuer in paths and cookies."""
    return hashlib.sha256(issuer.encode()).hexdigest()[:12]


def _encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()
